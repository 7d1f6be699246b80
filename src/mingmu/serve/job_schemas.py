"""The OpenAPI descriptions of the routes by which many images are looked at in one job. The examples are what they answered."""

from __future__ import annotations

from typing import Any

from mingmu.core.batching import FORMATS
from mingmu.serve.jobs import IN_QUERY, QUERY, BatchJson
from mingmu.serve.shapes import BINARY, IN_CALLS, Described, Strict, model
from mingmu.serve.teaching_schemas import JOB_ID, JobSchema
from mingmu.serve.uploads import MEDIA_TYPES


class BatchJobSchema(Strict):
    """A job that looks at images, and the very version of the recognizer that will."""

    recognizer: str
    job: JobSchema


MODELS: tuple[type[Any], ...] = (BatchJobSchema, BatchJson)
QUEUED: dict[str, Any] = {
    "recognizer": "general@1",
    "job": {
        "id": 1,
        "verb": "batch",
        "subject": "general@1",
        "state": "queued",
        "cancelling": False,
        "attempts": 0,
        "step": "",
        "share": 0.0,
        "result": None,
        "error": None,
        "created": "2026-11-23T09:03:20+00:00",
        "started": None,
        "finished": None,
    },
}
ROWS = (
    '{"path":"photos/coffee.jpg","label":"espresso","score":0.941877543926239,"labels":["espresso","cup"],'
    '"scores":[0.941877543926239,0.012714437209069729],"ids":["n07920052","n07930864"],"abstain":false,"error":null,"detail":null,'
    '"digest":"4711d0f3f85a3c1ad116e61c35510f4a58563be666631296db2dc863cce2b228"}\n'
    '{"path":"photos/empty.jpg","label":null,"score":null,"labels":[],"scores":[],"ids":[],"abstain":false,"error":"bad-image",'
    '"detail":"this is no image that we know (0 bytes)","digest":"4711d0f3f85a3c1ad116e61c35510f4a58563be666631296db2dc863cce2b228"}\n'
)


def _query(name: str) -> dict[str, Any]:
    """A parameter of the query, for those who send an archive; JSON says the same in the body."""
    described = QUERY.json_schema()["properties"][name]
    (schema,) = [each for each in described.get("anyOf", [described]) if each["type"] != "null"]
    return {"name": name, "in": "query", "schema": schema, "description": described["description"]}


WHAT = {"required": True, "content": dict.fromkeys(MEDIA_TYPES, BINARY) | model("BatchJson", {"dataset": "flowers"})}
ROWS_AS = dict.fromkeys(FORMATS.values(), BINARY) | {FORMATS["jsonl"]: {"schema": {"type": "string"}, "example": ROWS}}
ACCEPTED = frozenset((("POST", "/v1/jobs"),))
ROUTES: Described = {
    ("POST", "/v1/jobs"): (
        "jobs", [_query(name) for name in IN_QUERY], WHAT, model("BatchJobSchema", QUEUED), (*IN_CALLS, 403, 409),
    ),
    ("GET", "/v1/jobs/{id}/result"): ("jobs", [JOB_ID], None, ROWS_AS, (400, 404, 500, 503)),
}  # fmt: skip
