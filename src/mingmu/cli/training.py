"""Commands that train networks: train."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mingmu.cli.options import Anew, DataDir, Epochs, Json, Net, Resume, Size, Time, open_store
from mingmu.cli.teaching import Data, Html

if TYPE_CHECKING:
    from mingmu.train.run import Epoch
    from mingmu.verbs import Trained

USUAL = {"classify": "fast", "detect": "detect", "read": "read"}  # recipes


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
    net: Net = None,
    size: Size = None,
    epochs: Epochs = None,
    time: Time = None,
    resume: Resume = False,
    anew: Anew = False,
    html: Html = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Train a network of your own on labelled photos, from published weights or from nothing (extra `train`). It is measured, sealed and
    served as a taught recognizer is.
    """
    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.train import recipe as recipes
    from mingmu.train.nets import beginning, check_does, net_named

    does = task or (net_named(net).task if net else "classify")
    chosen = recipes.read(recipe or USUAL[does]).changed(net=net, size=size)
    check_does(chosen.net, task)
    store = open_store(data_dir)
    if not resume and verbs.leads():
        render.note(beginning(chosen.net))
    with resumable(verbs.run_of(store, name)), render.progress() as progress:
        trained = verbs.train(
            store, data, name=name, recipe=chosen, epochs=epochs, seconds=time, resume=resume, anew=anew, progress=progress
        )
    if not verbs.leads():
        return
    if html:
        html.write_text(verbs.page_of(store, trained.report), encoding="utf-8")
    _print(trained, chosen.net.name, data, as_json)


def _print(trained: Trained, net: str, data: Path, as_json: bool) -> None:
    import json

    from mingmu import verbs
    from mingmu.cli import render
    from mingmu.evaluate.report import TextReport
    from mingmu.evaluate.summary import summary

    measures = trained.report.measures
    document = render.version_json(trained.version) | {
        "report": json.loads(trained.report.to_json()),
        "curve": verbs.curve_json(trained.curve),
        "run": str(trained.folder),
    }
    what = "characters" if isinstance(trained.report, TextReport) else "labels"
    lines = [f"{render.label(trained.version)} is ready: {len(measures.classes)} {what}.", *summary(measures)]
    if trained.curve:
        lines.append(_pace(trained.curve, net))
    if trained.findings:
        lines.append(f"{len(trained.findings)} things about the photos deserve a look: mingmu audit {data}")
    render.print_result(as_json, document, "\n".join(lines))


def _pace(curve: Sequence[Epoch], net: str) -> str:
    """How many epochs there were, and how fast."""
    rate, waited = (median(getattr(epoch, name) for epoch in curve) for name in ("images_per_second", "waited"))
    epochs = "1 epoch" if len(curve) == 1 else f"{len(curve)} epochs"
    return f"{epochs} of {net} at {rate:.{0 if rate >= 10 else 1}f} images/s, {waited:.0%} of the time waiting for photos."


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
