"""Options and settings that all commands share."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mingmu.core.duration import seconds_in
from mingmu.core.teaching import TeachOptions

if TYPE_CHECKING:
    from mingmu.registry.store import Store
    from mingmu.settings import Settings


DESCRIPTIONS = {field.name: field.metadata["description"] for field in fields(TeachOptions)}


def _data_dir(context: typer.Context, given: Path | None) -> Path | None:
    return given or context.find_root().params.get("data_dir")


def complete_name(incomplete: str) -> list[str]:
    from mingmu import verbs

    store = open_store(None)
    names = {*store.names(), *(entry.name for entry in verbs.available(store))}
    return sorted(name for name in names if name.startswith(incomplete))


DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", callback=_data_dir, help="Folder that holds recognizers; overrides MINGMU_DATA_DIR.", show_default=False),
]


def asked(option: str, *flags: str, **more: Any) -> Any:
    """An option of teaching, described where all doors have it from."""
    return typer.Option(*flags, help=DESCRIPTIONS[option], **more)


def _seconds(text: str) -> float:
    if not (seconds := seconds_in(text)):
        raise typer.BadParameter(f"{text!r} is not a time, as 90s, 10m or 1h30m are")
    return seconds


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A recognizer, or one version of it, as in flowers@3.", autocompletion=complete_name)
]
Net = Annotated[str | None, typer.Option(help="Train this network, or timm:NAME.", show_default="the recipe's")]
Size = Annotated[int | None, typer.Option(min=16, max=1024, help="Pixels a side that it looks at.", show_default="the recipe's")]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="How often it sees the photos.", show_default="the recipe's, or what the time allows")
]
Time = Annotated[
    float | None,
    typer.Option(parser=_seconds, metavar="TIME", help="How long it may take in all, as in 90s, 10m or 1h30m.", show_default=False),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the last one of this name was cut short.")]
Anew = Annotated[bool, typer.Option("--anew", help="Begin again, though the last of this name was cut short and could go on.")]


def load_settings(data_dir: Path | None, **overrides: object) -> Settings:
    from mingmu.settings import Settings

    return Settings.load(os.environ, data_dir=data_dir, **overrides)


def open_store(data_dir: Path | None) -> Store:
    from mingmu.registry.store import Store

    return Store.of(load_settings(data_dir))
