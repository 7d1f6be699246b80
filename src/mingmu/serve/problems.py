"""Says what went wrong: RFC 9457 problem documents, and the error objects of the Open Inference Protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mingmu.core.errors import BodyTooLarge, MingmuError, Overloaded, SlowBody

MEDIA_TYPE = "application/problem+json"
MAX_DETAIL = 2000  # characters; details quote what the client sent


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its HTTP status, and what a client should know of it."""

    status: int
    meaning: str


KINDS: Mapping[str, Kind] = {
    "bad-request": Kind(400, "The call itself is off: a parameter, the JSON, the form or a tensor. The detail says what."),
    "bad-image": Kind(400, "The bytes are not a picture that can be decoded: damaged, cut short, or something else."),
    "forbidden-url": Kind(403, "Images by URL are switched off, or the URL does not lead to a public address."),
    "not-found": Kind(404, "There is no such recognizer, version or page."),
    "method-not-allowed": Kind(405, "The page exists, but not for this HTTP method; the Allow header names those it has."),
    "slow-body": Kind(408, "The request did not arrive in time. The connection is closed."),
    "conflict": Kind(409, "What was asked for does not fit what is there. The detail says how."),
    "body-too-large": Kind(413, "The request body is over the limit. The connection is closed."),
    "image-too-large": Kind(413, "The image has more bytes or pixels, or a longer side, than is allowed."),
    "unsupported-body": Kind(415, "The content type, or the content encoding, is not one that is read here."),
    "unsupported-image": Kind(415, "The image is of a format, or a variety of it, that is not decoded."),
    "fetch-failed": Kind(422, "The URL gave no image."),
    "no-coverage": Kind(422, "This recognizer was sealed without held-out scores, so it can promise no coverage."),
    "not-explainable": Kind(422, "This recognizer keeps no feature map, so its scores cannot be explained."),
    "unfit-face": Kind(422, "A photo to be enrolled has not one clear face, or one to be compared has none. The detail says why."),
    "bad-model": Kind(422, "The recognizer's network cannot be run on this machine."),
    "queue-full": Kind(429, "Too many requests or images wait already. Try again after Retry-After seconds."),
    "head-too-large": Kind(431, "The request line and the headers are too large. The connection is closed."),
    "internal": Kind(500, "A fault of the service. The log has the details under the request id."),
    "bad-artifact": Kind(500, "The recognizer's files are not what was sealed, so it is not served."),
    "unproven": Kind(500, "The recognizer does not give its sealed answers on this machine, so it is not served."),
    "missing-extra": Kind(501, "The recognizer needs software that is not installed here. The detail names it."),
    "overloaded": Kind(503, "The service is shutting down or not ready. Try again after Retry-After seconds."),
    "deadline-exceeded": Kind(504, "The answer was not ready before the request's deadline."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is told to the client."""

    status: int
    kind: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """The problem behind an error. Faults of the service keep their details to the log."""
        if isinstance(error, HTTPException):
            kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
            return cls(error.status_code, kind, KINDS[kind].meaning, error.headers or {})
        if not isinstance(error, MingmuError):
            return cls(500, "internal", KINDS["internal"].meaning)
        detail = KINDS[error.kind].meaning if error.status == 500 else str(error)[:MAX_DETAIL]
        headers = {}
        if isinstance(error, Overloaded):
            headers["retry-after"] = str(math.ceil(error.retry_after))
        if isinstance(error, BodyTooLarge | SlowBody):
            headers["connection"] = "close"  # the rest of the body is not waited for
        return cls(error.status, error.kind, detail, headers)

    def document(self, request_id: str) -> dict[str, object]:
        """The RFC 9457 document."""
        return {
            "type": f"/problems/{self.kind}",
            "title": title(self.kind),
            "status": self.status,
            "detail": self.detail,
            "kind": self.kind,
            "request_id": request_id,
        }

    def response(self, path: str, request_id: str) -> Response:
        """The answer to a request for `path`."""
        if is_plain(path):
            return Response(orjson.dumps({"error": self.detail}), self.status, self.headers, "application/json")
        return Response(orjson.dumps(self.document(request_id)), self.status, self.headers, MEDIA_TYPE)


def is_plain(path: str) -> bool:
    """Whether errors have the plain form `{"error": …}` there, as the Open Inference Protocol and TensorFlow Serving have it."""
    return path.startswith(("/v2", "/v1/models/"))


def title(kind: str) -> str:
    """A kind as words: "Bad image"."""
    return kind.replace("-", " ").capitalize()
