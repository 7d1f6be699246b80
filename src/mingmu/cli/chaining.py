"""Commands that make recognizers of others: chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mingmu.cli.options import DataDir, Json, open_store


def chain(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="TOML: detector, labels, threshold, margin, then, probe. See docs/pipelines.md.")
    ],
    name: Annotated[str, typer.Option(help="What to call it.")],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Make one recognizer of two: what a detector finds, another one looks at. It is sealed, proven and served as every other."""
    from mingmu import verbs
    from mingmu.cli import render

    with render.progress() as progress:
        version = verbs.chain(open_store(data_dir), file, name=name, progress=progress)
    render.print_version(as_json, version, "is proven and ready")
