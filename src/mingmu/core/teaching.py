"""What can be asked of a teaching. Stated once, for every door: the command line, HTTP and the Python client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypedDict

Effort = Literal["quick", "normal", "thorough"]
HeadName = Literal["auto", "logistic", "discriminant", "svm", "prototype"]
MAX_SEED = 999_999_999


@dataclass(frozen=True, kw_only=True)
class TeachOptions:
    """How to teach. What comes from outside goes through pydantic, which reads descriptions and bounds from here."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    backbone: str = field(default="general", metadata={"description": "The recognizer whose network it shares."})
    effort: Effort = field(default="normal", metadata={"description": "How many ways of looking at the photos are compared."})
    head: HeadName = field(default="auto", metadata={"description": "The kind of head; auto compares some."})
    seed: int = field(
        default=0, metadata={"description": "What chance begins with; another seed sets other photos aside.", "ge": 0, "le": MAX_SEED}
    )
    add: bool = field(default=False, metadata={"description": "Add the photos to those that it was taught before."})


class Asked(TypedDict, total=False):
    """The same, as the keywords of a call in Python."""

    backbone: str
    effort: Effort
    head: HeadName
    seed: int
    add: bool
