"""What can be asked of a batch. Stated once, for every door: the command line, HTTP and the Python client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypedDict

from mingmu.core.answers import Wish

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

    threshold: float | None = field(
        default=None, metadata={"description": "The least score of a box; without it, the recognizer's own.", "ge": 0, "le": 1}
    )
    overlap: float | None = field(
        default=None,
        metadata={
            "description": "What share of their union two boxes of a label may have in common.",
            "ge": 0,
            "le": 1,
        },
    )

    @property
    def wish(self) -> Wish:
        return Wish(self.top, self.coverage, self.threshold, self.overlap)


class Asked(TypedDict, total=False):
    """The same, as the keywords of a call in Python."""

    top: int | None
    coverage: float | None
    threshold: float | None
    overlap: float | None
