"""What a training must share with the one that it goes on from: the recipe, the photos, and what else decides what comes of it."""

from __future__ import annotations

import json
from typing import Any

from mingmu.core.errors import Conflict
from mingmu.train.recipe import Recipe

RECIPE = "recipe"


def identity_of(recipe: Recipe, **about: str | float) -> str:
    """A recipe, and digests and numbers by what they are of, as JSON; a checkpoint keeps it."""
    return json.dumps({name.replace("_", " "): value for name, value in about.items()} | {RECIPE: recipe.model_dump(mode="json")})


def recipe_of(identity: str) -> Recipe:
    """The recipe in it."""
    return Recipe.model_validate(json.loads(identity)[RECIPE])


def check_same(before: str, now: str, what: str) -> None:
    """Raise Conflict, with the first thing that differs, where `what` was begun as one and is to go on as the other."""
    if before == now:
        return
    known, asked = _flat(json.loads(before)), _flat(json.loads(now))
    for key, value in asked.items():
        if known.get(key) != value:
            table, _, name = key.partition(".")
            fact = f"{name} = {known.get(key)!r}, and not {value!r}" if table == RECIPE else f"another {key}"
            raise Conflict(f"the {what} that was cut short has {fact}; go on with what it began with, or begin anew (--anew)")


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Values by where they are, as in `recipe.schedule.epochs`."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found
