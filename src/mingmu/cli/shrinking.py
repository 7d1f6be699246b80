"""Commands that make smaller networks learn from larger ones: shrink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mingmu.cli.options import Anew, DataDir, Epochs, Json, Name, Resume, Time, open_store
from mingmu.cli.teaching import Html
from mingmu.cli.training import resumable
from mingmu.cli.tuning import COLUMNS, row

if TYPE_CHECKING:
    from mingmu.verbs import Shrunk


def shrink(
    name: Name,
    data: Annotated[
        Path | None, typer.Option(help="More labelled photos, beside those that it learned from.", show_default="only those")
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(min=0.05, max=1.0, help="The share of multiplications that is kept.", show_default="0.7; 1 with --net"),
    ] = None,
    net: Annotated[str | None, typer.Option(help="Let this network learn from it, or timm:NAME.", show_default="its own")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="How it learns: fast, accurate, student, or a TOML file.", show_default="as NAME did; from nothing: student"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=16, max=1024, help="Pixels a side that it looks at.", show_default="as NAME, or fewer")
    ] = None,
    epochs: Epochs = None,
    time: Time = None,
    resume: Resume = False,
    anew: Anew = False,
    html: Html = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Make a smaller, faster version of a recognizer, which learns from it (extra `train`). It is published if it is as good; otherwise
    the exit code is 1.
    """
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.train import recipe as recipes

    store = open_store(data_dir)
    with resumable(verbs.smaller_of(store, name.partition("@")[0])), render.progress() as progress:
        done = verbs.shrink(
            store,
            name,
            data,
            keep=keep,
            net=net,
            recipe=None if recipe is None else recipes.read(recipe),
            size=size,
            epochs=epochs,
            seconds=time,
            resume=resume,
            anew=anew,
            progress=progress,
        )
    if html:
        html.write_text(done.page(), encoding="utf-8")
    _print(done, as_json)
    if not done.version:
        raise typer.Exit(1)


def _print(done: Shrunk, as_json: bool) -> None:
    from mingmu.cli import render

    if as_json:
        version = render.version_json(done.version) if done.version else None
        render.print_json({"version": version, "data": done.data, "trials": [trial.model_dump(mode="json") for trial in done.trials]})
        return
    render.print_rows(COLUMNS, [row(trial) for trial in done.trials])
    print(f"\n{render.label(done.version)} is ready." if done.version else "\nRefused: nothing was published.")
    print(f"Judged on {done.data}.")
