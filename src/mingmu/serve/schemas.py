"""The OpenAPI document: what each route takes and gives, with real examples. The routes themselves never import these models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from mingmu.serve import teaching_schemas
from mingmu.serve.bodies import MAX_TOP, ImagesJson
from mingmu.serve.problems import KINDS, MEDIA_TYPE
from mingmu.serve.service import MAX_TIMEOUT_MS
from mingmu.serve.shapes import BINARY, IN_CALLS, JSON, REF, REFERENCE, Described, Strict
from mingmu.serve.shapes import model as _model
from mingmu.serve.tensors import InferJson

TITLE = "Mingmu"
ABOUT = "Image recognition as a service: a photo in, a proven answer out."


class LabelSchema(Strict):
    """One class and how sure the recognizer is of it."""

    label: str
    score: float = Field(ge=0, le=1.0001, description="The scores of all classes sum to 1.")
    id: str | None = Field(None, description="The class's id in its vocabulary, where it has one.")


class ExplanationSchema(Strict):
    """What speaks for the first label."""

    label: str
    png: str = Field(description="A PNG in base64: the picture as the network saw it, with the evidence marked on it.")


class ImageErrorSchema(Strict):
    kind: str
    detail: str


class AnswerSchema(Strict):
    """The labels of one image, the surest first; or, for one of several images, its own error."""

    labels: list[LabelSchema] | None = None
    abstain: bool | None = None
    explanation: ExplanationSchema | None = None
    error: ImageErrorSchema | None = None


class TimingSchema(Strict):
    """Milliseconds; of several images, the longest."""

    decode: float
    queue: float
    network: float
    total: float = Field(description="Since the head of the request was in.")


class RecognitionSchema(Strict):
    """The answers to one request, in the order of its images."""

    recognizer: str
    version: int
    digest: str = Field(description="SHA-256 of the sealed recognizer that answered.")
    answers: list[AnswerSchema]
    timing_ms: TimingSchema


class VersionSchema(Strict):
    name: str
    version: int
    digest: str
    created: str


class RecognizersSchema(Strict):
    recognizers: list[VersionSchema]


class SizeSchema(Strict):
    width: int
    height: int


class OriginSchema(Strict):
    source: str
    licence: str
    provenance: str


class RecognizerSchema(VersionSchema):
    """What a recognizer is."""

    task: str
    labels: list[str]
    size: SizeSchema
    origin: OriginSchema
    backbone: str | None
    versions: list[int]
    aliases: dict[str, int]


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


MODELS: tuple[type[BaseModel], ...] = (
    RecognitionSchema, RecognizersSchema, RecognizerSchema, ProblemSchema, InferenceErrorSchema, ImagesJson, InferJson,
    *teaching_schemas.MODELS,
)  # fmt: skip
DIGEST = "4f0c5d1f8f8c6f7e0e9a4e6d8a7f3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC"  # a red PNG, 1x1
RECOGNITION = {
    "recognizer": "general",
    "version": 1,
    "digest": DIGEST,
    "answers": [{"labels": [{"label": "espresso", "score": 0.93, "id": "n07920052"}, {"label": "cup", "score": 0.02, "id": "n07930864"}]}],
    "timing_ms": {"decode": 1.9, "queue": 0.0, "network": 6.4, "total": 8.8},
}
NAME = REFERENCE | {"name": "name"}
VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}, "example": "1"}
KIND = {"name": "kind", "in": "path", "required": True, "schema": {"type": "string", "enum": [*KINDS]}, "example": "bad-image"}
TOP = {
    "name": "top", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": 5},
    "description": "How many labels to name, the surest first.",
}  # fmt: skip
COVERAGE = {
    "name": "coverage", "in": "query", "schema": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "example": 0.95,
    "description": "Give, instead of the top labels, the smallest set that holds the truth this often. Taught recognizers only.",
}  # fmt: skip
EXPLAIN = {
    "name": "explain", "in": "query", "schema": {"type": "boolean", "default": False},
    "description": "Adds a picture that shows what speaks for the first label.",
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
        "image/*": BINARY,
        "application/octet-stream": BINARY,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}},
                "required": ["image"],
                "additionalProperties": False,
                "description": "One or several files; the names of the fields do not matter.",
            }
        },
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


def _object() -> dict[str, Any]:
    return {JSON: {"schema": {"type": "object"}}}


TEXT = {"text/plain": {"schema": {"type": "string"}}}
ROUTES: Described = {
    ("GET", "/v1/recognizers"): ("recognizers", [], None, _model("RecognizersSchema"), (500,)),
    ("GET", "/v1/recognizers/{reference}"): ("recognizers", [REFERENCE], None, _model("RecognizerSchema"), (400, 404, 500)),
    ("POST", "/v1/recognizers/{reference}/recognize"): (
        "recognizers", [REFERENCE, TOP, COVERAGE, EXPLAIN, TIMEOUT], IMAGES, _model("RecognitionSchema", RECOGNITION), (*IN_CALLS, 403),
    ),
    **teaching_schemas.ROUTES,
    ("GET", "/v2/health/live"): ("open inference protocol", [], None, _object(), ()),
    ("GET", "/v2/health/ready"): ("open inference protocol", [], None, _object(), (503,)),
    ("GET", "/v2"): ("open inference protocol", [], None, _object(), ()),
    ("GET", "/v2/models/{name}"): ("open inference protocol", [NAME], None, _object(), (400, 404, 500)),
    ("GET", "/v2/models/{name}/versions/{version}"): ("open inference protocol", [NAME, VERSION], None, _object(), (400, 404, 500)),
    ("GET", "/v2/models/{name}/ready"): ("open inference protocol", [NAME], None, _object(), (400, 404, 500, 503)),
    ("GET", "/v2/models/{name}/versions/{version}/ready"): (
        "open inference protocol", [NAME, VERSION], None, _object(), (400, 404, 500, 503),
    ),
    ("POST", "/v2/models/{name}/infer"): (
        "open inference protocol", [NAME, HEADER_LENGTH, TIMEOUT], TENSORS, _object() | {"application/octet-stream": BINARY}, IN_CALLS,
    ),
    ("POST", "/v2/models/{name}/versions/{version}/infer"): (
        "open inference protocol", [NAME, VERSION, HEADER_LENGTH, TIMEOUT], TENSORS,
        _object() | {"application/octet-stream": BINARY}, IN_CALLS,
    ),
    ("GET", "/metrics"): ("operation", [], None, TEXT, ()),
    ("GET", "/problems/{kind}"): ("operation", [KIND], None, TEXT, (404,)),
}  # fmt: skip


def _failure(path: str, status: int) -> dict[str, Any]:
    kinds = [name for name, kind in KINDS.items() if kind.status == status]
    description = " ".join(f"`{name}`: {KINDS[name].meaning}" for name in kinds)
    if path.startswith("/v2"):
        name = "object" if path.endswith("/ready") and status == 503 else "InferenceErrorSchema"
        content = _object() if name == "object" else _model(name)
    else:
        content = {MEDIA_TYPE: {"schema": {"$ref": REF + "ProblemSchema"}}}
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
    status = "202" if (method, path) in teaching_schemas.ACCEPTED else "200"
    responses = {status: {"description": "The answer.", "content": content}} | {str(status): _failure(path, status) for status in statuses}
    operation = {"tags": [tag], "summary": said.partition("\n")[0].rstrip("."), "description": said, "parameters": parameters}
    return operation | ({"requestBody": body} if body else {}) | {"responses": responses}
