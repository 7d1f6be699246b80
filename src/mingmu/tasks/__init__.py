"""What scores mean, and how they are measured."""

from __future__ import annotations

from mingmu.core.errors import BadArtifact
from mingmu.core.manifest import Manifest
from mingmu.core.recognizer import Task
from mingmu.tasks.classify import Classify
from mingmu.tasks.detect import Detect
from mingmu.tasks.embed import Embed


def task_of(manifest: Manifest) -> Task:
    """What reads the outputs of a recognizer."""
    return task_named(manifest.task, landmarks=manifest.detect is not None and manifest.detect.landmarks > 0)


def task_named(name: str, *, landmarks: bool = False) -> Task:
    """The task of a manifest; raises BadArtifact for one that is not known."""
    tasks: dict[str, Task] = {"classify": Classify(), "detect": Detect(landmarks=landmarks), "embed": Embed()}
    try:
        return tasks[name]
    except KeyError:
        raise BadArtifact(f"task {name!r} is not one of {', '.join(tasks)}") from None
