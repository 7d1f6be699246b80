"""What a recognizer says: typed, frozen, the same for every door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """One class and how sure the recognizer is of it."""

    label: str
    score: float  # 0..1; over all classes they sum to 1, unless several may hold at once
    id: str | None = None  # the class's id in its vocabulary (a WordNet id), where it has one


@dataclass(frozen=True, slots=True)
class Labels:
    """The answer of a classifier: the top classes, or those of a prediction set, the surest first."""

    labels: tuple[Label, ...]
    abstain: bool = False  # too little confidence, or unlike anything the recognizer was taught


Answer = Labels  # a tagged union once detect, embed and read join
