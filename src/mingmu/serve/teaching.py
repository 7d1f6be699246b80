"""The routes by which recognizers are taught, measured and published: everything that is not an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from starlette.requests import Request
from starlette.responses import Response

from mingmu.core.errors import BadRequest, MissingExtra, NotFound
from mingmu.core.labels import clean_label
from mingmu.core.pixels import Limits, PixelSpec
from mingmu.core.teaching import TeachOptions
from mingmu.core.training import TrainOptions
from mingmu.registry.blobs import SHA256
from mingmu.registry.lineage import Report
from mingmu.registry.store import Store, Version
from mingmu.registry.teachable import check_backbone, check_teachable, taught_digest, taught_on
from mingmu.serve.attendance import together
from mingmu.serve.bodies import Url, images_in
from mingmu.serve.queries import Page, flag, query
from mingmu.serve.replies import JSON, accepted, form_in, json_answer, service_of, store_of, submit
from mingmu.serve.service import Call, Service
from mingmu.zoo.catalog import CATALOG, Package

LOOK = PixelSpec(size=(8, 8), fit="squash", filter="nearest")  # enough to know that an image can be decoded
MAX_LABEL = 200  # characters
PAGE_RULES = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:", "vary": "accept"}
SHIPPED = {entry.name: isinstance(entry.source, Package) for entry in CATALOG}  # whether it is built at its first use


@pydantic_dataclass(frozen=True, kw_only=True)
class TeachJson(TeachOptions):
    """What to teach a recognizer, and how."""

    dataset: str = Field(description="A dataset that the service has; `name@3` is its version 3.")
    test: str | None = Field(None, description="A dataset to measure with; else a part of `dataset` is set aside.")


@pydantic_dataclass(frozen=True, kw_only=True)
class TrainJson(TrainOptions):
    """What to train a recognizer on, and how."""

    dataset: str = Field(description="A dataset that the service has; `name@3` is its version 3.")


class EvaluateJson(BaseModel):
    """What to measure a recognizer on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    dataset: str = Field(description="A dataset that the service has; `name@3` is its version 3.")


class AliasJson(BaseModel):
    """Where an alias shall point."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alias: str
    version: int = Field(ge=1, le=999_999_999)


class RollbackJson(BaseModel):
    """The alias that goes back a step."""

    model_config = ConfigDict(extra="forbid", strict=True)

    alias: str


async def teach(request: Request) -> Response:
    """Teach a recognizer a dataset; a job does it, and the result is served as soon as it has proven itself."""
    service, name = service_of(request), request.path_params["name"]
    query(request)
    async with service.call(request) as call:
        form = form_in(request, call, TeachJson)
        await asyncio.to_thread(_check_lesson, store_of(request), name, form)
        job = await submit(service, "teach", name, {"name": name} | asdict(form))
    return accepted(job, recognizer=name)


def _check_lesson(store: Store, name: str, form: TeachJson) -> None:
    """Refuse now what the job could only fail at later. Raises BadRequest, Conflict, NotFound."""
    check_teachable(store, name, SHIPPED)
    for dataset in filter(None, (form.dataset, form.test)):
        store.datasets.resolve(dataset)
    if form.add:
        taught_on(store, name)
    if not (SHIPPED.get(form.backbone) and form.backbone not in store.names()):
        check_backbone(store, form.backbone)


async def train(request: Request) -> Response:
    """Train a network of its own for a recognizer; a job does it, in minutes to hours. What comes out is served as a taught one is."""
    service, name = service_of(request), request.path_params["name"]
    query(request)
    async with service.call(request) as call:
        form = form_in(request, call, TrainJson)
        await asyncio.to_thread(_check_training, store_of(request), name, form)
        job = await submit(service, "train", name, {"name": name} | asdict(form))
    return accepted(job, recognizer=name)


def _check_training(store: Store, name: str, form: TrainJson) -> None:
    """Refuse now what the job could only fail at later. Raises BadRequest, Conflict, MissingExtra, NotFound."""
    if find_spec("torch") is None:
        raise MissingExtra("this service cannot train; ask for teach, or the operator for torch: pip install 'mingmu[train]'")
    check_teachable(store, name, SHIPPED)
    store.datasets.resolve(form.dataset)


async def evaluate(request: Request) -> Response:
    """Measure a recognizer on a dataset; a job does it, and the report is then found under that dataset."""
    service, store = service_of(request), store_of(request)
    query(request)
    async with service.call(request) as call:
        form = form_in(request, call, EvaluateJson)
        version = await asyncio.to_thread(store.resolve, request.path_params["name"])
        dataset = await asyncio.to_thread(store.datasets.resolve, form.dataset)
        asked = {"recognizer": f"{version.name}@{version.version}", "dataset": f"{dataset.name}@{dataset.version}"}
        job = await submit(service, "evaluate", version.name, asked)
    return accepted(job, recognizer=version.name)


async def add_examples(request: Request) -> Response:
    """Add images, all with one label, to what a recognizer was taught on: "this is a pear"."""
    service, store = service_of(request), store_of(request)
    given = query(request, "label", "teach")
    label, again = clean_label(given.get("label", "")), flag(given, "teach")
    if not 1 <= len(label) <= MAX_LABEL:
        raise BadRequest(f"label is what the images show, 1 to {MAX_LABEL} characters, as in ?label=pear")
    async with service.call(request) as call:
        name = (await asyncio.to_thread(store.resolve, request.path_params["name"])).name
        await asyncio.to_thread(taught_on, store, name)
        wanted = await asyncio.to_thread(images_in, call.body, request.headers.get("content-type", ""), service.max_images)
        images = await together([_image(service, call, source) for source in wanted.images])
        kept = [await asyncio.to_thread(store.blobs.put, image) for image in images]
        job = await submit(service, "add", name, {"recognizer": name, "label": label, "images": kept, "teach": again})
    return accepted(job, recognizer=name)


def reports(request: Request) -> Response:
    """What there is to read about a recognizer: the report of its teaching, and one for each dataset it was evaluated on."""
    page, store = Page.of(request), store_of(request)
    version = store.resolve(request.path_params["name"])
    taught = taught_digest(store, version.digest)
    found = list({report.dataset: report for report in store.records.reports(version.digest)}.values())  # of each dataset, the newest
    begin = page.number or 0
    rows = list(enumerate(found, start=1))[begin : begin + page.wanted]
    return json_answer(page.show("reports", rows, lambda row: _about_report(store, row[1], taught), lambda row: row[0]))


def report(request: Request) -> Response:
    """What was measured of a recognizer when it was taught, or on another dataset; as a page for those who prefer HTML."""
    store, wanted = store_of(request), query(request, "dataset").get("dataset")
    version = store.resolve(request.path_params["name"])
    dataset = _dataset_digest(store, wanted) if wanted else taught_digest(store, version.digest)
    found = store.records.reports(version.digest)
    chosen = [each for each in found if each.dataset == dataset] if wanted or dataset else found
    blobs = [store.blobs.get(each.blob) for each in reversed(chosen)]
    accept = request.headers.get("accept", "")
    if "text/html" in accept and (page := next((blob for blob in blobs if blob.startswith(b"<")), None)):
        return Response(page, media_type="text/html", headers=PAGE_RULES)
    measured = next((blob for blob in blobs if blob.startswith(b"{")), None)
    if measured is None:
        raise NotFound(f"nothing was measured of {version.name}@{version.version}{f' on {wanted}' if wanted else ''}")
    return Response(measured, media_type=JSON, headers={"vary": "accept"})


def versions(request: Request) -> Response:
    """The versions of a recognizer, the oldest first, with the aliases that point to each."""
    page, store, name = Page.of(request), store_of(request), request.path_params["name"]
    found = store.versions(name, page.number or 0, page.wanted)
    aliases = store.aliases(name)
    return json_answer(page.show("versions", found, lambda version: _with_aliases(version, aliases), lambda version: version.version))


async def set_alias(request: Request) -> Response:
    """Point an alias to a version: from then on `name@alias` means that version."""
    async with service_of(request).call(request) as call:
        form = form_in(request, call, AliasJson)
        version = await asyncio.to_thread(store_of(request).set_alias, request.path_params["name"], form.alias, form.version)
    return json_answer(asdict(version))


async def rollback(request: Request) -> Response:
    """Point an alias to where it pointed before."""
    async with service_of(request).call(request) as call:
        form = form_in(request, call, RollbackJson)
        version = await asyncio.to_thread(store_of(request).rollback, request.path_params["name"], form.alias)
    return json_answer(asdict(version))


def remove(request: Request) -> Response:
    """Forget a recognizer, one version of it, or an alias; a version that is served is refused unless forced."""
    reference = request.path_params["name"]
    store_of(request).remove(reference, force=flag(query(request, "force"), "force"))
    return json_answer({"removed": reference})


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/recognizers/{name}/teach", teach),
    ("POST", "/v1/recognizers/{name}/train", train),
    ("POST", "/v1/recognizers/{name}/examples", add_examples),
    ("POST", "/v1/recognizers/{name}/evaluate", evaluate),
    ("GET", "/v1/recognizers/{name}/report", report),
    ("GET", "/v1/recognizers/{name}/reports", reports),
    ("GET", "/v1/recognizers/{name}/versions", versions),
    ("POST", "/v1/recognizers/{name}/aliases", set_alias),
    ("POST", "/v1/recognizers/{name}/rollback", rollback),
    ("DELETE", "/v1/recognizers/{name}", remove),
]


async def _image(service: Service, call: Call, source: bytes | Url) -> bytes:
    """The bytes of one image that can be decoded; raises BadImage."""
    image = await service.fetch(source.address, call.take) if isinstance(source, Url) else source
    given = service.settings
    await asyncio.to_thread(LOOK.frame, image, Limits(given.max_image_bytes, given.max_image_pixels, given.max_image_side))
    return image


def _about_report(store: Store, report: Report, taught: str | None) -> dict[str, Any]:
    names = [f"{version.name}@{version.version}" for version in store.datasets.with_digest(report.dataset)]
    return {
        "kind": "teaching" if report.dataset == taught else "evaluation",
        "dataset": report.dataset,
        "names": names,
        "created": report.created,
    }


def _dataset_digest(store: Store, reference: str) -> str:
    return reference if SHA256.fullmatch(reference) else store.datasets.resolve(reference).digest


def _with_aliases(version: Version, aliases: Mapping[str, Version]) -> dict[str, Any]:
    return asdict(version) | {"aliases": sorted(alias for alias, pointed in aliases.items() if pointed == version)}
