from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from pydantic import BaseModel, Field

from docs.generate import cli_page, settings_page, stale, write


class Knobs(BaseModel):
    data_dir: Path = Field(default_factory=Path.home, description="Where things are.")
    max_bytes: int = Field(2**20, gt=0, description="Most bytes.")
    port: int = Field(80, ge=0, le=99, description="The port.")
    fetch: bool = Field(False, description="Whether to fetch.")
    mirror: str | None = Field(None, description="Another place.")
    level: Literal["low", "high"] = Field("low", description="How much.")


def app_with(epilog: str | None) -> typer.Typer:
    app = typer.Typer(add_completion=False)

    @app.callback()
    def root() -> None:
        """See pictures."""

    @app.command(epilog=epilog)
    def look(
        images: Annotated[list[str], typer.Argument(help="Pictures.")],
        top: Annotated[int, typer.Option(help="How many | most.")] = 5,
    ) -> None:
        """Look at pictures.

        One by one.
        """

    @app.command(hidden=True)
    def secret() -> None:
        """Not shown."""

    return app


def test_a_setting_is_a_row_with_its_variable_type_range_default_and_description() -> None:
    rows = settings_page(Knobs).splitlines()
    assert "| `max_bytes` | `MINGMU_MAX_BYTES` | int, > 0 | `1048576` (1 MiB) | Most bytes. |" in rows
    assert "| `port` | `MINGMU_PORT` | int, ≥ 0, ≤ 99 | `80` | The port. |" in rows
    assert "| `fetch` | `MINGMU_FETCH` | bool | `false` | Whether to fetch. |" in rows
    assert "| `mirror` | `MINGMU_MIRROR` | str | none | Another place. |" in rows
    assert "| `level` | `MINGMU_LEVEL` | `low`, `high` | `low` | How much. |" in rows


def test_a_default_that_depends_on_the_machine_is_not_written_down() -> None:
    page = settings_page(Knobs)
    assert "| `data_dir` | `MINGMU_DATA_DIR` | path | the platform's user data folder | Where things are. |" in page
    assert str(Path.home()) not in page


def test_a_setting_without_a_description_is_refused() -> None:
    class Silent(BaseModel):
        knob: int = 1

    with pytest.raises(ValueError, match="knob has no description"):
        settings_page(Silent)


def test_a_command_is_a_section_with_usage_help_arguments_options_and_example() -> None:
    page = cli_page(app_with("Example: `see look cat.jpg`"), "see")
    assert "## see look\n\n```\nsee look [OPTIONS] " in page
    assert "\n```\n\nLook at pictures.\n\nOne by one.\n\n| Argument |" in page
    assert "Pictures.  [required] |" in page
    assert "| `--top <int>` | How many \\| most.  [default: 5] |" in page
    assert "```sh\nsee look cat.jpg\n```" in page
    assert "Not shown" not in page


def test_a_command_without_an_example_is_refused() -> None:
    with pytest.raises(ValueError, match="`see look` needs a docstring and an example"):
        cli_page(app_with(None), "see")


def test_only_pages_that_differ_are_stale(tmp_path: Path) -> None:
    same, changed, missing = tmp_path / "same.md", tmp_path / "changed.md", tmp_path / "missing.md"
    write({same: "a\n", changed: "old\n"})
    difference = stale({same: "a\n", changed: "new\n", missing: "b\n"})
    assert "same.md" not in difference
    assert {"-old", "+new", "+b"} <= set(difference.splitlines())


def test_what_was_just_written_is_not_stale(tmp_path: Path) -> None:
    pages = {tmp_path / "page.md": settings_page(Knobs)}
    write(pages)
    assert stale(pages) == ""
