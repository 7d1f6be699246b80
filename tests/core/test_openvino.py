from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from mingmu.core.errors import BadModel, MissingExtra
from mingmu.core.manifest import Runs
from mingmu.core.network import Network
from mingmu.core.openvino import OpenVinoRuntime, precisions
from mingmu.core.runtime import OnnxRuntime
from mingmu.core.sealing import seal_variant
from tests import tiny


@pytest.fixture
def runtime() -> OpenVinoRuntime:
    pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'mingmu[openvino]'")
    return OpenVinoRuntime(tiny.backbone_graph(), threads=2)


def pictures(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_it_gives_what_onnx_runtime_gives_and_only_what_was_asked_for(runtime: OpenVinoRuntime) -> None:
    pixels = pictures(3)
    expected = OnnxRuntime(tiny.backbone_graph())(pixels, ("map", "features"))
    found = runtime(pixels, ("map", "features"))
    assert runtime.outputs == ("features", "map")
    assert [*found] == ["map", "features"]
    assert [*runtime(pixels, ("features",))] == ["features"]
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_a_call_that_is_alone_gives_the_same(runtime: OpenVinoRuntime) -> None:
    pixels = pictures(2)
    np.testing.assert_allclose(
        runtime(pixels, ("features",), alone=True)["features"], runtime(pixels, ("features",))["features"], atol=1e-5
    )


def test_pixels_that_may_not_be_written_to_are_read_all_the_same(runtime: OpenVinoRuntime) -> None:
    pixels = pictures(1)
    expected = runtime(pixels, ("features",))["features"]
    pixels.flags.writeable = False
    np.testing.assert_array_equal(runtime(pixels, ("features",))["features"], expected)


def test_answers_stay_what_they_were_when_the_next_question_comes(runtime: OpenVinoRuntime) -> None:
    first = runtime(pictures(1), ("features",))["features"]
    before = first.copy()
    runtime(pictures(1, seed=1), ("features",))
    np.testing.assert_array_equal(first, before)


def test_many_threads_with_batches_of_all_sizes_each_get_their_own_answer(runtime: OpenVinoRuntime) -> None:
    batches = [pictures(1 + i % 5, seed=i) for i in range(60)]
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda pixels: runtime(pixels, ("features",))["features"], batches)]
    for pixels, answer in zip(batches, answers, strict=True):
        np.testing.assert_allclose(answer, pixels.mean(axis=(1, 2)) / 255, atol=1e-4)


def test_a_graph_that_takes_no_bytes_is_refused(runtime: OpenVinoRuntime) -> None:
    node = helper.make_node("ReduceMean", ["pixels"], ["features"], axes=[1, 2], keepdims=0)
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3])]
    with pytest.raises(BadModel, match="one input, pixels u8"):
        OpenVinoRuntime(tiny.model([node], {}, ["N", 8, 8, 3], outputs, elem_type=TensorProto.FLOAT))


def test_an_openvino_that_does_not_start_is_an_error_of_ours(runtime: OpenVinoRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> None:
        raise RuntimeError("plugins.xml is damaged")

    monkeypatch.setattr("openvino.Core", damaged)
    with pytest.raises(BadModel, match="damaged"):
        OpenVinoRuntime(tiny.backbone_graph())


def test_a_sealed_variant_runs_on_it_and_proves_itself(runtime: OpenVinoRuntime, tmp_path: Path) -> None:
    sealed = tiny.seal_backbone(tmp_path / "sealed")
    variant = Network.open(seal_variant(tmp_path / "variant", sealed, Runs(runtime="openvino")), threads=2)
    variant.prove()
    assert variant.runtime.name.startswith("openvino ")


def test_without_the_extra_nothing_can_be_computed_and_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert precisions() == ()
    with pytest.raises(MissingExtra, match=r"mingmu\[openvino\]"):
        OpenVinoRuntime(tiny.backbone_graph())
