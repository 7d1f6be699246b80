"""The OpenAPI descriptions of the routes of `mingmu.serve.tfserving`."""

from __future__ import annotations

from typing import Any, Literal

from mingmu.serve.shapes import IN_CALLS, JSON, NAME, REF, Described, Strict, model
from mingmu.serve.tfserving import ClassifyJson, PredictJson

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC"  # a red PNG, 1x1


class ScoresSchema(Strict):
    """The signature `classification`: the scores of one image, and what they are the scores of."""

    scores: list[float]
    classes: list[str]


class ColumnsSchema(Strict):
    """The signature `classification`, column by column."""

    scores: list[list[float]]
    classes: list[list[str]]


class FoundSchema(Strict):
    """What a detector found in one image, the surest first."""

    boxes: list[list[float]]
    scores: list[float]
    classes: list[str]


class FoundColumnsSchema(Strict):
    """What a detector found, column by column."""

    boxes: list[list[list[float]]]
    scores: list[list[float]]
    classes: list[list[str]]


class PredictionsSchema(Strict):
    """The answer to `instances`, or the one to `inputs`."""

    predictions: list[list[float]] | list[ScoresSchema] | list[FoundSchema] | None = None
    outputs: list[list[float]] | ColumnsSchema | FoundColumnsSchema | None = None


class ResultsSchema(Strict):
    """For each example, its labels with their scores, the surest first."""

    results: list[list[list[str | float]]]


class VersionStateSchema(Strict):
    error_code: str
    error_message: str


class VersionStatusSchema(Strict):
    version: str
    state: Literal["AVAILABLE", "END"]
    status: VersionStateSchema


class StatusSchema(Strict):
    """The versions of a model, the newest first."""

    model_version_status: list[VersionStatusSchema]


class SpecSchema(Strict):
    name: str
    signature_name: str
    version: str


class MetadataSchema(Strict):
    """What a model takes and gives, as TensorFlow Serving describes it."""

    model_spec: SpecSchema
    metadata: dict[str, Any]


MODELS: tuple[type[Any], ...] = (PredictJson, ClassifyJson, PredictionsSchema, ResultsSchema, StatusSchema, MetadataSchema)
TAG = "tensorflow serving"
VERSION = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}, "example": "1"}
LABEL = {
    "name": "label", "in": "path", "required": True, "schema": {"type": "string"}, "example": "prod",
    "description": "An alias of the recognizer.",
}  # fmt: skip
IMAGE = {"b64": PIXEL}
SCORES = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "1000", "name": ""}], "unknown_rank": False}}
BYTES = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}, "name": "image_bytes:0"}
DEFAULT = {
    "inputs": {"image_bytes": BYTES},
    "outputs": {"scores": SCORES | {"name": "scores:0"}},
    "method_name": "tensorflow/serving/predict",
}
EXAMPLES: dict[str, Any] = {
    "PredictJson": {"instances": [IMAGE]},
    "ClassifyJson": {"examples": [{"image": IMAGE}]},
    "PredictionsSchema": {"predictions": [[0.953141, 0.013223, 0.033636]]},  # of a recognizer with three labels
    "ResultsSchema": {"results": [[["espresso", 0.953141], ["cup", 0.013223]]]},  # of its labels, the first two
    "StatusSchema": {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}],
    },
    "MetadataSchema": {
        "model_spec": {"name": "general", "signature_name": "", "version": "1"},
        "metadata": {"signature_def": {"signature_def": {"serving_default": DEFAULT}}},
    },
}


def _body(name: str) -> dict[str, Any]:
    content = {"schema": {"$ref": REF + name}, "example": EXAMPLES[name]}
    return {"required": True, "content": {JSON: content}}


def _answer(name: str) -> dict[str, Any]:
    return model(name, EXAMPLES[name])


def _routes(path: str, parameters: list[dict[str, Any]]) -> Described:
    return {
        ("GET", path): (TAG, parameters, None, _answer("StatusSchema"), (400, 404, 500)),
        ("GET", path + "/metadata"): (TAG, parameters, None, _answer("MetadataSchema"), (400, 404, 500)),
        ("POST", path + ":predict"): (TAG, parameters, _body("PredictJson"), _answer("PredictionsSchema"), IN_CALLS),
        ("POST", path + ":classify"): (TAG, parameters, _body("ClassifyJson"), _answer("ResultsSchema"), IN_CALLS),
    }


ROUTES: Described = (
    _routes("/v1/models/{name}", [NAME])
    | _routes("/v1/models/{name}/versions/{version}", [NAME, VERSION])
    | _routes("/v1/models/{name}/labels/{label}", [NAME, LABEL])
)
