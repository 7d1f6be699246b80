"""What the descriptions of all routes are put together from."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mingmu.registry.index import MOST_LISTED
from mingmu.serve.queries import MOST

JSON = "application/json"
REF = "#/components/schemas/"
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
IMAGE_BODIES: dict[str, Any] = {
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
}  # fmt: skip
NAME = {
    "name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "example": "general",
    "description": "`general` is its newest version, `general@3` version 3.",
}  # fmt: skip
LIMIT = {
    "name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": MOST_LISTED},
    "description": "Most entries to give.",
}  # fmt: skip
AFTER = {
    "name": "after", "in": "query", "schema": {"type": "string"},
    "description": "Begin after this entry: the `next` of the page before.",
}  # fmt: skip
PAGED = [LIMIT, AFTER]
DRAW = {
    "name": "draw", "in": "query", "schema": {"type": "boolean", "default": False},
    "description": "Adds the image, with the answer drawn on it. For one image, `Accept: image/jpeg` gives that alone.",
}  # fmt: skip
IN_CALLS = (400, 404, 408, 413, 415, 422, 429, 500, 503, 504)  # what a request with a body may meet

# (method, path): tag, parameters, request body, content of the answer, statuses of errors
Described = dict[tuple[str, str], tuple[str, list[dict[str, Any]], dict[str, Any] | None, dict[str, Any], tuple[int, ...]]]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Listing(Strict):
    """A page of a listing."""

    next: str | None = Field(description="What to give as `after` for the next page; null: there is none.")


def model(name: str, example: object = None) -> dict[str, Any]:
    """Content in JSON: one of the models, by name."""
    return {JSON: {"schema": {"$ref": REF + name}} | ({"example": example} if example else {})}
