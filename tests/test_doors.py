"""What can be asked of a teaching is the same at every door, and described in the same words."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import get_type_hints

from mingmu.cli import teaching as command_line
from mingmu.core.teaching import Asked, TeachOptions
from mingmu.serve import schemas

OPTIONS = {field.name: (field.default, field.metadata["description"]) for field in fields(TeachOptions)}


def test_the_command_line_offers_what_can_be_asked() -> None:
    parameters = inspect.signature(command_line.teach, eval_str=True).parameters
    offered = {name: parameters[name] for name in OPTIONS}
    assert {name: (each.default, each.annotation.__metadata__[0].help) for name, each in offered.items()} == OPTIONS
    around = {"data", "more", "name", "test", "html", "card", "as_json", "data_dir"}  # which photos, and what is written where
    assert parameters.keys() - OPTIONS.keys() == around


def test_http_offers_what_can_be_asked() -> None:
    described = schemas.document(dict.fromkeys(schemas.ROUTES, ""))["components"]["schemas"]["TeachJson"]["properties"]
    assert {name: (described[name]["default"], described[name]["description"]) for name in OPTIONS} == OPTIONS
    assert described.keys() - OPTIONS.keys() == {"dataset", "test"}


def test_the_client_offers_what_can_be_asked() -> None:
    assert get_type_hints(Asked) == {name: kind for name, kind in get_type_hints(TeachOptions).items() if name in OPTIONS}
