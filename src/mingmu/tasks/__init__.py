"""What scores mean, and how they are measured."""

from __future__ import annotations

from typing import TypeAlias

from mingmu.core.errors import BadArtifact
from mingmu.core.manifest import Manifest
from mingmu.core.recognizer import Task
from mingmu.tasks.classify import Classify
from mingmu.tasks.detect import Detect
from mingmu.tasks.embed import Embed
from mingmu.tasks.locate import Locate
from mingmu.tasks.plates import PlatesRoad
from mingmu.tasks.read import Read
from mingmu.tasks.text import TextRoad
from mingmu.tasks.within import WithinRoad

AnyRoad: TypeAlias = TextRoad | PlatesRoad | WithinRoad


def task_of(manifest: Manifest) -> Task:
    """What reads the outputs of a recognizer."""
    return task_named(manifest.task, landmarks=manifest.detect is not None and manifest.detect.landmarks > 0)


def chain_of(manifest: Manifest) -> AnyRoad:
    """How the parts of a chain work together; raises BadArtifact where one is missing."""
    chain: AnyRoad = WithinRoad() if manifest.within else PlatesRoad() if manifest.task == "plates" else TextRoad()
    if missing := {*chain.parts} - {part.does for part in manifest.parts}:
        raise BadArtifact(f"{manifest.name} has no {', '.join(sorted(missing))} among its parts")
    return chain


def task_named(name: str, *, landmarks: bool = False) -> Task:
    """The task of a manifest; raises BadArtifact for one that is not known."""
    tasks: dict[str, Task] = {
        "classify": Classify(),
        "detect": Detect(landmarks=landmarks),
        "embed": Embed(),
        "read": Read(),
        "locate": Locate(),
    }
    try:
        return tasks[name]
    except KeyError:
        raise BadArtifact(f"task {name!r} is not one of {', '.join(tasks)}") from None
