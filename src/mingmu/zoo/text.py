"""Makes the parts of `text` of PP-OCR's published weights: one finds lines, one says which way up they are, one reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import JsonValue

from mingmu.core import graph
from mingmu.core.artifact import Artifact
from mingmu.core.errors import BadModel
from mingmu.core.manifest import Manifest, digest_of
from mingmu.core.pixels import PixelSpec
from mingmu.core.runtime import MASK, SCORES, TEXT
from mingmu.zoo.adopt import Normalisation, input_of, prepended
from mingmu.zoo.catalog import Entry
from mingmu.zoo.embedded import Add, seal_proven

if TYPE_CHECKING:
    import onnx

AS_TRAINED = Normalisation(mean=(0.5,), std=(0.5,), channels="bgr")
MIDDLE = (127, 127, 127)  # 0 after normalisation: what fills a frame up
LOCATOR_PIXELS = PixelSpec(size=(960, 960), fit="letterbox", pad="corner", pad_colour=MIDDLE)
TURNER_PIXELS = PixelSpec(size=(192, 48), fit="letterbox", pad="corner", pad_colour=MIDDLE)
READER_PIXELS = PixelSpec(size=(320, 48), fit="letterbox", pad="corner", pad_colour=MIDDLE)
ALPHABET = "character"  # where PP-OCR's reader keeps its characters, one a line


def seal_locator(add: Add, entry: Entry, page: str, weights: bytes) -> Artifact:
    """Build, seal and prove what finds lines. Raises BadModel, Unproven."""
    model = prepared(weights)
    finish(model, MASK, ["N", "H", "W"], ("Squeeze", [1]))
    return sealed(add, entry, page, weights, model, LOCATOR_PIXELS, "locate")


def seal_turner(add: Add, entry: Entry, page: str, weights: bytes) -> Artifact:
    """Build, seal and prove what tells a line from the same one on its head. Raises BadModel, Unproven."""
    model = prepared(weights)
    finish(model, SCORES, ["N", 2], ("Identity", None))
    return sealed(add, entry, page, weights, model, TURNER_PIXELS, "classify", ("upright", "upside down"))


def seal_text_reader(add: Add, entry: Entry, page: str, weights: bytes) -> Artifact:
    """Build, seal and prove what reads a line, of any length. Raises BadModel, Unproven."""
    model = prepared(weights)
    stored = {each.key: each.value for each in model.metadata_props}
    if ALPHABET not in stored:
        raise BadModel(f"{entry.file} does not say which characters it reads")
    labels = (*stored[ALPHABET].split("\n"), " ")
    del model.metadata_props[:]
    finish(model, TEXT, ["N", "T", 1 + len(labels)], ("Identity", None))
    return sealed(add, entry, page, weights, model, READER_PIXELS, "read", labels)


def prepared(weights: bytes) -> onnx.ModelProto:
    parsed = graph.parse(weights)
    return prepended(parsed, input_of(parsed), AS_TRAINED)


def finish(model: onnx.ModelProto, name: str, shape: list[str | int], last: tuple[str, list[int] | None]) -> None:
    """Give the graph's one output our name and shape."""
    from onnx import TensorProto, helper

    (output,) = [each.name for each in model.graph.output]
    operator, axes = last
    node = helper.make_node(operator, [output], [name])
    if axes is not None:  # before opset 13, in which these networks are
        node.attribute.append(helper.make_attribute("axes", axes))
    model.graph.node.append(node)
    del model.graph.output[:], model.graph.value_info[:]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def sealed(
    add: Add,
    entry: Entry,
    page: str,
    weights: bytes,
    model: onnx.ModelProto,
    pixels: PixelSpec,
    task: str,
    labels: tuple[str, ...] = (),
) -> Artifact:
    made_by: dict[str, JsonValue] = {"how": "the published network", "model_sha256": digest_of(weights)}
    manifest = Manifest(
        kind="model",
        name=entry.name,
        task=task,  # type: ignore[arg-type]
        pixels=pixels,
        labels=labels,
        origin=entry.origin(page),
        made_by=made_by,
    )
    data = model.SerializeToString(deterministic=True)
    return seal_proven(add, manifest, data)
