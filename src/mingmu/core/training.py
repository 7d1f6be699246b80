"""What can be asked of a training, at the doors of a service: HTTP and the Python client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict

MAX_RECIPE = 20_000  # characters


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train. What comes from outside goes through pydantic, which reads descriptions and bounds from here."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    recipe: str = field(
        default="fast",
        metadata={
            "description": "`fast`, `accurate`, for detectors `detect`, or a recipe itself, in TOML.",
            "min_length": 1,
            "max_length": MAX_RECIPE,
        },
    )
    net: str | None = field(default=None, metadata={"description": "Train this network instead of the recipe's."})
    size: int | None = field(default=None, metadata={"description": "Pixels a side that it looks at.", "ge": 16, "le": 1024})
    epochs: int | None = field(default=None, metadata={"description": "How often it sees the photos.", "ge": 1, "le": 10_000})
    seconds: float | None = field(default=None, metadata={"description": "How long it may take in all.", "gt": 0, "allow_inf_nan": False})


class AskedOfTraining(TypedDict, total=False):
    """The same, as the keywords of a call in Python."""

    recipe: str
    net: str | None
    size: int | None
    epochs: int | None
    seconds: float | None
