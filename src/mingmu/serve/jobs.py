"""The routes by which jobs are followed and cancelled, and by which many images are looked at in one."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import orjson
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mingmu.core.answers import Wish
from mingmu.core.batching import FORMATS, BatchOptions, Format
from mingmu.core.errors import BadRequest, Conflict, ForbiddenUrl, NotFound
from mingmu.registry.jobs import Job
from mingmu.serve import uploads
from mingmu.serve.bodies import media_type_of
from mingmu.serve.events import Streams, public
from mingmu.serve.queries import Page, query
from mingmu.serve.replies import JSON, accepted, form_in, json_answer, service_of, store_of, submit
from mingmu.serve.service import Service

CHUNK = 2**20  # bytes of a result that are read at a time
FROM = re.compile(r"bytes=([0-9]{1,15})-")  # the one kind of range that is needed to go on with a download


@pydantic_dataclass(frozen=True, kw_only=True)
class BatchForm(BatchOptions):
    """How to look at many images, and what to write."""

    recognizer: str = Field("general", description="Which recognizer looks at them.")
    format: Format = Field("jsonl", description="What the rows are written as.")


@pydantic_dataclass(frozen=True, kw_only=True)
class BatchJson(BatchForm):
    """The same, and which images: those of a dataset, or those below a URL."""

    dataset: str | None = Field(None, description="A dataset that the service has; `name@3` is its version 3.")
    url: str | None = Field(None, max_length=4096, description="Such as s3://bucket/prefix/; only where the operator allows it.")


QUERY = TypeAdapter(BatchForm)
IN_QUERY = tuple(field.name for field in fields(BatchForm))


async def create_job(request: Request) -> Response:
    """Look at all images of an archive, a dataset or a URL: a job writes a row about each into one file."""
    if media_type_of(request.headers.get("content-type", "")) == JSON:
        return await _look_at_what_is_named(request)
    service, form = service_of(request), _form_in_query(request)
    recognizer = await _checked(service, form)
    with service.admission.admitted() as take:
        take(2 * uploads.PIECE)
        upload = await uploads.save(request, store_of(request).data_dir / "aside", service.settings)
        try:
            there = {"folder": str(upload.parent), "upload": str(upload), "source": str(upload), "dataset": ""}
            return await _queue(service, _question(form, recognizer) | there)
        except BaseException:
            uploads.discard(upload)
            raise


async def _look_at_what_is_named(request: Request) -> Response:
    service, store = service_of(request), store_of(request)
    query(request)
    async with service.call(request) as call:
        form = form_in(request, call, BatchJson)
        if (form.dataset is None) == (form.url is None):
            raise BadRequest("JSON: give either a dataset or a url; an archive is sent as the body itself")
        recognizer = await _checked(service, form)
        question = _question(form, recognizer) | {"source": form.url or "", "dataset": ""}
        if form.url is not None:
            check_url(form.url, service.settings.batch_urls)
        else:
            version = await asyncio.to_thread(store.datasets.resolve, form.dataset or "")
            question["dataset"] = f"{version.name}@{version.version}"
        name = hashlib.sha256(orjson.dumps(question, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
        return await _queue(service, question | {"folder": str(store.data_dir / "aside" / f"batch-{name}")})  # the same question goes on


def _form_in_query(request: Request) -> BatchForm:
    given = query(request, *IN_QUERY)
    try:
        return QUERY.validate_strings(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise BadRequest(f"{first['loc'][0]} is {str(first['input'])[:20]!r}: {first['msg']}") from None


async def _checked(service: Service, form: BatchForm) -> str:
    """The very version that is meant. Refuses now what the job could only fail at later. Raises Conflict, NotFound."""
    if form.format == "parquet" and find_spec("pyarrow") is None:
        raise Conflict("this service cannot write Parquet; ask for csv or jsonl, or the operator for pyarrow")
    version = await asyncio.to_thread(service.host.store.resolve, form.recognizer)
    if form.wish != Wish(top=form.top):
        (await service.host.served(form.recognizer)).recognizer.check(form.wish)
    return f"{version.name}@{version.version}"


def check_url(url: str, allowed: str | None) -> None:
    """Raise ForbiddenUrl for a URL that is not below one of those that the operator allows, with commas between."""
    prefixes = [f"{each.strip().rstrip('/')}/" for each in (allowed or "").split(",") if each.strip()]
    strange = re.search(r"\\|::|%2e|[?#]|/\.\.?(/|$)", url, re.IGNORECASE)  # what might lead out of a prefix again
    if strange or not any(f"{url.rstrip('/')}/".startswith(prefix) for prefix in prefixes):
        there = f"there are: {', '.join(prefixes)}" if prefixes else "the operator allows none"
        raise ForbiddenUrl(f"jobs may not read there; {there} (settings: batch_urls)")


def _question(form: BatchForm, recognizer: str) -> dict[str, Any]:
    return {"recognizer": recognizer, "format": form.format} | {each.name: getattr(form, each.name) for each in fields(BatchOptions)}


async def _queue(service: Service, arguments: dict[str, Any]) -> Response:
    job = await submit(service, "batch", arguments["recognizer"], arguments)
    return accepted(job, recognizer=arguments["recognizer"])


def job_result(request: Request) -> Response:
    """The rows that a batch has written, as a file; with `Range: bytes=N-`, what comes after its first N bytes."""
    query(request)
    store = store_of(request)
    job = store.jobs.get(_number(request))
    file = _file_of(job)
    blob, size = store.blobs.open(file["sha256"]), file["bytes"]
    wanted = FROM.fullmatch(request.headers.get("range", ""))
    begin = int(wanted[1]) if wanted and int(wanted[1]) < size else 0
    headers = {
        "content-length": str(size - begin),
        "content-disposition": f'attachment; filename="job-{job.id}.{file["format"]}"',
        "accept-ranges": "bytes",
        "etag": f'"{file["sha256"]}"',
    }
    if begin:
        headers["content-range"] = f"bytes {begin}-{size - 1}/{size}"
    return StreamingResponse(_pieces(blob, begin), 206 if begin else 200, headers, FORMATS[file["format"]])


def _file_of(job: Job) -> dict[str, Any]:
    if job.verb != "batch" or not job.result:
        raise NotFound(f"job {job.id} ({job.verb}, {job.state}) has no file; a batch has one once it is done")
    found: dict[str, Any] = job.result["file"]
    return found


def _pieces(blob: IO[bytes], begin: int) -> Iterator[bytes]:
    with blob:
        while begin:  # read, not skipped: at the end the bytes must have the SHA-256 that they are kept by
            begin -= len(blob.read(min(CHUNK, begin)))
        while piece := blob.read(CHUNK):
            yield piece


def jobs(request: Request) -> Response:
    """The jobs, the newest first."""
    page = Page.of(request)
    found = store_of(request).jobs.newest(page.number, page.wanted)
    return json_answer(page.show("jobs", found, _in_short, lambda job: job.id))


def _in_short(job: Job) -> dict[str, Any]:
    """A job as a listing has it: its result without the findings, which may be a thousand."""
    about = public(job)
    return about | ({"result": {name: value for name, value in about["result"].items() if name != "findings"}} if about["result"] else {})


def job(request: Request) -> Response:
    """How a job stands, or what came of it."""
    return json_answer(public(store_of(request).jobs.get(_number(request))))


async def job_events(request: Request) -> Response:
    """What happens to a job, as server-sent events; `end` is the last and holds the job."""
    streams: Streams = request.app.state.streams
    number, after = _number(request), request.headers.get("last-event-id", "0")
    if not (after.isascii() and after.isdecimal() and len(after) <= 9):
        raise BadRequest(f"Last-Event-ID is {after[:20]!r}; it is the id of an event")
    await asyncio.to_thread(store_of(request).jobs.get, number)
    return streams.response(number, int(after))


def cancel_job(request: Request) -> Response:
    """Ask that a job ends; one that runs takes a moment to do so. Of one that waited, no worker will remove the upload."""
    job = store_of(request).jobs.cancel(_number(request))
    if job.state == "cancelled" and (upload := job.arguments.get("upload")):
        uploads.discard(Path(upload))
    return json_answer(public(job))


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/jobs", create_job),
    ("GET", "/v1/jobs", jobs),
    ("GET", "/v1/jobs/{id}", job),
    ("DELETE", "/v1/jobs/{id}", cancel_job),
    ("GET", "/v1/jobs/{id}/events", job_events),
    ("GET", "/v1/jobs/{id}/result", job_result),
]


def _number(request: Request) -> int:
    given = request.path_params["id"]
    if not (given.isascii() and given.isdecimal() and len(given) <= 9):
        raise NotFound(f"no job {given[:20]!r}; a job is named by its number")
    return int(given)
