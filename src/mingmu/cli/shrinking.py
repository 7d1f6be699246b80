"""Commands that make smaller networks learn from larger ones: shrink."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mingmu.cli.options import DataDir, Json, Name, open_store
from mingmu.cli.teaching import Html
from mingmu.cli.training import Anew, Time, resumable, seconds_of
from mingmu.cli.tuning import COLUMNS, row


def shrink(
    name: Name,
    data: Annotated[
        Path | None, typer.Option(help="More labelled photos, beside those that it learned from.", show_default="only those")
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(min=0.05, max=1.0, help="The share of multiplications that is kept.", show_default="0.5; 1 with --net"),
    ] = None,
    net: Annotated[str | None, typer.Option(help="Let this network learn from it, or timm:NAME.", show_default="its own")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="How it learns: fast, accurate, student, or a TOML file.", show_default="as NAME did; from nothing: student"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=16, max=1024, help="Pixels a side that it looks at.", show_default="as NAME, or fewer")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How often it sees the photos.", show_default="the recipe's, or what the time allows")
    ] = None,
    time: Time = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the shrinking of this name was cut short.")] = False,
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

    chosen = None if recipe is None else recipes.read(recipe)
    seconds = seconds_of(time)
    store = open_store(data_dir)
    with resumable(verbs.smaller_of(store, name.partition("@")[0])), render.progress() as progress:
        done = verbs.shrink(
            store,
            name,
            data,
            keep=keep,
            net=net,
            recipe=chosen,
            size=size,
            epochs=epochs,
            seconds=seconds,
            resume=resume,
            anew=anew,
            progress=progress,
        )
    if html:
        html.write_text(done.page(), encoding="utf-8")
    if as_json:
        version = render.version_json(done.version) if done.version else None
        render.print_json({"version": version, "data": done.data, "trials": [trial.model_dump(mode="json") for trial in done.trials]})
    else:
        render.print_rows(COLUMNS, [row(trial) for trial in done.trials])
        print(f"\n{render.label(done.version)} is ready." if done.version else "\nRefused: nothing was published.")
        print(f"Judged on {done.data}.")
    if not done.version:
        raise typer.Exit(1)
