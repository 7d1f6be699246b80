"""A tree of files, on disk or in an archive: names to bytes, and no way out of it."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from mingmu.core.errors import BodyTooLarge, NotFound
from mingmu.data.finding import Finding

_JUNK = frozenset(("__macosx", "thumbs.db", "desktop.ini"))


class Tree(Protocol):
    """Files by name. Names are relative, with slashes, in Unicode's NFC, without hidden files."""

    @property
    def names(self) -> Sequence[str]:
        """All files, sorted."""
        ...

    @property
    def folders(self) -> Sequence[str]:
        """All folders, empty ones too."""
        ...

    @property
    def findings(self) -> Sequence[Finding]:
        """What was left out, and why."""
        ...

    def read(self, name: str, limit: int) -> bytes:
        """A file's bytes; raises NotFound, and BodyTooLarge over `limit` bytes. Safe to call from several threads."""
        ...


class FolderTree:
    """The files under a folder. Links are followed as long as they stay inside it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @property
    def names(self) -> Sequence[str]:
        return list(self._files)

    @cached_property
    def folders(self) -> Sequence[str]:
        return sorted(
            relative
            for folder, children, _ in os.walk(self.root)
            for child in children
            if (relative := clean_name(os.path.relpath(Path(folder, child), self.root)))
        )

    @cached_property
    def findings(self) -> Sequence[Finding]:
        return tuple(
            Finding.of("special-file", name)
            if inside(self.root, path)
            else Finding.of("path-outside", name, detail="a link that leads out")
            for name, path in self._walked.items()
            if not self._allowed(path)
        )

    def read(self, name: str, limit: int) -> bytes:
        path = self.root / name
        if not (path.is_file() and inside(self.root, path)):
            if name not in self._files:
                raise NotFound(f"there is no file {name}")
            path = self._files[name]
        if path.stat().st_size > limit:
            raise BodyTooLarge(f"{name} has {path.stat().st_size} bytes; the limit is {limit}")
        return path.read_bytes()

    def name_of(self, raw: str) -> str | None:
        """The name that an absolute path of this machine has here; None if it is relative, or leads elsewhere."""
        path = Path(raw)
        if not path.is_absolute() or "\0" in raw:
            return None
        found = _real(path.parent) / path.name
        return clean_name(found.relative_to(self.root).as_posix()) or None if found.is_relative_to(self.root) else None

    @cached_property
    def _files(self) -> dict[str, Path]:
        return {name: path for name, path in self._walked.items() if self._allowed(path)}

    @cached_property
    def _walked(self) -> dict[str, Path]:
        """Files and links by clean name, sorted; hidden folders are not entered."""
        found: dict[str, Path] = {}
        for folder, children, files in os.walk(self.root):
            links = [child for child in children if Path(folder, child).is_symlink()]
            children[:] = [child for child in children if not is_hidden(child)]
            for file in (*files, *links):
                path = Path(folder, file)
                if name := clean_name(os.path.relpath(path, self.root)):
                    found[name] = path
        return dict(sorted(found.items()))

    def _allowed(self, path: Path) -> bool:
        return path.is_file() and (not path.is_symlink() or inside(self.root, path))  # a pipe would wait for ever


class Finder:
    """Finds images by the end of their path, as annotations made elsewhere name them."""

    def __init__(self, names: Sequence[str], key: Callable[[PurePosixPath], str] = lambda path: path.name) -> None:
        self._key = key
        self._named: dict[str, list[str]] = {}
        for name in names:
            self._named.setdefault(key(PurePosixPath(name)), []).append(name)

    def find(self, wanted: str, near: str) -> str | None:
        """The file whose path ends like `wanted`; of several the one whose path shares most parts with `near`."""
        path = PurePosixPath(wanted.replace("\\", "/"))
        there = self._named.get(unicodedata.normalize("NFC", self._key(path)), [])
        folders = PurePosixPath(near).parts
        return max(there, key=lambda name: (_alike(PurePosixPath(name).parent, path.parent), _shared(name, folders)), default=None)


def _alike(a: PurePosixPath, b: PurePosixPath) -> int:
    """How many folders, from the innermost out, two paths have in common."""
    count = 0
    for mine, theirs in zip(reversed(a.parts), reversed(b.parts), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _shared(name: str, folders: Sequence[str]) -> int:
    return len(set(PurePosixPath(name).parts[:-1]) & set(folders))


def clean_name(raw: str) -> str:
    """A name in NFC with slashes; empty if it, or a folder it is in, is hidden or another program's litter."""
    text = os.fsencode(raw).decode("utf-8", "replace")
    path = PurePosixPath(unicodedata.normalize("NFC", text.replace("\\", "/")))
    return "" if any(is_hidden(part) for part in path.parts) else path.as_posix()


def is_hidden(part: str) -> bool:
    return part not in (".", "..") and (part.startswith(".") or part.lower() in _JUNK)


def is_outside(name: str) -> bool:
    """Whether a path is absolute, in the manner of any system, or climbs out with `..`."""
    parts = name.replace("\\", "/").split("/")
    return not parts[0] or ".." in parts or parts[0].endswith(":") or "\0" in name


def inside(root: Path, path: Path) -> bool:
    return _real(path).is_relative_to(root)


def _real(path: Path) -> Path:
    """Where a path leads; a link to itself leads nowhere, of which Path.resolve makes an error."""
    return Path(os.path.realpath(path))
