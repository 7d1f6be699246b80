"""Images at a URL or below it: s3://bucket/prefix, https://host/folder/, and whatever else fsspec reaches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from mingmu.batch.sources import Item, in_order
from mingmu.core.errors import BadRequest, FetchFailed, MissingExtra, NotFound, Unreachable
from mingmu.data.readers import archive
from mingmu.data.readers.entry import is_image

ATTEMPTS = 3
ABOUT_IT = (PermissionError, IsADirectoryError, NotADirectoryError, ValueError)  # what file systems say of one file
PASSING = (408, 425, 429, 502, 503, 504)  # the statuses of a web server that does not serve now
PAUSE = 0.5  # seconds before the second attempt; twice as long before the third
SUFFIXES = (".zip", *archive.TAR_SUFFIXES)


class Prefix:
    """The images below a URL, listed a folder at a time. Redirects are not followed: they might lead out of it."""

    remote = True

    def __init__(self, url: str, files: Any, root: str) -> None:
        self._files = files
        self._root = root
        self.about = {"input": url}

    @classmethod
    def of(cls, url: str) -> Self:
        """Open a URL; raises BadRequest, MissingExtra."""
        import fsspec

        web = url.startswith(("http://", "https://"))
        if url.lower().endswith(SUFFIXES):
            raise BadRequest(f"{url}: an archive is read from the disk; fetch it first")
        try:
            options = {"allow_redirects": False} if web else {}
            files, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
        except ImportError as error:
            extra = "http" if web else "s3"
            raise MissingExtra(f"{url}: {error}; pip install 'mingmu[{extra}]'") from error
        except ValueError as error:
            raise BadRequest(f"{url}: {error}") from error
        return cls(url, files, root if is_image(root) else root.rstrip("/") + "/")

    def items(self, aside: Path) -> Iterator[Item]:
        return in_order(self._found(), aside)

    def read(self, key: str, limit: int) -> bytes:
        """The same; raises Unreachable where nobody says anything about the image, as opposed to that it is not to be had."""
        attempt = 1
        while True:
            try:
                return bytes(self._files.cat_file(key, start=0, end=limit + 1))
            except FileNotFoundError:
                raise NotFound("no such file") from None
            except Exception as error:  # every file system has its own
                status = getattr(error, "status", None)
                answered = isinstance(error, ABOUT_IT) or status not in (None, *PASSING)
                if attempt == ATTEMPTS or (answered and (status or 0) < 500):
                    said = f"{type(error).__name__}{f' {status}' if status else ''}"
                    raise (FetchFailed if answered else Unreachable)(f"the image could not be fetched: {said}") from error
            time.sleep(PAUSE * attempt)
            attempt += 1

    def _found(self) -> Iterator[Item]:
        if is_image(self._root):
            yield Item(self._root.rpartition("/")[2], self._root)
            return
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            for found in self._listed(folder):
                name = str(found["name"])
                relative = name.removeprefix(self._root)
                if relative == name or not {".", ".."}.isdisjoint(name.split("/")):  # a web page links where it will
                    continue
                if found["type"] == "directory":
                    if len(name.rstrip("/")) >= len(folder):
                        waiting.append(name.rstrip("/") + "/")
                elif is_image(name):
                    yield Item(relative, name)

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        try:
            listed: list[dict[str, Any]] = self._files.ls(folder, detail=True)
        except FileNotFoundError:
            raise NotFound(f"there is nothing at {folder}") from None
        except Exception as error:  # every file system has its own
            raise FetchFailed(f"{folder} cannot be listed: {type(error).__name__}: {error}") from error
        return listed
