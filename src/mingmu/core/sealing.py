"""Seals networks and heads: runs the probe images once and writes down what they gave."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mingmu.core.artifact import GRAPH, HEAD, PROBES, Artifact, pack_arrays, seal
from mingmu.core.doubt import Doubt
from mingmu.core.errors import BadModel
from mingmu.core.head import Head
from mingmu.core.manifest import Manifest, Runs
from mingmu.core.network import Network, runtime_of
from mingmu.core.probes import probe_images_of
from mingmu.core.runtime import MAP, SCORES, Outputs, Pixels


def probe_images() -> dict[str, bytes]:
    """The probe images that ship with Mingmu: freely licensed or drawn, each one hard in its own way."""
    folder = files("mingmu.core") / "probe_images"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith((".jpg", ".png")))
    return {name: (folder / name).read_bytes() for name in names}


def seal_network(folder: Path, manifest: Manifest, graph: bytes, outputs: Outputs | None = None) -> Artifact:
    """Seal a backbone or a whole model into an empty folder; raises BadModel if the graph gives no finite outputs.

    `outputs` are what the probe images are known to give, one row each; left out, they are what this machine makes of them.
    """
    return _seal_network(folder, manifest, graph, {f"probes/{name}": image for name, image in probe_images().items()}, outputs)


def seal_variant(folder: Path, parent: Artifact, runs: Runs, graph: bytes | None = None, **changes: Any) -> Artifact:
    """Seal a network that does what `parent` does in another way: on other software, less exactly, with another graph.

    It has the probe images of its parent, and what it makes of them itself. `changes` are fields of the manifest.
    Raises BadModel, MissingExtra.
    """
    manifest = parent.manifest.model_copy(update={"runs": runs, "parent": parent.digest, **changes})
    return _seal_network(folder, manifest, graph or parent.read(GRAPH), probe_images_of(parent), None)


def _seal_network(folder: Path, manifest: Manifest, graph: bytes, images: Mapping[str, bytes], outputs: Outputs | None) -> Artifact:
    pixels = np.stack([manifest.pixels.frame(image).pixels for image in images.values()])
    if outputs is None:
        outputs = probe_outputs(graph, pixels, manifest.runs)
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise BadModel(f"output {name!r} is not finite for the probe images; check mean, std and the weights")
    (folder / "probes").mkdir(parents=True)
    for name, image in images.items():
        (folder / name).write_bytes(image)
    (folder / GRAPH).write_bytes(graph)
    (folder / PROBES).write_bytes(pack_arrays({"pixels": pixels, **outputs}))
    return seal(folder, manifest)


def probe_outputs(graph: bytes, pixels: Pixels, runs: Runs) -> Outputs:
    """What a graph makes of the probes' pixels, uint8 [P, H, W, 3]; one by one, as they will be replayed."""
    runtime = runtime_of(graph, runs)
    names = [name for name in runtime.outputs if name != MAP]
    rows = [runtime(frame[None], names) for frame in pixels]
    return {name: np.concatenate([row[name] for row in rows]) for name in names}


def seal_head(
    folder: Path,
    manifest: Manifest,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    network: Network,
    *,
    doubt: Doubt | None = None,
    scores: NDArray[np.float32] | None = None,
) -> Artifact:
    """Seal a head, weight float32 [F, C] and bias float32 [C], for the backbone `network` into an empty folder.

    `scores` are what the probe images are known to give; left out, they are what this machine makes of them.
    """
    if manifest.head is None or manifest.head.backbone != network.backbone:
        raise BadModel("the head's manifest does not name this backbone")
    if (manifest.head.taught_on or network.backbone) != network.artifact.digest:
        raise BadModel("the head's manifest does not name the variant of the backbone that it is sealed on")
    if scores is None:
        scores = _head_scores(Head(manifest.head, weight, bias), network, manifest)
    probes: dict[str, NDArray[np.generic]] = {SCORES: scores}
    if manifest.pixels != network.artifact.manifest.pixels:
        probes["pixels"] = np.stack([manifest.pixels.frame(image).pixels for image in probe_images().values()])
    folder.mkdir(parents=True, exist_ok=True)
    known = {} if doubt is None else {"conformal": doubt.conformal, "middle": doubt.middle, "directions": doubt.directions}
    (folder / HEAD).write_bytes(pack_arrays({"weight": weight, "bias": bias, **known}))
    (folder / PROBES).write_bytes(pack_arrays(probes))
    return seal(folder, manifest)


def _head_scores(head: Head, network: Network, manifest: Manifest) -> NDArray[np.float32]:
    rows = network.probe_outputs(manifest.pixels, head.spec.features)
    return np.concatenate([head.scores({name: value[None] for name, value in row.items()}) for row in rows])
