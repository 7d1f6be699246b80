"""What scores mean, and how they are measured."""

from __future__ import annotations

from mingmu.core.errors import BadArtifact
from mingmu.core.recognizer import Task
from mingmu.tasks.classify import Classify
from mingmu.tasks.detect import Detect


def task_named(name: str) -> Task:
    """The task of a manifest; raises BadArtifact for one that is not known."""
    tasks: dict[str, Task] = {"classify": Classify(), "detect": Detect()}
    try:
        return tasks[name]
    except KeyError:
        raise BadArtifact(f"task {name!r} is not one of {', '.join(tasks)}") from None
