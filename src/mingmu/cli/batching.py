"""The command that looks at a great many images."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mingmu.cli.options import DataDir, Json, complete_name, load_settings
from mingmu.core.batching import MAX_TOP, BatchOptions
from mingmu.core.errors import FetchFailed

if TYPE_CHECKING:
    from mingmu.verbs import Watch

DESCRIPTIONS = {field.name: field.metadata["description"] for field in fields(BatchOptions)}
OFTEN = 10.0  # seconds between two lines about it where stderr is no terminal


def batch(
    images: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder, a zip or tar, a list (.txt, .csv, .tsv, .jsonl), a quoted glob pattern, or a URL (s3://, https://).",
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .jsonl.")],
    recognizer: Annotated[str, typer.Option(help="Which recognizer looks at them.", autocompletion=complete_name)] = "general",
    top: Annotated[int | None, typer.Option(help=DESCRIPTIONS["top"], min=1, max=MAX_TOP, show_default=False)] = None,
    coverage: Annotated[float | None, typer.Option(help=DESCRIPTIONS["coverage"], show_default=False)] = None,
    threshold: Annotated[float | None, typer.Option(help=DESCRIPTIONS["threshold"], min=0, max=1, show_default=False)] = None,
    overlap: Annotated[float | None, typer.Option(help=DESCRIPTIONS["overlap"], min=0, max=1, show_default=False)] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, even where OUT or a part of it is there.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Look at any number of images, and write a row about each.

    What cannot be read becomes a row that says why, the rest go on, and the exit code is 1. A run that is cut short, however hard, goes on
    when the same command is given again.
    """
    from mingmu import verbs
    from mingmu.cli import render

    if coverage is not None and not 0 < coverage < 1:
        raise typer.BadParameter(f"{coverage:g} does not lie between 0 and 1", param_hint="--coverage")
    options = BatchOptions(top=top, coverage=coverage, threshold=threshold, overlap=overlap)
    settings, begun = load_settings(data_dir), time.monotonic()
    with render.progress() as report:
        opened = verbs.open_recognizer(settings, recognizer, report)
    try:
        with _watching() as watch:
            done = verbs.batch(settings, opened, images, out, options, restart=restart, watch=watch)
    except KeyboardInterrupt:
        kept = Path(f"{out}.part")
        print(f"stopped; what is done is kept in {kept}, and the same command goes on" if kept.exists() else "stopped", file=sys.stderr)
        raise typer.Exit(130) from None
    except FetchFailed as error:
        raise FetchFailed(f"{error}; what is done is kept, and the same command goes on from there") from error
    seconds, failed = time.monotonic() - begun, sum(done.errors.values())
    document: dict[str, Any] = render.version_json(opened.version) | {"out": str(out), "seconds": seconds}
    document |= {name: value for name, value in asdict(done).items() if name != "version"}
    text = f"{done.images} images in {out}, {done.images - done.resumed} of them looked at now, in {seconds:.1f} s"
    lines = [text, *(f"{count} with the error {kind}" for kind, count in done.errors.items())]
    render.print_result(as_json, document, "\n".join(lines))
    if failed:
        raise typer.Exit(1)


@contextmanager
def _watching() -> Iterator[Watch]:
    """A bar on stderr with the rate and the time that is left; where stderr is no terminal, a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.0f}/s" if task.speed else "")

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TextColumn("left:"), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: list[TaskID] = []

        def watch(done: int, images: int) -> None:
            if not tasks:
                tasks.append(bar.add_task("looking at the images", total=images, completed=done))
            bar.update(tasks[0], completed=done)

        yield watch


class _Lines:
    """Says how far it is, in words."""

    def __init__(self) -> None:
        self._said = self._begun = time.monotonic()
        self._before: int | None = None  # done by an earlier run

    def __call__(self, done: int, images: int) -> None:
        now = time.monotonic()
        if self._before is None:
            self._before, self._begun = done, now
        elif now - self._said > OFTEN and done > self._before:
            self._said = now
            rate = (done - self._before) / (now - self._begun)
            print(f"{done} of {images} images, {rate:.1f}/s, {(images - done) / rate / 60:.1f} min left", file=sys.stderr)
