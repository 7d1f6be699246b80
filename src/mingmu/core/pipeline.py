"""Chains of recognizers: a road that asks for readings, and goes on with them. Who drives it decides where the networks run.

A road is a generator: it yields a `Look`, gets a reading for each of its frames, and at last returns its answer. So the command line,
which runs the networks itself, and the server, which lets frames of many requests share a batch, walk the very same road.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from mingmu.core.pixels import Frame
from mingmu.core.recognizer import Reading, Recognizer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """Frames that a recognizer shall read."""

    recognizer: Recognizer
    frames: Sequence[Frame]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The end of a road."""

    value: T


Road: TypeAlias = Generator[Look, list[Reading], T]


def advance(road: Road[T], readings: list[Reading] | None = None) -> Look | Done[T]:
    """Go on to the next look, or to the end; raises what the road raises. None begins it."""
    try:
        return next(road) if readings is None else road.send(readings)
    except StopIteration as end:
        return Done(end.value)


def walk(road: Road[T]) -> T:
    """Go a road to its end; the networks run here."""
    at = advance(road)
    while isinstance(at, Look):
        at = advance(road, at.recognizer.readings_from(at.recognizer.outputs(at.frames), at.frames))
    return at.value
