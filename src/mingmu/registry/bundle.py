"""A recognizer as one file: a zip of what it is made of, nothing compressed, equal recognizers giving equal bytes.

    <digest>/manifest.json       the recognizer's manifest, first
    <digest>/...                 its files
    <digest of backbone>/...     a head's backbone, or a chain's parts, likewise

What is read back goes by the manifests alone: a name, a byte or a file that they do not account for refuses the whole.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mingmu.core.artifact import MANIFEST
from mingmu.core.errors import BadArtifact
from mingmu.core.graph import MAX_GRAPH_BYTES
from mingmu.core.manifest import MAX_MANIFEST_BYTES, Manifest, digest_of
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version, check_name

MAX_ENTRIES = 1000
MAX_FILE_BYTES = MAX_GRAPH_BYTES
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first day that a zip knows


def pack(store: Store, digest: str, file: Path) -> None:
    """Write a recognizer, with what it is nothing without, into one file. Raises BadArtifact if a byte of it was changed."""
    part = file.with_name(file.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for artifact in store.shelf.with_needed(digest):
                _write(archive, f"{artifact.digest}/{MANIFEST}", artifact.manifest.to_json())
                for name in sorted(artifact.manifest.files):
                    _write(archive, f"{artifact.digest}/{name}", artifact.read(name))
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def unpack(store: Store, file: Path, name: str | None = None) -> Version:
    """Read a file that `pack` wrote, prove its recognizer, and only then put it into the store, under its own name or `name`.

    Raises BadArtifact for a file that is damaged, was changed or is no bundle; Unproven where this machine answers otherwise.
    """
    with _opened(file) as archive, tempfile.TemporaryDirectory(dir=store.data_dir / "aside") as folder:
        aside = Store(Path(folder))
        digest = _copy(archive, aside)
        name = name or aside.artifact(digest).manifest.name
        check_name(name)
        Library(aside).open(digest)
        for artifact in reversed(aside.shelf.with_needed(digest)):
            store.add(partial(shutil.copytree, artifact.folder, dirs_exist_ok=True))
    return store.publish(name, digest)


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3  # Unix, wherever it is written
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    archive.writestr(entry, data)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            _check_entries(archive, file)
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise BadArtifact(f"{file} is damaged, or is not a file that `mingmu export` wrote: {error}") from error


def _check_entries(archive: zipfile.ZipFile, file: Path) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise BadArtifact(f"{file} has {len(entries)} entries; the limit is {MAX_ENTRIES}")
    if len({entry.filename for entry in entries}) != len(entries):
        raise BadArtifact(f"{file} has two entries of one name")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or stat.S_ISLNK(entry.external_attr >> 16):
            raise BadArtifact(f"{file}: {entry.filename!r} is compressed, encrypted or a link; `mingmu export` stores plain files")
        if entry.file_size > MAX_FILE_BYTES:
            raise BadArtifact(f"{file}: {entry.filename!r} has {entry.file_size} bytes; the limit is {MAX_FILE_BYTES}")
    if sum(entry.file_size for entry in entries) > file.stat().st_size:
        raise BadArtifact(f"{file}: its entries overlap")


def _copy(archive: zipfile.ZipFile, store: Store) -> str:
    """Put the bundle's artifacts into a store, what others need first, and give the recognizer's digest."""
    names = archive.namelist()
    digest, _, rest = names[0].partition("/") if names else ("", "", "")
    if rest != MANIFEST:
        raise BadArtifact(f"the first entry is {names[0] if names else 'missing'!r}; it should be the recognizer's manifest")
    manifests: dict[str, Manifest] = {}
    wanted = [digest]
    for each in wanted:
        if each not in manifests:
            manifests[each] = _manifest(archive, each)
            wanted += manifests[each].beneath
    expected = {f"{owner}/{name}" for owner, manifest in manifests.items() for name in (MANIFEST, *manifest.files)}
    if odd := sorted(expected ^ set(names)):
        raise BadArtifact(f"the entries are not those that the manifests name: {', '.join(map(repr, odd[:5]))}")
    for owner, manifest in reversed(manifests.items()):
        store.add(partial(_extract, archive, owner, manifest))
    return digest


def _manifest(archive: zipfile.ZipFile, digest: str) -> Manifest:
    name = f"{digest}/{MANIFEST}"
    if name not in archive.namelist():
        raise BadArtifact(f"{name} is missing")
    if archive.getinfo(name).file_size > MAX_MANIFEST_BYTES:
        raise BadArtifact(f"{name} is longer than {MAX_MANIFEST_BYTES} bytes")
    data = archive.read(name)
    if digest_of(data) != digest:
        raise BadArtifact(f"{name} has the SHA-256 {digest_of(data)}: it was changed after sealing")
    return Manifest.from_json(data)


def _extract(archive: zipfile.ZipFile, digest: str, manifest: Manifest, folder: Path) -> None:
    for name, sealed in manifest.files.items():
        data = archive.read(f"{digest}/{name}")
        if digest_of(data) != sealed:
            raise BadArtifact(f"{digest[:12]}…/{name} is not the file that was sealed")
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest.to_json())
