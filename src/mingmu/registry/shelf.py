"""Sealed artifacts by digest: folders that never change, made aside and then put in their place in one step."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from mingmu.core.artifact import MANIFEST, Artifact, load
from mingmu.core.disk import flush
from mingmu.core.errors import BadArtifact, NotFound
from mingmu.core.manifest import Manifest, digest_of
from mingmu.registry.blobs import SHA256, Blobs


class Shelf:
    """The folder of artifacts, and, where blobs lie elsewhere, their copies there."""

    def __init__(self, folder: Path, aside: Path, lock: Callable[[], AbstractContextManager[None]], mirror: Blobs | None = None) -> None:
        self.folder = folder
        self.mirror = mirror
        self._aside = aside
        self._lock = lock  # held while an artifact is put in its place or taken from it

    def add(self, build: Callable[[Path], object]) -> Artifact:
        """Let `build` seal an artifact into an empty folder aside, then put it in its place."""
        folder = Path(tempfile.mkdtemp(dir=self._aside))
        try:
            build(folder)
            artifact = load(folder)
            if self.mirror:
                copy(artifact, self.mirror)
            _flush(folder)
            folder.chmod(0o755)
            target = self.folder / artifact.digest
            with self._lock():
                if not target.exists():
                    folder.rename(target)
                os.utime(target)  # its age counts from when it was last wanted
            flush(self.folder)
            return load(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def get(self, digest: str) -> Artifact:
        """The artifact with this digest; raises NotFound, or BadArtifact if its folder is another one."""
        folder = self.folder / digest
        if not folder.is_dir():
            if not self.mirror or not SHA256.fullmatch(digest):
                raise NotFound(f"no artifact {digest[:12]}… in {self.folder}")
            return self.add(partial(_fetch, self.mirror, digest))
        artifact = load(folder)
        if artifact.digest != digest:
            raise BadArtifact(f"{folder} holds the manifest of {artifact.digest[:12]}…: it was changed after sealing")
        return artifact

    def manifest(self, digest: str) -> Manifest:
        """An artifact's manifest alone, from wherever it lies; raises NotFound, BadArtifact."""
        file = self.folder / digest / MANIFEST
        if not file.is_file():
            if not self.mirror:
                raise NotFound(f"no artifact {digest[:12]}… in {self.folder}")
            return Manifest.from_json(self.mirror.get(digest))
        data = file.read_bytes()
        if digest_of(data) != digest:
            raise BadArtifact(f"{file} was changed after sealing: it is not that of {digest[:12]}…")
        return Manifest.from_json(data)

    def with_needed(self, digest: str) -> list[Artifact]:
        """An artifact, and all that it is nothing without, each after what needs it; raises NotFound, BadArtifact."""
        found: dict[str, Artifact] = {}

        def find(wanted: str) -> None:
            if wanted not in found:
                artifact = self.get(wanted)
                for needed in artifact.manifest.beneath:
                    find(needed)
                found[wanted] = artifact

        find(digest)
        return [*reversed(found.values())]

    def share(self, digest: str) -> None:
        """See to it that an artifact, and what it needs, is where the other machines find it."""
        if self.mirror:
            for artifact in self.with_needed(digest):
                copy(artifact, self.mirror)

    def discard(self, keep: set[str], before: float) -> int:
        """Remove the artifacts that are not to be kept and were added before this time; gives how many."""
        away = Path(tempfile.mkdtemp(dir=self._aside))
        with self._lock():
            found = [path for path in self.folder.iterdir() if path.name not in keep and path.stat().st_mtime < before]
            for path in found:
                path.rename(away / path.name)
        shutil.rmtree(away)
        return len(found)


def copy(artifact: Artifact, blobs: Blobs) -> None:
    """Keep the files of an artifact as blobs, the manifest last: it is the blob whose SHA-256 is the artifact's digest."""
    for name in (*artifact.manifest.files, MANIFEST):
        with (artifact.folder / name).open("rb") as file:
            blobs.put_stream(file)


def _fetch(blobs: Blobs, digest: str, folder: Path) -> None:
    data = blobs.get(digest)
    for name, sha256 in Manifest.from_json(data).files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with blobs.open(sha256) as source, (folder / name).open("wb") as target:
            shutil.copyfileobj(source, target)
    (folder / MANIFEST).write_bytes(data)


def _flush(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        flush(path)
