"""What can be asked of a batch. Stated once, for every door: the command line, HTTP and the Python client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypedDict

Format = Literal["jsonl", "csv", "parquet"]
FORMATS: Mapping[Format, str] = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
    "parquet": "application/vnd.apache.parquet",
}
MAX_TOP = 1000
TOP = "How many labels or boxes to give, at most, the surest first; labels are 5 unless told otherwise."


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What to write about each image. What comes from outside goes through pydantic, which reads descriptions and bounds from here."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    top: int | None = field(default=None, metadata={"description": TOP, "ge": 1, "le": MAX_TOP})
    coverage: float | None = field(
        default=None,
        metadata={"description": "Instead of `top`: the labels among which the true one is this often, as in 0.95.", "gt": 0, "lt": 1},
    )


class Asked(TypedDict, total=False):
    """The same, as the keywords of a call in Python."""

    top: int | None
    coverage: float | None
