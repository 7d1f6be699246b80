from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mingmu.core.errors import Conflict
from mingmu.train import checkpoint


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    weight = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    checkpoint.save(tmp_path / "run", {"net/weight": weight, "net/count": torch.tensor(3)}, {"epoch": 2, "loss": 0.1 + 0.2})
    tensors, state = checkpoint.load(tmp_path / "run")
    assert torch.equal(checkpoint.part_of(tensors, "net/")["weight"], weight)
    assert tensors["net/count"].item() == 3
    assert state == {"epoch": 2, "loss": 0.1 + 0.2}


def test_one_that_was_being_written_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {"a": torch.zeros(1)}, {"epoch": 1})
    (tmp_path / f"{checkpoint.FILE}.part").write_bytes(b"half")
    assert checkpoint.load(tmp_path)[1] == {"epoch": 1}


def test_none_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="without --resume"):
        checkpoint.load(tmp_path)
    (tmp_path / checkpoint.FILE).write_bytes(b"rubbish, and long enough")
    with pytest.raises(Conflict, match="damaged"):
        checkpoint.load(tmp_path)


def test_one_that_does_not_fit_on_the_disk_is_refused_and_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    checkpoint.save(tmp_path, {"a": torch.zeros(1)}, {"epoch": 1})

    def full(_tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half")
        raise SafetensorError("Error while serializing: IoError(No space left on device)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match=r"a checkpoint cannot be written to .*: 4\.0 MB are needed, [\d.]+ MB are free"):
        checkpoint.save(tmp_path, {"a": torch.zeros(1_000_000)}, {"epoch": 2})
    assert checkpoint.load(tmp_path)[1] == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.FILE]
