"""Write the pages that are read out of the program: `settings.md` and `cli.md`.

python docs/generate.py            write them
python docs/generate.py --check    show what is stale, and exit 1 if anything is
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mingmu.settings import Settings, variable

DOCS = Path(__file__).parent
WRITTEN_BY = "<!-- Written by `make docs`; edit the source, not this page. -->"
SETTINGS_INTRO = """\
# Settings

Each setting is an environment variable. One that is unknown, or out of its range, stops the program with a message.
"""
CLI_INTRO = """\
# Command line

What `mingmu --help` and the `--help` of each command say.
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; show what is stale and exit 1 if anything is")
    options = parser.parse_args(arguments)

    from mingmu.cli import app

    pages = {DOCS / "settings.md": settings_page(Settings), DOCS / "cli.md": cli_page(app, "mingmu")}
    if not options.check:
        write(pages)
        return 0
    difference = stale(pages)
    if difference:
        print(f"{difference}\nThese pages are stale: run `make docs` and commit what it writes.", file=sys.stderr)
    return 1 if difference else 0


def write(pages: Mapping[Path, str]) -> None:
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")


def stale(pages: Mapping[Path, str]) -> str:
    """The difference between the pages on disk and what they should say; empty when there is none."""
    differences: list[str] = []
    for path, text in pages.items():
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        differences += difflib.unified_diff(
            found.splitlines(), text.splitlines(), f"{path.name} (found)", f"{path.name} (wanted)", "", "", 1, ""
        )
    return "\n".join(differences)


def settings_page(settings: type[BaseModel]) -> str:
    """A table with a row for each setting. Raises ValueError for one without a description."""
    rows = []
    for name, field in settings.model_fields.items():
        if not field.description:
            raise ValueError(f"the setting {name} has no description")
        rows.append((f"`{name}`", f"`{variable(name)}`", type_text(field), default_text(name, field), field.description))
    return f"{WRITTEN_BY}\n{SETTINGS_INTRO}\n{table(('Setting', 'Variable', 'Type', 'Default', 'What it is'), rows)}"


def type_text(field: FieldInfo) -> str:
    """A field's type and its range, as `int, > 0`."""
    kinds = get_args(field.annotation) if get_origin(field.annotation) not in (None, Literal) else (field.annotation,)
    parts = [" or ".join(kind_text(kind) for kind in kinds if kind is not NoneType)]
    for bound in field.metadata:
        match bound:
            case annotated_types.Gt(gt=limit):
                parts.append(f"> {limit}")
            case annotated_types.Ge(ge=limit):
                parts.append(f"≥ {limit}")
            case annotated_types.Lt(lt=limit):
                parts.append(f"< {limit}")
            case annotated_types.Le(le=limit):
                parts.append(f"≤ {limit}")
    return ", ".join(parts)


def kind_text(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    return "path" if kind is Path else str(kind.__name__)


def default_text(name: str, field: FieldInfo) -> str:
    """A default as it would be typed; where it depends on the machine, the words for it."""
    if name == "data_dir":
        return "the platform's user data folder"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}` ({value // 2**20} MiB)" if name.endswith("_bytes") else f"`{text}`"


def cli_page(app: typer.Typer, name: str) -> str:
    """A section for each command: usage, help, arguments, options, example. Raises ValueError for one without help or example."""
    sections = (section(command, context) for command, context in commands(typer.main.get_command(app), name))
    return "\n".join((WRITTEN_BY, CLI_INTRO, *sections))


def commands(command: Any, name: str, parent: Any = None) -> Iterator[tuple[Any, Any]]:
    """A command and, for a group, all that is in it, each with the context its help is written in."""
    context = command.context_class(command, info_name=name, parent=parent)
    yield command, context
    for child in getattr(command, "commands", {}).values():
        if not child.hidden:
            yield from commands(child, child.name, context)


def section(command: Any, context: Any) -> str:
    is_group = hasattr(command, "commands")
    example = (command.epilog or "").removeprefix("Example:").strip().strip("`")
    if not command.help or not (example or is_group):
        raise ValueError(f"`{context.command_path}` needs a docstring and an example (epilog='Example: …')")
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    parts = [f"## {context.command_path}\n", f"```\n{usage}\n```\n", inspect.cleandoc(command.help).replace("\b\n", "") + "\n"]
    for kind, title in (("argument", "Argument"), ("option", "Option")):
        records = [p.get_help_record(context) for p in command.params if p.param_type_name == kind]
        rows = [(f"`{names}`", text) for names, text in filter(None, records)]
        if rows:
            parts.append(table((title, "What it is"), rows))
    if example:
        parts.append(f"Example:\n\n```sh\n{example}\n```\n")
    return "\n".join(parts)


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = (header, ("---",) * len(header), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
