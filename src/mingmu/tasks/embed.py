"""Embedding: a vector that is close to those of the same, for comparing."""

from __future__ import annotations

from typing import NoReturn

from mingmu.core.answers import Wish
from mingmu.core.errors import Conflict
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import View
from mingmu.core.runtime import READ, Outputs


class Embed:
    """Reads features, float32 [F] of length 1. They say something only beside others: whoever compares them takes the reading."""

    outputs = READ["embed"]

    def kept(self, rows: Outputs) -> Outputs:
        """All of it."""
        return rows

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> NoReturn:
        """Raises Conflict: one vector alone is no answer."""
        raise Conflict(f"{manifest.name} gives vectors for comparing, no answer about one picture; it is a part of `mingmu faces`")
