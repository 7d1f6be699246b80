from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mingmu.core import artifact
from mingmu.core.artifact import Array, Artifact, pack_arrays, unpack_arrays
from mingmu.core.errors import BadArtifact
from tests import tiny


@pytest.fixture
def sealed(tmp_path: Path) -> Artifact:
    return tiny.seal_backbone(tmp_path / "sealed")


def test_sealing_the_same_thing_twice_gives_the_same_digest(sealed: Artifact, tmp_path: Path) -> None:
    assert tiny.seal_backbone(tmp_path / "again").digest == sealed.digest


def test_a_sealed_folder_loads_with_its_digest(sealed: Artifact) -> None:
    loaded = artifact.load(sealed.folder)
    artifact.verify(loaded)
    assert loaded == sealed


def test_a_changed_byte_in_any_file_is_found(sealed: Artifact) -> None:
    for name in sealed.manifest.files:
        path = sealed.folder / name
        original = path.read_bytes()
        path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(BadArtifact, match=name):
            artifact.verify(artifact.load(sealed.folder))
        path.write_bytes(original)


def test_a_missing_file_is_found(sealed: Artifact) -> None:
    (sealed.folder / "probes.npz").unlink()
    with pytest.raises(BadArtifact, match=r"probes\.npz"):
        artifact.load(sealed.folder)


def test_a_file_that_was_added_is_found(sealed: Artifact) -> None:
    (sealed.folder / "extra.bin").write_bytes(b"x")
    with pytest.raises(BadArtifact, match=r"extra\.bin"):
        artifact.load(sealed.folder)


def test_a_link_is_refused(sealed: Artifact, tmp_path: Path) -> None:
    graph = sealed.folder / "graph.onnx"
    graph.rename(tmp_path / "elsewhere.onnx")
    graph.symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BadArtifact, match="link"):
        artifact.load(sealed.folder)


def test_a_folder_without_a_manifest_was_never_sealed(tmp_path: Path) -> None:
    with pytest.raises(BadArtifact, match="never sealed"):
        artifact.load(tmp_path)


def test_arrays_come_back_as_they_went_in() -> None:
    arrays: dict[str, Array] = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([1, 2], np.uint8)}
    again = unpack_arrays(pack_arrays(arrays), where="here")
    assert set(again) == {"a", "b"}
    np.testing.assert_array_equal(again["a"], arrays["a"])


def test_a_pickle_inside_an_array_file_is_never_loaded() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{"no": "thanks"}], dtype=object))
    with pytest.raises(BadArtifact, match="npz"):
        unpack_arrays(buffer.getvalue(), where="here")
    with pytest.raises(BadArtifact, match="npz"):
        unpack_arrays(pickle.dumps([1]), where="here")


def test_an_array_file_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "MAX_ARRAY_BYTES", 1000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * 2000)
    with pytest.raises(BadArtifact, match="limit"):
        unpack_arrays(buffer.getvalue(), where="here")


def array_file(header: bytes, body: bytes = b"") -> bytes:
    header = header.ljust(117) + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + body)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        b"{'descr': '<U9', 'fortran_order': False, 'shape': (1,)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,",
        b"{'descr': ['x'], 'fortran_order': 1, 'shape': 7}",
        b"\xff(((",
    ],
)
def test_an_array_whose_header_lies_is_refused_before_memory_is_spent(header: bytes) -> None:
    with pytest.raises(BadArtifact, match="npz"):
        unpack_arrays(array_file(header, bytes(36)), where="here")
