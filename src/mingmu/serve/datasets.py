"""The routes by which datasets come in and are looked at."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from mingmu.registry.datasets import DatasetVersion
from mingmu.registry.naming import check_name
from mingmu.registry.store import Store
from mingmu.serve import uploads
from mingmu.serve.queries import Page, flag, query
from mingmu.serve.replies import accepted, json_answer, service_of, store_of, submit


async def create_dataset(request: Request) -> Response:
    """Upload an archive of labelled images; a job reads it as the newest version of a dataset."""
    service = service_of(request)
    name = query(request, "name").get("name", "")
    check_name(name)
    with service.admission.admitted() as take:
        take(2 * uploads.PIECE)
        upload = await uploads.save(request, store_of(request).data_dir / "aside", service.settings)
        try:
            job = await submit(service, "read", name, {"name": name, "upload": str(upload)})
        except BaseException:
            uploads.discard(upload)
            raise
    return accepted(job, dataset=name)


def datasets(request: Request) -> Response:
    """The datasets that there are by name, each at its newest version."""
    page = Page.of(request)
    found = store_of(request).datasets.newest(page.name, page.wanted)
    return json_answer(page.show("datasets", found, _about, lambda version: version.name))


def dataset(request: Request) -> Response:
    """What a dataset holds: its labels with the number of images of each, and its findings."""
    store = store_of(request)
    version = store.datasets.resolve(request.path_params["name"])
    rows = [json.loads(line) for line in store.datasets.examples(version).splitlines()]
    about = {
        "images": len(rows),
        "labels": dict(sorted(Counter(label for row in rows for label in row.get("labels", ())).items())),
        "findings": _findings(store, version),
    }
    return json_answer(_about(version) | about)


def dataset_versions(request: Request) -> Response:
    """The versions of a dataset, the oldest first."""
    page = Page.of(request)
    found = store_of(request).datasets.versions(request.path_params["name"], page.number or 0, page.wanted)
    return json_answer(page.show("versions", found, _about, lambda version: version.version))


async def audit(request: Request) -> Response:
    """Find what is wrong with a dataset: wrong labels, copies, leaks, outliers. A job does it; the dataset then has the findings."""
    backbone = query(request, "backbone").get("backbone", "general")
    version = await asyncio.to_thread(store_of(request).datasets.resolve, request.path_params["name"])
    asked = {"dataset": f"{version.name}@{version.version}", "backbone": backbone}
    job = await submit(service_of(request), "audit", version.name, asked)
    return accepted(job, dataset=version.name)


def remove_dataset(request: Request) -> Response:
    """Forget a dataset, or one version of it; what a recognizer was taught on is refused unless forced."""
    reference = request.path_params["name"]
    store_of(request).datasets.remove(reference, force=flag(query(request, "force"), "force"))
    return json_answer({"removed": reference})


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/v1/datasets", create_dataset),
    ("GET", "/v1/datasets", datasets),
    ("GET", "/v1/datasets/{name}", dataset),
    ("DELETE", "/v1/datasets/{name}", remove_dataset),
    ("POST", "/v1/datasets/{name}/audit", audit),
    ("GET", "/v1/datasets/{name}/versions", dataset_versions),
]


def _findings(store: Store, version: DatasetVersion) -> list[Any]:
    """What was found at its last audit, or when its photos came in; where that was under an earlier version, what was found then."""
    for each in store.datasets.ancestry(version):
        if found := store.records.reports(each.digest):
            findings: list[Any] = orjson.loads(store.blobs.get(found[-1].blob))
            return findings
    return []


def _about(version: DatasetVersion) -> dict[str, Any]:
    return {"name": version.name, "version": version.version, "digest": version.digest, "created": version.created}
