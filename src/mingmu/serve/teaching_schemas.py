"""The OpenAPI descriptions of the routes of `mingmu.serve.teaching`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mingmu.serve import teaching_examples as examples
from mingmu.serve.shapes import BINARY, IMAGE_BODIES, IN_CALLS, JSON, NAME, PAGED, Described, Listing, Strict, model
from mingmu.serve.teaching import MAX_LABEL, AliasJson, EvaluateJson, RollbackJson, TeachJson, TrainJson
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


class JobsSchema(Listing):
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


class DatasetsSchema(Listing):
    datasets: list[DatasetVersionSchema]


class DatasetVersionsSchema(Listing):
    versions: list[DatasetVersionSchema]


class DatasetSchema(DatasetVersionSchema):
    """What a dataset holds."""

    images: int
    labels: dict[str, int]
    findings: list[dict[str, Any]]


class PointedVersionSchema(DatasetVersionSchema):
    aliases: list[str] = Field(description="The aliases that point to this version.")


class VersionsSchema(Listing):
    versions: list[PointedVersionSchema]


class ListedReportSchema(Strict):
    kind: Literal["teaching", "evaluation"]
    dataset: str = Field(description="The digest of the dataset that was measured on; what to give as `dataset` to read the report.")
    names: list[str] = Field(description="The versions of datasets that have this digest.")
    created: str


class ReportsSchema(Listing):
    """The report of the teaching, and of each other dataset the latest."""

    reports: list[ListedReportSchema]


class RemovedSchema(Strict):
    removed: str


MODELS: tuple[type[Any], ...] = (
    JobSchema, JobsSchema, DatasetJobSchema, RecognizerJobSchema, DatasetsSchema, DatasetSchema, DatasetVersionsSchema,
    VersionsSchema, ReportsSchema, RemovedSchema, TeachJson, TrainJson, EvaluateJson, AliasJson, RollbackJson,
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
    "description": "Remove a version even if it is served: as the newest, or by an alias, which goes too.",
}  # fmt: skip
LOOKED_AT_BY = {
    "name": "backbone", "in": "query", "schema": {"type": "string", "default": "general"},
    "description": "The recognizer whose network looks at the images.",
}  # fmt: skip
FORCE_DATASET = {
    "name": "force", "in": "query", "schema": {"type": "boolean", "default": False},
    "description": "Remove it even if a recognizer was taught on it; to that one, no photo can then be added.",
}  # fmt: skip
DATASET = {
    "name": "name", "in": "query", "required": True, "schema": {"type": "string"},
    "description": "What to call the dataset; a name that is there gets a new version.", "example": "flowers",
}  # fmt: skip
ARCHIVE = {"required": True, "content": dict.fromkeys(MEDIA_TYPES, BINARY)}
IMAGES = {"required": True, "content": IMAGE_BODIES}
MEASURED = {
    "name": "dataset", "in": "query", "schema": {"type": "string"},
    "description": "A dataset that it was evaluated on, by digest or by name; without it, the report of the teaching.",
}  # fmt: skip
REPORT = {JSON: {"schema": {"type": "object"}, "example": examples.REPORT}, "text/html": {"schema": {"type": "string"}}}
EVENTS = {"text/event-stream": {"schema": {"type": "string"}, "example": examples.EVENTS}}
FOUND = (400, 404, 500, 503)
ALIAS = {"alias": "prod"}
POINTED = model("VersionSchema", examples.POINTED)


def _form(name: str, example: object) -> dict[str, Any]:
    return {"required": True, "content": model(name, example)}


ACCEPTED = frozenset((
    ("POST", "/v1/datasets"), ("POST", "/v1/datasets/{name}/audit"), ("POST", "/v1/recognizers/{name}/teach"),
    ("POST", "/v1/recognizers/{name}/train"), ("POST", "/v1/recognizers/{name}/examples"), ("POST", "/v1/recognizers/{name}/evaluate"),
))  # fmt: skip
ROUTES: Described = {
    ("POST", "/v1/datasets"): ("datasets", [DATASET], ARCHIVE, model("DatasetJobSchema", examples.READING), IN_CALLS),
    ("GET", "/v1/datasets"): ("datasets", PAGED, None, model("DatasetsSchema", examples.DATASETS), (400, 500, 503)),
    ("GET", "/v1/datasets/{name}"): ("datasets", [NAME], None, model("DatasetSchema", examples.DATASET), FOUND),
    ("DELETE", "/v1/datasets/{name}"): (
        "datasets", [NAME, FORCE_DATASET], None, model("RemovedSchema", examples.REMOVED_DATASET), (*FOUND, 409),
    ),
    ("POST", "/v1/datasets/{name}/audit"): (
        "datasets", [NAME, LOOKED_AT_BY], None, model("DatasetJobSchema", examples.AUDITING), (*FOUND, 429),
    ),
    ("GET", "/v1/datasets/{name}/versions"): (
        "datasets", [NAME, *PAGED], None, model("DatasetVersionsSchema", examples.DATASET_VERSIONS), FOUND,
    ),
    ("POST", "/v1/recognizers/{name}/teach"): (
        "recognizers", [NAME], _form("TeachJson", {"dataset": "flowers"}),
        model("RecognizerJobSchema", examples.TEACHING), (*IN_CALLS, 409),
    ),
    ("POST", "/v1/recognizers/{name}/train"): (
        "recognizers", [NAME], _form("TrainJson", {"dataset": "flowers", "net": "resnet18", "epochs": 20}),
        model("RecognizerJobSchema", examples.TRAINING), (*IN_CALLS, 409, 501),
    ),
    ("POST", "/v1/recognizers/{name}/examples"): (
        "recognizers", [NAME, LABEL, AGAIN], IMAGES, model("RecognizerJobSchema", examples.ADDING), (*IN_CALLS, 403),
    ),
    ("POST", "/v1/recognizers/{name}/evaluate"): (
        "recognizers", [NAME], _form("EvaluateJson", {"dataset": "flowers"}), model("RecognizerJobSchema", examples.EVALUATING), IN_CALLS,
    ),
    ("GET", "/v1/recognizers/{name}/report"): ("recognizers", [NAME, MEASURED], None, REPORT, FOUND),
    ("GET", "/v1/recognizers/{name}/reports"): ("recognizers", [NAME, *PAGED], None, model("ReportsSchema", examples.REPORTS), FOUND),
    ("GET", "/v1/recognizers/{name}/versions"): ("recognizers", [NAME, *PAGED], None, model("VersionsSchema", examples.VERSIONS), FOUND),
    ("POST", "/v1/recognizers/{name}/aliases"): (
        "recognizers", [NAME], _form("AliasJson", ALIAS | {"version": 1}), POINTED, IN_CALLS,
    ),
    ("POST", "/v1/recognizers/{name}/rollback"): (
        "recognizers", [NAME], _form("RollbackJson", ALIAS), POINTED, (*IN_CALLS, 409),
    ),
    ("DELETE", "/v1/recognizers/{name}"): ("recognizers", [NAME, FORCE], None, model("RemovedSchema", examples.REMOVED), (*FOUND, 409)),
    ("GET", "/v1/jobs"): ("jobs", PAGED, None, model("JobsSchema", examples.JOBS), (400, 500, 503)),
    ("GET", "/v1/jobs/{id}"): ("jobs", [JOB_ID], None, model("JobSchema", examples.TAUGHT), FOUND),
    ("DELETE", "/v1/jobs/{id}"): ("jobs", [JOB_ID], None, model("JobSchema", examples.CANCELLED), FOUND),
    ("GET", "/v1/jobs/{id}/events"): ("jobs", [JOB_ID, LAST_EVENT], None, EVENTS, (*FOUND, 429)),
}  # fmt: skip
