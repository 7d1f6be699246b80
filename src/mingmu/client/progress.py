"""Shows how far something is that takes its time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float], None]


@contextmanager
def shown(progress: Progress | None) -> Iterator[Progress]:
    """Whoever is to be told: `progress`, or else a bar where somebody sits at the terminal."""
    if progress is not None or not sys.stderr.isatty():
        yield progress or _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda step, share: bar.update(task, description=step, completed=share)


def _silent(_step: str, _share: float) -> None:
    """Nobody watches."""
