"""Questions by which a service looks at a great many images."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
from pydantic import TypeAdapter, ValidationError

from mingmu.client.archive import Archive
from mingmu.client.calls import Call, document_of
from mingmu.client.progress import Progress
from mingmu.client.teaching import Job, accepted
from mingmu.core.batching import FORMATS, Asked, BatchOptions
from mingmu.core.errors import BadRequest, Overloaded

STEP = "downloading"


@dataclass(frozen=True, slots=True)
class Batched:
    """Images that a service has looked at, and the file with a row about each."""

    out: Path
    recognizer: str  # with its version, as in flowers@3
    digest: str
    images: int
    errors: Mapping[str, int]  # images by the kind of what was wrong with them
    labels: Mapping[str, int]  # images by their surest label
    result: Mapping[str, Any]  # all that the service said


def asked(recognizer: str, out: Path, options: Asked) -> dict[str, Any]:
    """What to ask for; raises BadRequest, before anything is sent."""
    format = out.suffix.lower().removeprefix(".")
    if format not in FORMATS:
        raise BadRequest(f"{out.name} says no format; end it with one of {', '.join(f'.{format}' for format in FORMATS)}")
    try:
        TypeAdapter(BatchOptions).validate_json(json.dumps(options))  # as the service will
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadRequest(f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}") from None
    return {"recognizer": recognizer, "format": format} | {name: value for name, value in options.items() if value is not None}


def of_archive(archive: Archive, question: Mapping[str, Any]) -> Call[Job]:
    """Look at the images of a folder or an archive, which is sent."""
    headers = {"Content-Type": "application/octet-stream"}
    return Call({"method": "POST", "url": "/v1/jobs", "params": dict(question), "content": archive, "headers": headers}, accepted)


def of_named(question: Mapping[str, Any], dataset: str | None, url: str | None) -> Call[Job]:
    """Look at images that the service has, or can reach."""
    where = {"dataset": dataset} if dataset else {"url": url}
    return Call({"method": "POST", "url": "/v1/jobs", "json": dict(question) | where}, accepted)


def check_source(source: str | os.PathLike[str] | None, dataset: str | None, url: str | None) -> None:
    """Raise BadRequest unless exactly one says where the images are."""
    if sum(each is not None for each in (source, dataset, url)) != 1:
        raise BadRequest("say where the images are: a folder or an archive, or else dataset=, or else url=")


class Download:
    """Fetches the rows of a job through as many connections as it takes; `out` is there as a whole or not at all."""

    resumes = True  # each connection goes on where the last one broke off

    def __init__(self, job: Job, out: Path, progress: Progress) -> None:
        self._job = job
        self._out = out
        self._part = out.with_name(f"{out.name}.download")
        self._part.unlink(missing_ok=True)
        self._progress = progress
        self._size = int((job.result or {})["file"]["bytes"])

    @property
    def request(self) -> dict[str, Any]:
        """What to ask for next; begins where the last connection broke off."""
        headers = {"Range": f"bytes={self._have}-"} if self._have else {}
        return {"method": "GET", "url": f"/v1/jobs/{self._job.id}/result", "headers": headers}

    @property
    def over(self) -> bool:
        return self._have == self._size

    @property
    def _have(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def begin(self, response: httpx.Response) -> IO[bytes]:
        """Where the bytes of a response go; raises the error that it stands for."""
        if not response.is_success:
            document_of(response)
        return self._part.open("ab" if response.status_code == 206 else "wb")

    def report(self, file: IO[bytes]) -> None:
        self._progress(STEP, file.tell() / max(1, self._size))

    def pause(self) -> None:
        """Raise Overloaded where the stream came to its end before the file did."""
        if not self.over:
            raise Overloaded(f"the rows of job {self._job.id} broke off after {self._have} of {self._size} bytes")

    def batched(self) -> Batched:
        """What there is now."""
        self._part.replace(self._out)
        result = self._job.result or {}
        name = f"{result['recognizer']}@{result['version']}"
        return Batched(self._out, name, result["digest"], result["images"], result["errors"], result["labels"], result)
