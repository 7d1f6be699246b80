"""Chains of recognizers: a road that asks for readings, and goes on with them. Who drives it decides where the networks run.

A road is a generator: it yields a `Look`, gets a reading for each of its frames, and at last returns its answer. So the command line,
which runs the networks itself, and the server, which lets frames of many requests share a batch, walk the very same road.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from mingmu.core.pixels import Frame

if TYPE_CHECKING:
    from mingmu.core.manifest import Manifest
    from mingmu.core.recognizer import Reading, Recognizer
    from mingmu.core.runtime import Outputs

T = TypeVar("T")

AT_ONCE = 16  # frames that a network runs together here


@dataclass(frozen=True, slots=True)
class Look:
    """Frames that a recognizer shall read."""

    recognizer: Recognizer
    frames: Sequence[Frame]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The end of a road."""

    value: T


Road: TypeAlias = Generator[Look, "list[Reading]", T]


class Chained(Protocol):
    """How the parts of a sealed chain work together."""

    def road(self, parts: Mapping[str, Recognizer], frame: Frame, manifest: Manifest) -> Road[Outputs]:
        """What the task reads its answer off, from all of a picture; places are in pixels of the frame."""
        ...


def advance(road: Road[T], readings: list[Reading] | None = None) -> Look | Done[T]:
    """Go on to the next look, or to the end; raises what the road raises. None begins it."""
    try:
        return next(road) if readings is None else road.send(readings)
    except StopIteration as end:
        return Done(end.value)


def side_by_side(roads: Sequence[Road[T]]) -> Road[list[T]]:
    """Go several roads at once, a few at a time: for what they want to look at through the same recognizer they ask together."""
    ends: list[T] = []
    for start in range(0, len(roads), AT_ONCE):
        ends += yield from _abreast(roads[start : start + AT_ONCE])
    return ends


def _abreast(roads: Sequence[Road[T]]) -> Road[list[T]]:
    at = [advance(road) for road in roads]
    while looks := {number: each for number, each in enumerate(at) if isinstance(each, Look)}:
        recognizer = next(iter(looks.values())).recognizer
        alike = {number: look for number, look in looks.items() if look.recognizer is recognizer}
        readings = iter((yield Look(recognizer, [frame for look in alike.values() for frame in look.frames])))
        for number, look in alike.items():
            at[number] = advance(roads[number], [next(readings) for _ in look.frames])
    return [each.value for each in at if isinstance(each, Done)]


def walk(road: Road[T]) -> T:
    """Go a road to its end; the networks run here."""
    at = advance(road)
    while isinstance(at, Look):
        at = advance(road, _readings(at))
    return at.value


def _readings(look: Look) -> list[Reading]:
    """Frames of one size together, a few at a time."""
    found: dict[int, Reading] = {}
    sizes: dict[tuple[int, ...], list[int]] = {}
    for at, frame in enumerate(look.frames):
        sizes.setdefault(frame.pixels.shape, []).append(at)
    for alike in sizes.values():
        for start in range(0, len(alike), AT_ONCE):
            some = alike[start : start + AT_ONCE]
            frames = [look.frames[at] for at in some]
            found.update(zip(some, look.recognizer.readings_from(look.recognizer.outputs(frames), frames), strict=True))
    return [found[at] for at in range(len(look.frames))]
