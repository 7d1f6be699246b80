"""Makes the variants of a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from mingmu.compress.quantize import quantize
from mingmu.core.artifact import GRAPH, Artifact
from mingmu.core.errors import BadModel
from mingmu.core.manifest import Runs, Tolerance
from mingmu.core.runtime import Pixels
from mingmu.core.sealing import seal_variant

CALIBRATION_PART = 5  # of few photos, one in so many is what INT8 is calibrated with
LESS_EXACT = Tolerance(outputs=0.02)  # with few bits, another version of the runtime may round a step the other way


@dataclass(frozen=True)
class Maker:
    """Makes variants of one network; all INT8 ones share a graph."""

    sealed: Artifact
    frames: Iterable[Pixels]  # real photos, uint8 [H, W, 3] each, to calibrate with; taken once

    def make(self, folder: Path, runs: Runs) -> Artifact:
        """Seal a variant into an empty folder; raises BadModel, MissingExtra."""
        manifest = self.sealed.manifest
        exact = runs.precision == "fp32"
        graph = self._quantised if runs.precision == "int8" and manifest.runs.precision != "int8" else self.sealed.read(GRAPH)
        tolerance = manifest.tolerance if exact else LESS_EXACT
        return seal_variant(folder, self.sealed, runs, graph, tolerance=tolerance, made_by={"how": f"{manifest.name} as {runs}"})

    @cached_property
    def _quantised(self) -> bytes:
        if self.sealed.manifest.runs.precision != "fp32":
            raise BadModel(
                f"{self.sealed.manifest.name} was compressed already ({self.sealed.manifest.runs}); compress what it was made from"
            )
        frames = iter(self.frames)
        if (first := next(frames, None)) is None:
            raise BadModel(f"too few photos to calibrate INT8 with; at least {CALIBRATION_PART} are needed")
        return quantize(self.sealed.read(GRAPH), chain([first], frames))
