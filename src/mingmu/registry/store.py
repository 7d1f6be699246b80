"""The data folder: artifacts by digest, recognizers by name and version.

    artifacts/<digest>/      sealed folders; they never change
    recognizers/<name>.json  the versions of a name, the newest last
    weights/<file>           what `mingmu pull` fetched
    aside/                   work in progress; nothing in here counts

Everything is written aside, flushed, and renamed: a process killed at any moment leaves the old state or the new.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mingmu.core.artifact import Artifact, load
from mingmu.core.errors import BadArtifact, BadRequest, NotFound

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ABANDONED_AFTER = 24 * 3600.0  # seconds; work aside that is older belongs to a process that died


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a name: which artifact it is, and since when."""

    name: str
    version: int
    digest: str
    created: str  # ISO 8601, UTC


class Store:
    """One data folder. Several processes may use it at once."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.artifacts = data_dir / "artifacts"
        self.recognizers = data_dir / "recognizers"
        self.weights = data_dir / "weights"
        self._aside = data_dir / "aside"
        for folder in (self.artifacts, self.recognizers, self.weights, self._aside):
            folder.mkdir(parents=True, exist_ok=True)
        self._sweep()

    def add(self, build: Callable[[Path], object]) -> Artifact:
        """Let `build` seal an artifact into an empty folder aside, then make it part of the store."""
        folder = Path(tempfile.mkdtemp(dir=self._aside))
        try:
            build(folder)
            artifact = load(folder)
            target = self.artifacts / artifact.digest
            if not target.exists():
                _flush(folder)
                folder.chmod(0o755)
                try:
                    folder.rename(target)
                except OSError:
                    if not target.exists():  # another process sealed the same artifact a moment ago: fine
                        raise
                _flush_folder(self.artifacts)
            return load(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def artifact(self, digest: str) -> Artifact:
        """The artifact with this digest; raises NotFound, or BadArtifact if its folder is another one."""
        folder = self.artifacts / digest
        if not folder.is_dir():
            raise NotFound(f"no artifact {digest[:12]}… in {self.artifacts}")
        artifact = load(folder)
        if artifact.digest != digest:
            raise BadArtifact(f"{folder} holds the manifest of {artifact.digest[:12]}…: it was changed after sealing")
        return artifact

    def publish(self, name: str, digest: str) -> Version:
        """Make an artifact the newest version of a name. The same artifact again changes nothing."""
        check_name(name)
        with self.lock(f"recognizer-{name}"):
            versions = self.versions(name) if self._file(name).exists() else []
            if versions and versions[-1].digest == digest:
                return versions[-1]
            number = versions[-1].version + 1 if versions else 1
            new = Version(name, number, digest, datetime.now(UTC).isoformat(timespec="seconds"))
            self._write(self._file(name), [*versions, new])
            return new

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(path.stem for path in self.recognizers.glob("*.json"))

    def versions(self, name: str) -> list[Version]:
        """All versions of a name, the newest last; raises NotFound."""
        check_name(name)
        try:
            rows = json.loads(self._file(name).read_bytes())["versions"]
            return [Version(**row) for row in rows]
        except FileNotFoundError:
            known = ", ".join(self.names()[:10]) or "none yet"
            raise NotFound(f"no recognizer named {name!r}; there are: {known}") from None
        except (ValueError, TypeError, KeyError) as error:
            raise BadArtifact(f"{self._file(name)} is damaged: {error}") from error

    def resolve(self, reference: str) -> Version:
        """The version that `name` (its newest) or `name@3` means; raises NotFound."""
        name, _, wanted = reference.partition("@")
        versions = self.versions(name)
        if not wanted:
            return versions[-1]
        for version in versions:
            if str(version.version) == wanted:
                return version
        raise NotFound(f"{name} has no version {wanted!r}; it has {', '.join(str(v.version) for v in versions)}")

    def revision(self) -> int:
        """A number that changes whenever a name changes; cheap enough to ask every second."""
        return self.recognizers.stat().st_mtime_ns

    @contextmanager
    def lock(self, what: str) -> Iterator[None]:
        """Hold a lock that all processes on this data folder respect."""
        from filelock import FileLock

        with FileLock(self._aside / f"{what}.lock"):
            yield

    def _file(self, name: str) -> Path:
        return self.recognizers / f"{name}.json"

    def _write(self, path: Path, versions: list[Version]) -> None:
        text = json.dumps({"versions": [asdict(version) for version in versions]}, indent=1)
        with tempfile.NamedTemporaryFile("w", dir=self._aside, delete=False) as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
        _flush_folder(path.parent)

    def _sweep(self) -> None:
        for path in self._aside.iterdir():
            if path.is_dir() and time.time() - path.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(path, ignore_errors=True)


def check_name(name: str) -> None:
    """Raise BadRequest unless `name` can name a recognizer."""
    if not NAME.fullmatch(name):
        raise BadRequest(f"{name!r} cannot be a name: 1 to 64 of a-z 0-9 . _ - with a letter or digit first")


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be flushed, and need not be
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
