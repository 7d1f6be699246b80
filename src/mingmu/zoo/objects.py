"""Makes the recognizer `objects` of YOLOX's published weights: COCO's 80 kinds of things, and where they are."""

from __future__ import annotations

from importlib.resources import files

from mingmu.core.artifact import Artifact
from mingmu.core.pixels import PixelSpec
from mingmu.zoo.adopt import Normalisation
from mingmu.zoo.catalog import Entry, Web
from mingmu.zoo.detectors import Decoding, adopt_detector
from mingmu.zoo.embedded import Add, seal_proven

PIXELS = PixelSpec(size=(416, 416), fit="letterbox", pad="corner", pad_colour=(114, 114, 114), filter="bilinear")
AS_TRAINED = Normalisation(scale=255, channels="bgr")


def labels() -> tuple[str, ...]:
    """The classes of COCO (Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014), in the order of the scores."""
    return tuple((files("mingmu.zoo") / "coco80.txt").read_text(encoding="utf-8").splitlines())


def seal_objects(add: Add, entry: Entry, source: Web, weights: bytes) -> Artifact:
    """Build, seal and prove it through `add`. Raises BadModel, Unproven."""
    graph, manifest = adopt_detector(
        weights,
        Decoding("yolox"),
        name=entry.name,
        labels=labels(),
        normalisation=AS_TRAINED,
        pixels=PIXELS,
        origin=entry.origin(source.page),
        made_by={"how": "the published detector"},
    )
    return seal_proven(add, manifest, graph)
