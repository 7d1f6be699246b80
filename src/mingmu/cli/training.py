"""Commands that train networks: train."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from mingmu.cli.options import DataDir, Json, open_store
from mingmu.cli.teaching import Data, Html

USUAL = {"classify": "fast", "detect": "detect", "read": "read"}  # recipes
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
Anew = Annotated[bool, typer.Option("--anew", help="Begin again, though the last of this name was cut short and could go on.")]
Time = Annotated[str | None, typer.Option(metavar="TIME", help="How long it may take in all, as in 90s, 10m or 2h.", show_default=False)]


def train(
    data: Data,
    name: Annotated[str, typer.Option(help="What to call the recognizer.")],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="How to train: fast, accurate, detect, plates, read, read-plates, or a TOML file.",
            show_default="fast; for detectors detect, for readers read",
        ),
    ] = None,
    task: Annotated[
        Literal["classify", "detect", "read"] | None,
        typer.Option(
            help="What the network is to say: a label of each photo, boxes, or the text that the photo's file is named after.",
            show_default="what the recipe's does, or classify",
        ),
    ] = None,
    net: Annotated[str | None, typer.Option(help="Train this network, or timm:NAME.", show_default="the recipe's")] = None,
    size: Annotated[int | None, typer.Option(min=16, max=1024, help="Pixels a side that it looks at.", show_default="the recipe's")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How often it sees the photos.", show_default="the recipe's, or what the time allows")
    ] = None,
    time: Time = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the training of this name was cut short.")] = False,
    anew: Anew = False,
    html: Html = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Train a network of your own on labelled photos, from published weights or from nothing (extra `train`). It is measured, sealed and
    served as a taught recognizer is.
    """
    import json
    from statistics import median

    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.evaluate.report import TextReport
    from mingmu.evaluate.summary import summary
    from mingmu.train import recipe as recipes
    from mingmu.train.nets import beginning, check_does, net_named

    seconds = seconds_of(time)
    does = task or (net_named(net).task if net else "classify")
    chosen = recipes.read(recipe or USUAL[does]).changed(net=net, size=size)
    check_does(chosen.net, task)
    store = open_store(data_dir)
    if not resume and verbs.leads():
        render.note(beginning(chosen.net))
    with resumable(verbs.run_of(store, name)), render.progress() as progress:
        trained = verbs.train(
            store, data, name=name, recipe=chosen, epochs=epochs, seconds=seconds, resume=resume, anew=anew, progress=progress
        )
    if not verbs.leads():
        return
    if html:
        html.write_text(verbs.page_of(store, trained.report), encoding="utf-8")
    measures = trained.report.measures
    document = render.version_json(trained.version) | {
        "report": json.loads(trained.report.to_json()),
        "curve": verbs.curve_json(trained.curve),
        "run": str(trained.folder),
    }
    what = "characters" if isinstance(trained.report, TextReport) else "labels"
    lines = [f"{render.label(trained.version)} is ready: {len(measures.classes)} {what}.", *summary(measures)]
    if trained.curve:
        rate, waited = (median(getattr(epoch, name) for epoch in trained.curve) for name in ("images_per_second", "waited"))
        speed = f"{rate:.0f} images/s, {waited:.0%} of the time waiting for photos"
        lines.append(f"{len(trained.curve)} epochs of {chosen.net.name} at {speed}.")
    if trained.findings:
        lines.append(f"{len(trained.findings)} things about the photos deserve a look: mingmu audit {data}")
    render.print_result(as_json, document, "\n".join(lines))


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Says after Ctrl-C whether, and how, what was stopped can go on from a folder."""
    from mingmu import verbs

    try:
        yield
    except KeyboardInterrupt:
        went = verbs.can_go_on(folder)
        print(
            "stopped; the same command with --resume goes on" if went else "stopped, before there was anything to go on from",
            file=sys.stderr,
        )
        raise


def seconds_of(text: str | None) -> float | None:
    """A time as it is given on the command line."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if found is None or float(found[1]) == 0:
        raise typer.BadParameter(f"{text!r} is not a time, as 90s, 10m or 2h are", param_hint="--time")
    return float(found[1]) * UNITS[found[2]]
