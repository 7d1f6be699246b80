"""The routes by which recognizers are taught, followed, measured and published: everything that is not an answer."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import asdict
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from mingmu.core.errors import BadRequest, NotFound, UnsupportedBody
from mingmu.core.pixels import Limits, PixelSpec
from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.jobs import Job
from mingmu.registry.naming import check_name
from mingmu.registry.store import Store
from mingmu.serve import uploads
from mingmu.serve.attendance import together
from mingmu.serve.bodies import Url, check_json, images_in
from mingmu.serve.events import Streams, public
from mingmu.serve.service import Call, Service

JSON = "application/json"
LOOK = PixelSpec(size=(8, 8), fit="squash", filter="nearest")  # enough to know that an image can be decoded
MAX_LABEL = 200  # characters
PAGE_RULES = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:", "vary": "accept"}

Form = TypeVar("Form", bound=BaseModel)


class TeachJson(BaseModel):
    """What to teach a recognizer, and how."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dataset: str = Field(description="A dataset that the service has; `name@3` is its version 3.")
    backbone: str = Field("general", description="The recognizer whose features are used.")
    effort: Literal["quick", "normal", "thorough"] = Field("normal", description="How many ways of looking at the images are compared.")


class AliasJson(BaseModel):
    """Where an alias shall point."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alias: str
    version: int = Field(ge=1, le=999_999_999)


class RollbackJson(BaseModel):
    """The alias that goes back a step."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alias: str


async def create_dataset(request: Request) -> Response:
    """Upload an archive of labelled images; a job reads it as the newest version of a dataset."""
    service = _service(request)
    name = _query(request, "name").get("name", "")
    check_name(name)
    with service.host.admitted(), service.budget.hold() as take:
        take(2 * uploads.PIECE)
        upload = await uploads.save(request, _store(request).data_dir / "aside", service.settings)
        try:
            job = await _submit(service, "read", name, {"name": name, "upload": str(upload)})
        except BaseException:
            uploads.discard(upload)
            raise
    return _accepted(job, dataset=name)


def datasets(request: Request) -> Response:
    """The datasets that there are, each at its newest version."""
    found = _store(request).datasets
    return _json({"datasets": [_about(found.resolve(name)) for name in found.names()]})


def dataset(request: Request) -> Response:
    """What a dataset holds: its labels with the number of images of each, its findings, its versions."""
    store = _store(request)
    version = store.datasets.resolve(request.path_params["name"])
    rows = [json.loads(line) for line in store.datasets.examples(version).splitlines()]
    found = store.records.reports(version.digest)
    about = {
        "images": len(rows),
        "labels": dict(sorted(Counter(label for row in rows for label in row.get("labels", ())).items())),
        "findings": orjson.loads(store.blobs.get(found[-1].blob)) if found else [],
        "versions": [each.version for each in store.datasets.versions(version.name)],
    }
    return _json(_about(version) | about)


async def teach(request: Request) -> Response:
    """Teach a recognizer a dataset; a job does it, and the result is served as soon as it has proven itself."""
    service, name = _service(request), request.path_params["name"]
    check_name(name)
    async with service.call(request) as call:
        form = _form(request, call, TeachJson)
        await asyncio.to_thread(_store(request).datasets.resolve, form.dataset)
        job = await _submit(service, "teach", name, {"name": name} | form.model_dump())
    return _accepted(job, recognizer=name)


async def add_examples(request: Request) -> Response:
    """Add images, all with one label, to what a recognizer was taught on: "this is a pear"."""
    service, store = _service(request), _store(request)
    query = _query(request, "label", "teach")
    label, again = query.get("label", "").strip(), query.get("teach", "false")
    if not 1 <= len(label) <= MAX_LABEL or not label.isprintable():
        raise BadRequest(f"label is what the images show, 1 to {MAX_LABEL} printable characters, as in ?label=pear")
    if again not in ("true", "false"):
        raise BadRequest(f"teach is {again[:20]!r}; it is true or false")
    async with service.call(request) as call:
        name = (await asyncio.to_thread(store.resolve, request.path_params["name"])).name
        wanted = await asyncio.to_thread(images_in, call.body, request.headers.get("content-type", ""), service.max_images)
        images = await together([_image(service, call, source) for source in wanted.images])
        kept = [await asyncio.to_thread(store.blobs.put, image) for image in images]
        job = await _submit(service, "add", name, {"recognizer": name, "label": label, "images": kept, "teach": again == "true"})
    return _accepted(job, recognizer=name)


def jobs(request: Request) -> Response:
    """The latest jobs, the newest first."""
    return _json({"jobs": [public(job) for job in _store(request).jobs.newest()]})


def job(request: Request) -> Response:
    """How a job stands, or what came of it."""
    return _json(public(_store(request).jobs.get(_number(request))))


async def job_events(request: Request) -> Response:
    """What happens to a job, as server-sent events; `end` is the last and holds the job."""
    streams: Streams = request.app.state.streams
    number, after = _number(request), request.headers.get("last-event-id", "0")
    if not (after.isascii() and after.isdecimal() and len(after) <= 9):
        raise BadRequest(f"Last-Event-ID is {after[:20]!r}; it is the id of an event")
    await asyncio.to_thread(_store(request).jobs.get, number)
    return streams.response(number, int(after))


def cancel_job(request: Request) -> Response:
    """Ask that a job ends; one that runs takes a moment to do so."""
    return _json(public(_store(request).jobs.cancel(_number(request))))


def report(request: Request) -> Response:
    """What was measured of a recognizer; as a page for those who prefer HTML, where there is one."""
    store = _store(request)
    version = store.resolve(request.path_params["name"])
    found = [store.blobs.get(each.blob) for each in reversed(store.records.reports(version.digest))]
    accepted = request.headers.get("accept", "")
    if "text/html" in accepted and (page := next((blob for blob in found if blob.startswith(b"<")), None)):
        return Response(page, media_type="text/html", headers=PAGE_RULES)
    measured = next((blob for blob in found if blob.startswith(b"{")), None)
    if measured is None:
        raise NotFound(f"nothing was measured of {version.name}@{version.version}")
    return Response(measured, media_type=JSON, headers={"vary": "accept"})


async def set_alias(request: Request) -> Response:
    """Point an alias to a version: from then on `name@alias` means that version."""
    async with _service(request).call(request) as call:
        form = _form(request, call, AliasJson)
        version = await asyncio.to_thread(_store(request).set_alias, request.path_params["name"], form.alias, form.version)
    return _json(asdict(version))


async def rollback(request: Request) -> Response:
    """Point an alias to where it pointed before."""
    async with _service(request).call(request) as call:
        form = _form(request, call, RollbackJson)
        version = await asyncio.to_thread(_store(request).rollback, request.path_params["name"], form.alias)
    return _json(asdict(version))


def remove(request: Request) -> Response:
    """Forget a recognizer, one version of it, or an alias; what an alias points to is refused unless forced."""
    reference, force = request.path_params["name"], _query(request, "force").get("force", "false")
    if force not in ("true", "false"):
        raise BadRequest(f"force is {force[:20]!r}; it is true or false")
    _store(request).remove(reference, force=force == "true")
    return _json({"removed": reference})


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/datasets", create_dataset),
    ("GET", "/v1/datasets", datasets),
    ("GET", "/v1/datasets/{name}", dataset),
    ("POST", "/v1/recognizers/{name}/teach", teach),
    ("POST", "/v1/recognizers/{name}/examples", add_examples),
    ("GET", "/v1/recognizers/{name}/report", report),
    ("POST", "/v1/recognizers/{name}/aliases", set_alias),
    ("POST", "/v1/recognizers/{name}/rollback", rollback),
    ("DELETE", "/v1/recognizers/{name}", remove),
    ("GET", "/v1/jobs", jobs),
    ("GET", "/v1/jobs/{id}", job),
    ("DELETE", "/v1/jobs/{id}", cancel_job),
    ("GET", "/v1/jobs/{id}/events", job_events),
]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _store(request: Request) -> Store:
    return _service(request).host.store


def _json(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, JSON)


def _accepted(job: Job, **about: str) -> Response:
    return _json(about | {"job": public(job)}, 202, {"location": f"/v1/jobs/{job.id}"})


async def _submit(service: Service, verb: str, subject: str, arguments: dict[str, Any]) -> Job:
    jobs, most = service.host.store.jobs, service.settings.max_jobs
    return await asyncio.to_thread(lambda: jobs.submit(verb, subject, arguments, most=most))


async def _image(service: Service, call: Call, source: bytes | Url) -> bytes:
    """The bytes of one image that can be decoded; raises BadImage."""
    image = await service.fetch(source.address, call.take) if isinstance(source, Url) else source
    given = service.settings
    await asyncio.to_thread(LOOK.frame, image, Limits(given.max_image_bytes, given.max_image_pixels, given.max_image_side))
    return image


def _about(version: DatasetVersion) -> dict[str, Any]:
    return {"name": version.name, "version": version.version, "digest": version.digest, "created": version.created}


def _number(request: Request) -> int:
    given = request.path_params["id"]
    if not (given.isascii() and given.isdecimal() and len(given) <= 9):
        raise NotFound(f"no job {given[:20]!r}; a job is named by its number")
    return int(given)


def _query(request: Request, *known: str) -> dict[str, str]:
    """The parameters of the query; raises BadRequest for one that is not known."""
    given = dict(request.query_params)
    if unknown := sorted(set(given) - set(known)):
        raise BadRequest(f"unknown query parameter {unknown[0][:100]!r}; there are {' and '.join(known)}")
    return given


def _form(request: Request, call: Call, form: type[Form]) -> Form:
    """A JSON body; raises UnsupportedBody, BadRequest."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON:  # no form of a foreign web page can send this type
        raise UnsupportedBody(f"the content type {media_type[:100]!r} is not read; send {JSON} (curl: -H 'Content-Type: {JSON}')")
    check_json(call.body, 100)
    try:
        return form.model_validate_json(call.body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise BadRequest(f"JSON: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
