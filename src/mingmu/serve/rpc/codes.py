"""What becomes of our errors in gRPC: their status code, and what goes along."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mingmu.serve.problems import Problem

if TYPE_CHECKING:
    import grpc

MAX_DETAILS = 500  # characters; clients refuse an answer whose metadata is over 8 KiB, and some characters take twelve bytes there
CODES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",  # not RESOURCE_EXHAUSTED: that is worth another try
    415: "INVALID_ARGUMENT",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # by HTTP status, which is that of the error's kind


def code_of(problem: Problem) -> grpc.StatusCode:
    """The gRPC status code of a problem."""
    import grpc

    code: grpc.StatusCode = getattr(grpc.StatusCode, CODES[problem.status])
    return code


def metadata_of(problem: Problem, request_id: str) -> tuple[tuple[str, str], ...]:
    """What follows an error: its kind, the request's id and, where another try is worth it, after how many milliseconds.

    `grpc-retry-pushback-ms` is what gRPC's own clients look at before they try again (gRFC A6).
    """
    after = problem.headers.get("retry-after")
    pushback = (("grpc-retry-pushback-ms", str(math.ceil(float(after) * 1e3))),) if after else ()
    return (("x-request-id", request_id), ("kind", problem.kind), *pushback)
