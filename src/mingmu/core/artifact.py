"""A sealed folder: manifest, weights, and the probes that prove them.

    manifest.json      what it is, and the SHA-256 of every other file
    graph.onnx         backbone or whole model: uint8 pixels in, arrays out
    head.npz           head: `weight` float32 [F, C], `bias` float32 [C]
    probes.npz         what the probe images became: pixels, and the outputs or scores
    answers.json       chain: what it said of the probe images
    probes/NAME.jpg    the probe images (a head uses those of its backbone)

The manifest is written last: a folder without one is not an artifact.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadArtifact
from mingmu.core.manifest import Manifest, digest_of

Array = NDArray[np.generic]

MANIFEST = "manifest.json"
GRAPH = "graph.onnx"
HEAD = "head.npz"
PROBES = "probes.npz"
ANSWERS = "answers.json"
MAX_ARRAY_BYTES = 2**30


@dataclass(frozen=True)
class Probe:
    """An image, and what became of it where the artifact was sealed."""

    name: str
    image: bytes
    pixels: NDArray[np.uint8] | None  # [H, W, 3] after PixelSpec.frame; None: those of the backbone's own probe
    outputs: Mapping[str, NDArray[np.float32]]  # by output name, without the batch axis


@dataclass(frozen=True)
class Artifact:
    """A folder that is what its manifest says. Bytes are checked when they are read."""

    folder: Path
    manifest: Manifest
    digest: str

    def read(self, name: str) -> bytes:
        """One file's bytes; raises BadArtifact if they are not those that were sealed."""
        if name not in self.manifest.files:
            raise BadArtifact(f"{self.folder} holds no {name}; a {self.manifest.kind} has one")
        data = (self.folder / name).read_bytes()
        if digest_of(data) != self.manifest.files[name]:
            raise BadArtifact(f"{self.folder / name} is not the file that was sealed")
        return data

    def arrays(self, name: str) -> dict[str, Array]:
        """The arrays of one .npz file; pickles are never loaded."""
        return unpack_arrays(self.read(name), where=str(self.folder / name))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def seal(folder: Path, manifest: Manifest) -> Artifact:
    """Hash what lies in `folder` into the manifest, and write the manifest."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = {name: digest_of((folder / name).read_bytes()) for name in names}
    sealed = Manifest.model_validate(manifest.model_dump() | {"files": files})
    data = sealed.to_json()
    (folder / MANIFEST).write_bytes(data)
    return Artifact(folder, sealed, digest_of(data))


def load(folder: Path) -> Artifact:
    """Open a sealed folder; raises BadArtifact unless it holds exactly the files its manifest names."""
    try:
        data = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise BadArtifact(f"{folder} has no {MANIFEST}: it was never sealed") from None
    manifest = Manifest.from_json(data)
    there = set()
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise BadArtifact(f"{path} is a link; an artifact holds plain files")
        if path.is_file():
            there.add(path.relative_to(folder).as_posix())
    if there != {*manifest.files, MANIFEST}:
        odd = sorted(there ^ {*manifest.files, MANIFEST})
        raise BadArtifact(f"{folder} does not hold the files its manifest names: {', '.join(odd[:5])}")
    return Artifact(folder, manifest, digest_of(data))


def verify(artifact: Artifact) -> None:
    """Read every file; raises BadArtifact at the first that is not what was sealed."""
    for name in artifact.manifest.files:
        artifact.read(name)


def pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    """Arrays as the bytes of an .npz file. Not compressed: equal arrays give equal bytes, whatever zlib is installed."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack_arrays(data: bytes, *, where: str) -> dict[str, Array]:
    """Arrays from the bytes of an .npz file; raises BadArtifact for pickles, bombs and rubbish."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            if unpacked > MAX_ARRAY_BYTES:
                raise BadArtifact(f"{where} unpacks to {unpacked} bytes; the limit is {MAX_ARRAY_BYTES}")
            return {info.filename.removesuffix(".npy"): _unpack_array(archive, info) for info in archive.infolist()}
    except BadArtifact:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen unrelated classes for rubbish
        raise BadArtifact(f"{where}: not a readable .npz file: {error}") from error


def _unpack_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    """One array; its header is believed only after it was held against what is there."""
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
    if dtype.kind not in "biuf":
        raise ValueError(f"{info.filename} holds {dtype}; only numbers are read")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > info.file_size:
        raise ValueError(f"{info.filename} claims the shape {shape} but has {info.file_size} bytes")
    with archive.open(info) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
