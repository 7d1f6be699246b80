"""Probes: images that show, wherever an artifact is loaded, that it still gives what it gave when it was sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.artifact import PROBES, Artifact, Probe
from mingmu.core.errors import BadArtifact, Unproven
from mingmu.core.pixels import Frame
from mingmu.core.runtime import SCORES, Outputs

OTHERS = 0.05  # of the boxes that a detector proposes: so many, of nothing, may be others than were sealed


def probe_images_of(artifact: Artifact) -> dict[str, bytes]:
    """The probe images of a network, by file name; raises BadArtifact if it has none."""
    names = sorted(name for name in artifact.manifest.files if name.startswith("probes/"))
    if not names:
        raise BadArtifact(f"{artifact.manifest.name} has no probe images, so nothing proves it")
    return {name: artifact.read(name) for name in names}


def probes_of(artifact: Artifact, outputs: tuple[str, ...], backbone: Artifact | None = None) -> list[Probe]:
    """The probes of an artifact; a head's images are those of its backbone.

    Raises BadArtifact unless exactly `outputs` were sealed, one row for each image: what is not sealed would not be proven.
    """
    arrays, images = artifact.arrays(PROBES), probe_images_of(backbone or artifact)
    pixels = arrays.pop("pixels", None)
    if {*arrays} != {*outputs}:
        sealed, wanted = (", ".join(sorted(names)) or "nothing" for names in (arrays, outputs))
        raise BadArtifact(f"{artifact.manifest.name}: its probes prove {sealed}; {wanted} is needed")
    fits = pixels is None or (pixels.dtype == np.uint8 and pixels.ndim == 4 and len(pixels) == len(images))
    if not fits or any(values.ndim < 2 or len(values) != len(images) for values in arrays.values()):
        raise BadArtifact(f"{artifact.manifest.name}: {len(images)} probe images do not fit the probes' arrays")
    return [
        Probe(
            name=name,
            image=image,
            pixels=None if pixels is None else pixels[i].astype(np.uint8, copy=False),
            outputs={key: values[i].astype(np.float32, copy=False) for key, values in arrays.items()},
        )
        for i, (name, image) in enumerate(images.items())
    ]


def check_pixels(probe: Probe, frame: Frame, tolerance: float) -> None:
    """Raise Unproven if an image no longer becomes the pixels that were sealed."""
    if probe.pixels is None or frame.pixels.shape != probe.pixels.shape:
        raise Unproven(f"{probe.name}: the sealed pixels do not fit the pixel spec")
    moved = float(np.abs(frame.pixels.astype(np.int16) - probe.pixels).mean())
    if moved > tolerance:
        raise Unproven(f"{probe.name}: pixels differ by {moved:.2f} levels on average; the limit is {tolerance} (decoding moved)")


def check_outputs(probe: Probe, outputs: Outputs, tolerance: float) -> None:
    """Raise Unproven if pixels no longer give the outputs that were sealed."""
    _check_shapes(probe, outputs)
    for name, sealed in probe.outputs.items():
        drift = float(np.abs(outputs[name] - sealed).max()) / _unit(sealed)
        if not drift <= tolerance:  # not a number counts as drift
            raise Unproven(f"{probe.name}: {name} differs by up to {drift:.5f}; the limit is {tolerance} (the runtime moved)")


def check_boxes(probe: Probe, outputs: Outputs, tolerance: float, threshold: float) -> None:
    """Raise Unproven if pixels no longer give the boxes that were sealed, with their scores, in any order.

    A detector that proposes just the surest regions may give them in another order on another machine, and others in the place of the
    least sure: so it may propose a few others, if neither these nor those that they replace have a score of the threshold.
    """
    _check_shapes(probe, outputs)
    limits = {name: tolerance * _unit(sealed) for name, sealed in probe.outputs.items()}
    for what, ones, others in (("was sealed and is gone", probe.outputs, outputs), ("was not sealed", outputs, probe.outputs)):
        lost = _without_like(ones, others, limits)
        surest = float(ones[SCORES][lost].max(initial=0.0))
        if len(lost) and not surest < threshold:
            raise Unproven(f"{probe.name}: a box with a score of {surest:.3f} {what}; the limit is {tolerance} (the runtime moved)")
        if len(lost) > OTHERS * len(ones[SCORES]):
            raise Unproven(f"{probe.name}: {len(lost)} of {len(ones[SCORES])} boxes differ by more than {tolerance} (the runtime moved)")


def _check_shapes(probe: Probe, outputs: Outputs) -> None:
    for name, sealed in probe.outputs.items():
        if outputs[name].shape != sealed.shape:
            raise Unproven(f"{probe.name}: {name} has shape {outputs[name].shape}, sealed was {sealed.shape}")


def _unit(sealed: NDArray[np.float32]) -> float:
    """What the drift of an output is measured in."""
    return max(1.0, float(np.abs(sealed).max()))


def _without_like(ones: Outputs, others: Outputs, limits: Mapping[str, float]) -> list[int]:
    """The rows of some outputs that none of the others is like; most are like the one in their own place."""
    moved = np.flatnonzero(~_like(ones, others, limits)).tolist()
    return [row for row in moved if not _like({name: ones[name][row] for name in limits}, others, limits).any()]


def _like(ones: Outputs, others: Outputs, limits: Mapping[str, float]) -> NDArray[np.bool_]:
    """Which rows of the others are as near as the limits to the row in their place, or to a single one; what is no number is not."""
    gaps = {name: np.abs(others[name] - ones[name]).reshape(len(others[name]), -1).max(axis=1) for name in limits}
    return np.asarray(np.all([gaps[name] <= limit for name, limit in limits.items()], axis=0))


def alike(one: Any, other: Any, leeway: float) -> bool:
    """Whether two JSON documents say the same: words exactly, numbers up to a leeway, things in any order, for some are about as sure."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(value, other[name], leeway) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) == len(other) and all(isinstance(each, dict) for each in (*one, *other)):
            return _same_things(one, other, leeway)
        return len(one) == len(other) and all(alike(mine, theirs, leeway) for mine, theirs in zip(one, other, strict=True))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= leeway
    return bool(one == other)


def _same_things(ones: Sequence[Any], others: Sequence[Any], leeway: float) -> bool:
    left = [*others]
    for one in ones:
        match = next((at for at, other in enumerate(left) if alike(one, other, leeway)), None)
        if match is None:
            return False
        del left[match]
    return True
