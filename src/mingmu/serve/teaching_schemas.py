"""The OpenAPI descriptions of the routes of `mingmu.serve.teaching`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from mingmu.serve.shapes import BINARY, IMAGE_BODIES, IN_CALLS, JSON, NAME, Described, Strict, model
from mingmu.serve.teaching import MAX_LABEL, AliasJson, RollbackJson, TeachJson
from mingmu.serve.uploads import MEDIA_TYPES


class JobErrorSchema(Strict):
    kind: str
    detail: str


class JobSchema(Strict):
    """A piece of work that takes longer than a request."""

    id: int
    verb: str
    subject: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    cancelling: bool
    attempts: int
    step: str
    share: float
    result: dict[str, Any] | None
    error: JobErrorSchema | None
    created: str
    started: str | None
    finished: str | None


class JobsSchema(Strict):
    jobs: list[JobSchema]


class DatasetJobSchema(Strict):
    """A dataset that will be there when its job is done."""

    dataset: str
    job: JobSchema


class RecognizerJobSchema(Strict):
    """A recognizer whose next version will be there when the job is done."""

    recognizer: str
    job: JobSchema


class DatasetVersionSchema(Strict):
    name: str
    version: int
    digest: str
    created: str


class DatasetsSchema(Strict):
    datasets: list[DatasetVersionSchema]


class DatasetSchema(DatasetVersionSchema):
    """What a dataset holds."""

    images: int
    labels: dict[str, int]
    findings: list[dict[str, Any]]
    versions: list[int]


class RemovedSchema(Strict):
    removed: str


MODELS: tuple[type[BaseModel], ...] = (
    JobSchema, JobsSchema, DatasetJobSchema, RecognizerJobSchema, DatasetsSchema, DatasetSchema, RemovedSchema,
    TeachJson, AliasJson, RollbackJson,
)  # fmt: skip
JOB_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}, "example": 1}
LAST_EVENT = {
    "name": "Last-Event-ID", "in": "header", "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    "description": "Begin after this event.",
}  # fmt: skip
LABEL = {
    "name": "label", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1, "maxLength": MAX_LABEL},
    "description": "What the images show.", "example": "pear",
}  # fmt: skip
AGAIN = {
    "name": "teach", "in": "query", "schema": {"type": "boolean", "default": False},
    "description": "Teach the recognizer again, too.",
}  # fmt: skip
FORCE = {
    "name": "force", "in": "query", "schema": {"type": "boolean", "default": False},
    "description": "Remove it even if an alias points to it; the alias goes too.",
}  # fmt: skip
DATASET = {
    "name": "name", "in": "query", "required": True, "schema": {"type": "string"},
    "description": "What to call the dataset; a name that is there gets a new version.", "example": "flowers",
}  # fmt: skip
ARCHIVE = {"required": True, "content": dict.fromkeys(MEDIA_TYPES, BINARY)}
IMAGES = {"required": True, "content": IMAGE_BODIES}
REPORT = {JSON: {"schema": {"type": "object"}}, "text/html": {"schema": {"type": "string"}}}
EVENTS = {"text/event-stream": {"schema": {"type": "string"}}}
FOUND = (400, 404, 500, 503)
QUEUED = model("RecognizerJobSchema")
ALIAS = {"alias": "prod"}


def _form(name: str, example: object) -> dict[str, Any]:
    return {"required": True, "content": model(name, example)}


ACCEPTED = frozenset((("POST", "/v1/datasets"), ("POST", "/v1/recognizers/{name}/teach"), ("POST", "/v1/recognizers/{name}/examples")))
ROUTES: Described = {
    ("POST", "/v1/datasets"): ("datasets", [DATASET], ARCHIVE, model("DatasetJobSchema"), IN_CALLS),
    ("GET", "/v1/datasets"): ("datasets", [], None, model("DatasetsSchema"), (500, 503)),
    ("GET", "/v1/datasets/{name}"): ("datasets", [NAME], None, model("DatasetSchema"), FOUND),
    ("POST", "/v1/recognizers/{name}/teach"): (
        "recognizers", [NAME], _form("TeachJson", {"dataset": "flowers"}), QUEUED, IN_CALLS,
    ),
    ("POST", "/v1/recognizers/{name}/examples"): (
        "recognizers", [NAME, LABEL, AGAIN], IMAGES, QUEUED, (*IN_CALLS, 403),
    ),
    ("GET", "/v1/recognizers/{name}/report"): ("recognizers", [NAME], None, REPORT, FOUND),
    ("POST", "/v1/recognizers/{name}/aliases"): (
        "recognizers", [NAME], _form("AliasJson", ALIAS | {"version": 1}), model("VersionSchema"), IN_CALLS,
    ),
    ("POST", "/v1/recognizers/{name}/rollback"): (
        "recognizers", [NAME], _form("RollbackJson", ALIAS), model("VersionSchema"), (*IN_CALLS, 409),
    ),
    ("DELETE", "/v1/recognizers/{name}"): ("recognizers", [NAME, FORCE], None, model("RemovedSchema"), (*FOUND, 409)),
    ("GET", "/v1/jobs"): ("jobs", [], None, model("JobsSchema"), (500, 503)),
    ("GET", "/v1/jobs/{id}"): ("jobs", [JOB_ID], None, model("JobSchema"), FOUND),
    ("DELETE", "/v1/jobs/{id}"): ("jobs", [JOB_ID], None, model("JobSchema"), FOUND),
    ("GET", "/v1/jobs/{id}/events"): ("jobs", [JOB_ID, LAST_EVENT], None, EVENTS, (*FOUND, 429)),
}  # fmt: skip
