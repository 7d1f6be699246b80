"""Seals the recognizers whose weights come with a Python package: a backbone and its head.

What their probe images must give was computed once (tools/make_reference.py) and ships with Mingmu. So the digests are
the same on every machine, and each machine proves itself against the reference, not against itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np

from mingmu.core.artifact import Array, Artifact, unpack_arrays
from mingmu.core.manifest import HeadSpec, Manifest
from mingmu.core.network import Network
from mingmu.core.runtime import SCORES
from mingmu.core.sealing import seal_head, seal_network
from mingmu.zoo import efficientnet_lite, imagenet, torchfile
from mingmu.zoo.catalog import Entry, Package
from mingmu.zoo.pull import installed

Add = Callable[[Callable[[Path], object]], Artifact]
Progress = Callable[[str, float], None]

VARIANTS = {"general": ("efficientnet-lite0", efficientnet_lite.LITE0), "general-large": ("efficientnet-lite2", efficientnet_lite.LITE2)}


def seal_embedded(add: Add, entry: Entry, package: Package, progress: Progress) -> Artifact:
    """Build and seal an embedded recognizer through `add`; gives its head.

    `progress` is told the step and the share that is done. Raises MissingExtra without the weights' package, and
    Unproven if this machine does not give the reference's outputs.
    """
    progress("reading the weights", 0.0)
    state = torchfile.read(installed(entry, package).read_bytes())
    name, variant = VARIANTS[entry.name]
    pixels = efficientnet_lite.pixel_spec(variant)
    origin = entry.origin(package.requirement)
    reference = {name: values.astype(np.float32) for name, values in _reference(entry.name).items()}
    scores = reference.pop(SCORES)
    progress("sealing the backbone", 0.2)
    graph = efficientnet_lite.backbone(state, variant).SerializeToString(deterministic=True)
    backbone = Manifest(kind="backbone", name=name, task="embed", pixels=pixels, origin=origin)
    network = Network.open(add(lambda folder: seal_network(folder, backbone, graph, reference)))
    network.prove()
    progress("sealing the head", 0.7)
    head = Manifest(
        kind="head",
        name=entry.name,
        task="classify",
        pixels=pixels,
        labels=imagenet.labels(),
        label_ids=imagenet.ids(),
        head=HeadSpec(backbone=network.artifact.digest),
        origin=origin,
        made_by={"how": "the published classifier"},
    )
    weight, bias = efficientnet_lite.head(state)
    sealed = add(lambda folder: seal_head(folder, head, weight, bias, network, scores=scores))
    progress("done", 1.0)
    return sealed


def seal_proven(add: Add, manifest: Manifest, graph: bytes) -> Artifact:
    """Seal a network through `add`, and prove it before it is there. Raises BadModel, Unproven."""
    return add(lambda folder: Network.open(seal_network(folder, manifest, graph)).prove())


def _reference(name: str) -> dict[str, Array]:
    file = files("mingmu.zoo") / "reference" / f"{name}.npz"
    return unpack_arrays(file.read_bytes(), where=str(file))
