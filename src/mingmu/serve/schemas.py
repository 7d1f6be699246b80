"""The OpenAPI document: what each route takes and gives, with real examples. The routes themselves never import these models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Literal

from pydantic import Field
from pydantic.json_schema import models_json_schema

from mingmu.registry.tuning import Tuning
from mingmu.serve import examples, face_schemas, job_schemas, teaching_schemas, tfserving_schemas
from mingmu.serve.answer_schemas import RecognitionSchema
from mingmu.serve.bodies import MAX_TOP, ImagesJson
from mingmu.serve.oip_json import InferJson
from mingmu.serve.problems import KINDS, MEDIA_TYPE, is_plain
from mingmu.serve.queries import JPEG
from mingmu.serve.service import MAX_TIMEOUT_MS
from mingmu.serve.shapes import BINARY, DRAW, IMAGE_BODIES, IN_CALLS, JSON, NAME, PAGED, REF, Described, Listing, Strict
from mingmu.serve.shapes import model as _model

TITLE = "Mingmu"
ABOUT = (
    "Image recognition as a service: a photo in, a proven answer out. "
    "A live picture is recognized over a WebSocket at `/v1/recognizers/{name}/stream`: each frame is a binary message that holds an "
    "image file, each answer is JSON, with `frame` and `dropped` beside what one answer of `recognize` says."
)


class VersionSchema(Strict):
    name: str
    version: int
    digest: str
    created: str


class ListedSchema(VersionSchema):
    problem: str | None = Field(None, description="Why this version is not served, but the one before it.")


class RecognizersSchema(Listing):
    recognizers: list[ListedSchema]


class SizeSchema(Strict):
    width: int
    height: int


class OriginSchema(Strict):
    source: str
    licence: str
    provenance: str


class RecognizerSchema(ListedSchema):
    """What a recognizer is."""

    task: str
    labels: list[str]
    size: SizeSchema
    origin: OriginSchema
    backbone: str | None
    aliases: dict[str, int]
    runs: str | None = Field(description="What runs its network, once it is loaded.")
    tuning: Tuning | None = Field(description="What was measured on this machine before that was chosen (`mingmu tune`).")


class ProblemSchema(Strict):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    kind: str = Field(json_schema_extra={"enum": [*KINDS]})
    request_id: str


class InferenceErrorSchema(Strict):
    """What went wrong, as the Open Inference Protocol has it."""

    error: str


class LiveSchema(Strict):
    live: bool


class ReadySchema(Strict):
    ready: bool


class ModelReadySchema(ReadySchema):
    name: str


class ServerSchema(Strict):
    name: str
    version: str
    extensions: list[str]


class TensorSchema(Strict):
    """A tensor that a model takes or gives; -1 is any number of images."""

    name: str
    datatype: Literal["BYTES", "UINT8", "FP32"]
    shape: list[int]


class ModelSchema(Strict):
    """A model's inputs, of which a request has one, and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorSchema]
    outputs: list[TensorSchema]


class BinarySchema(Strict):
    binary_data_size: int = Field(ge=0)


class OutputSchema(TensorSchema):
    """A tensor of the answer: its data, or how many bytes of it follow the JSON."""

    data: list[float] | list[str] | None = None
    parameters: BinarySchema | None = None


class InferenceSchema(Strict):
    """The outputs for all images of a request."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputSchema]


MODELS: tuple[type[Any], ...] = (
    RecognitionSchema, RecognizersSchema, RecognizerSchema, VersionSchema, ProblemSchema, InferenceErrorSchema, ImagesJson, InferJson,
    LiveSchema, ReadySchema, ModelReadySchema, ServerSchema, ModelSchema, InferenceSchema,
    *teaching_schemas.MODELS, *job_schemas.MODELS, *face_schemas.MODELS, *tfserving_schemas.MODELS,
)  # fmt: skip
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC"  # a red PNG, 1x1
VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}, "example": "1"}
KIND = {"name": "kind", "in": "path", "required": True, "schema": {"type": "string", "enum": [*KINDS]}, "example": "bad-image"}
TOP = {
    "name": "top", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOP},
    "description": "How many labels or boxes to give, at most, the surest first.",
}  # fmt: skip
COVERAGE = {
    "name": "coverage", "in": "query", "schema": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "example": 0.95,
    "description": "Give, instead of the top labels, the smallest set that holds the truth this often. Taught recognizers only.",
}  # fmt: skip
EXPLAIN = {
    "name": "explain", "in": "query", "schema": {"type": "boolean", "default": False},
    "description": "Adds a picture that shows what speaks for the first label.",
}  # fmt: skip
THRESHOLD = {
    "name": "threshold", "in": "query", "schema": {"type": "number", "minimum": 0, "maximum": 1}, "example": 0.5,
    "description": "The least score of a box; without it, what the recognizer was sealed with.",
}  # fmt: skip
OVERLAP = {
    "name": "overlap", "in": "query", "schema": {"type": "number", "minimum": 0, "maximum": 1}, "example": 0.45,
    "description": "Of two boxes of a label that share more of their union than this, the surer one is given.",
}  # fmt: skip
TIMEOUT = {
    "name": "X-Request-Timeout-Ms", "in": "header", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_MS},
    "description": "Drop the request (504) this many milliseconds after its head arrived.",
}  # fmt: skip
HEADER_LENGTH = {
    "name": "Inference-Header-Content-Length", "in": "header", "schema": {"type": "integer", "minimum": 0},
    "description": "Where the JSON ends and binary tensors begin.",
}  # fmt: skip
IMAGES = {
    "required": True,
    "content": {
        **IMAGE_BODIES,
        JSON: {"schema": {"$ref": REF + "ImagesJson"}, "example": {"images": [{"base64": PIXEL}], "top": 3}},
    },
}  # fmt: skip
TENSORS = {
    "required": True,
    "content": {
        JSON: {
            "schema": {"$ref": REF + "InferJson"},
            "example": {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [PIXEL]}]},
        },
        "application/octet-stream": BINARY,
    },
}


def _not_ready(path: str) -> dict[str, Any]:
    """A 503 of a health route: its own answer, or an error on the way to it."""
    name = "ReadySchema" if path.startswith("/v2/health") else "ModelReadySchema"
    return {JSON: {"schema": {"anyOf": [{"$ref": REF + name}, {"$ref": REF + "InferenceErrorSchema"}]}}}


def _text(example: str) -> dict[str, Any]:
    return {"text/plain": {"schema": {"type": "string"}, "example": example}}


MODEL = _model("ModelSchema", examples.MODEL)
MODEL_READY = _model("ModelReadySchema", examples.MODEL_READY)
INFERENCE = _model("InferenceSchema", examples.INFERENCE) | {"application/octet-stream": BINARY}
RECOGNITION = {
    JSON: {
        "schema": {"$ref": REF + "RecognitionSchema"},
        "examples": {"labels": {"value": examples.RECOGNITION}, "boxes": {"value": examples.DETECTION}},
    },
    JPEG: BINARY,
}
ROUTES: Described = {
    ("GET", "/v1/recognizers"): ("recognizers", PAGED, None, _model("RecognizersSchema", examples.RECOGNIZERS), (400, 500, 503)),
    ("GET", "/v1/recognizers/{name}"): ("recognizers", [NAME], None, _model("RecognizerSchema", examples.RECOGNIZER), (400, 404, 500)),
    ("POST", "/v1/recognizers/{name}/recognize"): (
        "recognizers", [NAME, TOP, COVERAGE, THRESHOLD, OVERLAP, EXPLAIN, DRAW, TIMEOUT], IMAGES, RECOGNITION, (*IN_CALLS, 403),
    ),
    **teaching_schemas.ROUTES,
    **job_schemas.ROUTES,
    **face_schemas.ROUTES,
    **tfserving_schemas.ROUTES,
    ("GET", "/v2/health/live"): ("open inference protocol", [], None, _model("LiveSchema", examples.LIVE), ()),
    ("GET", "/v2/health/ready"): ("open inference protocol", [], None, _model("ReadySchema", examples.READY), (503,)),
    ("GET", "/v2"): ("open inference protocol", [], None, _model("ServerSchema", examples.SERVER), ()),
    ("GET", "/v2/models/{name}"): ("open inference protocol", [NAME], None, MODEL, (400, 404, 500)),
    ("GET", "/v2/models/{name}/versions/{version}"): ("open inference protocol", [NAME, VERSION], None, MODEL, (400, 404, 500)),
    ("GET", "/v2/models/{name}/ready"): ("open inference protocol", [NAME], None, MODEL_READY, (400, 404, 500, 503)),
    ("GET", "/v2/models/{name}/versions/{version}/ready"): (
        "open inference protocol", [NAME, VERSION], None, MODEL_READY, (400, 404, 500, 503),
    ),
    ("POST", "/v2/models/{name}/infer"): (
        "open inference protocol", [NAME, HEADER_LENGTH, TIMEOUT], TENSORS, INFERENCE, IN_CALLS,
    ),
    ("POST", "/v2/models/{name}/versions/{version}/infer"): (
        "open inference protocol", [NAME, VERSION, HEADER_LENGTH, TIMEOUT], TENSORS,
        INFERENCE, IN_CALLS,
    ),
    ("GET", "/metrics"): ("operation", [], None, _text(examples.METRICS), ()),
    ("GET", "/problems/{kind}"): ("operation", [KIND], None, _text(examples.KIND), (404,)),
}  # fmt: skip


def _failure(path: str, status: int) -> dict[str, Any]:
    kinds = [name for name, kind in KINDS.items() if kind.status == status]
    description = " ".join(f"`{name}`: {KINDS[name].meaning}" for name in kinds)
    if is_plain(path):
        is_ready = path.endswith("/ready") and status == 503
        content = _not_ready(path) if is_ready else _model("InferenceErrorSchema")
    else:
        content = {MEDIA_TYPE: {"schema": {"$ref": REF + "ProblemSchema"}} | ({"example": examples.PROBLEM} if status == 400 else {})}
    headers = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}} if status in (429, 503) else {}
    return {"description": description, "content": content} | ({"headers": headers} if headers else {})


def document(words: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """The OpenAPI document of the service; `words` are the docstrings of its routes, by method and path."""
    paths: dict[str, Any] = {}
    for (method, path), said in words.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, said)
    _, definitions = models_json_schema([(model, "validation") for model in MODELS], ref_template=REF + "{model}")
    info = {
        "title": TITLE,
        "version": version("mingmu"),
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": definitions["$defs"]}}


def _operation(method: str, path: str, said: str) -> dict[str, Any]:
    tag, parameters, body, content, statuses = ROUTES[method, path]
    status = "202" if (method, path) in teaching_schemas.ACCEPTED | job_schemas.ACCEPTED else "200"
    responses = {status: {"description": "The answer.", "content": content}} | {str(status): _failure(path, status) for status in statuses}
    operation = {"tags": [tag], "summary": said.partition("\n")[0].rstrip("."), "description": said, "parameters": parameters}
    return operation | ({"requestBody": body} if body else {}) | {"responses": responses}
