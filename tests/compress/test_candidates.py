from __future__ import annotations

import pytest

from mingmu.compress import candidates as module
from mingmu.compress.candidates import candidates
from mingmu.core.manifest import Runs


@pytest.fixture(autouse=True)
def processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "precisions", lambda: ("fp32", "bf16", "int8"))


def names(sealed: Runs, *, photos: bool) -> list[str]:
    return [str(runs) for runs in candidates(sealed, photos=photos) if runs.provider == "cpu"]


def test_int8_is_only_tried_where_photos_can_tell_what_it_costs() -> None:
    assert names(Runs(), photos=False) == ["openvino fp32", "openvino bf16"]
    assert names(Runs(), photos=True) == ["openvino fp32", "openvino bf16", "openvino int8", "onnxruntime int8"]


def test_a_network_that_was_compressed_keeps_its_precision() -> None:
    assert names(Runs(precision="int8"), photos=True) == ["openvino int8"]
    assert names(Runs(runtime="openvino", precision="bf16"), photos=True) == []


def test_without_openvino_there_is_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "precisions", lambda: ())
    assert names(Runs(), photos=False) == []
    assert names(Runs(), photos=True) == ["onnxruntime int8"]


def test_what_onnx_runtime_was_built_for_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert Runs(provider="cuda") in candidates(Runs(), photos=False)
