"""Adopts a foreign ONNX classifier: uint8 pixels in front, softmax behind, nothing left to configure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import JsonValue, ValidationError

from mingmu.core import graph
from mingmu.core.errors import BadModel
from mingmu.core.manifest import Manifest, Origin, digest_of, first_complaint
from mingmu.core.pixels import PixelSpec
from mingmu.core.runtime import INPUT, SCORES, OnnxRuntime, Pixels

if TYPE_CHECKING:
    import onnx

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, for networks that take one grey channel
PREFIX = "model/"


@dataclass(frozen=True)
class Normalisation:
    """How a network wants its pixels: ((x * scale / 255) - mean) / std, per channel, in its own channel order."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0  # pixels are first scaled to 0..scale: 1 for most, 255 for some
    channels: Literal["rgb", "bgr"] = "rgb"

    def factors(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The same as (x - shift) * factor on 0..255, float32 [count] each; raises BadModel for values that cannot be meant."""
        for name, values in (("mean", self.mean), ("std", self.std), ("scale", (self.scale,))):
            if not np.isfinite(values).all():
                raise BadModel(f"{name} is {list(map(float, values))}; finite numbers are needed")
            if len(values) not in (1, count):
                raise BadModel(f"{name} has {len(values)} values; the network has {count} channels, so 1 or {count} are needed")
        mean, std = np.broadcast_to(self.mean, count), np.broadcast_to(self.std, count)
        for name, least in (("std", float(std.min())), ("scale", self.scale)):
            if least <= 0:
                raise BadModel(f"{name} is {least:g}; it must be above 0")
        if (np.abs(mean) > self.scale).any():
            hint = "if the network takes 0..255, say scale 255"
            raise BadModel(f"mean is {list(map(float, mean))} but pixels go from 0 to {self.scale:g}; {hint}")
        return (mean * 255 / self.scale).astype(np.float32), (self.scale / 255 / std).astype(np.float32)


@dataclass(frozen=True)
class Input:
    """What a graph's one input looks like."""

    name: str
    layout: Literal["NCHW", "NHWC"]
    channels: int
    size: tuple[int, int] | None  # (width, height), where the graph fixes it
    dtype: int  # an onnx.TensorProto type: FLOAT or FLOAT16


def adopt(
    model: bytes,
    *,
    name: str,
    labels: Sequence[str],
    label_ids: Sequence[str] = (),
    normalisation: Normalisation = Normalisation(),
    pixels: PixelSpec,
    origin: Origin,
) -> tuple[bytes, Manifest]:
    """A graph and a manifest, ready to be sealed, from an ONNX classifier; raises BadModel, saying what does not fit.

    The classifier has one float input [N, 3, H, W], [N, H, W, 3] or the same with one grey channel, and one output [N, C].
    """
    parsed = graph.parse(model)
    source = input_of(parsed)
    check_size(source, pixels)
    wrapped = prepended(parsed, source, normalisation)
    plain = _finish(wrapped, softmax=False)
    count = width_of(plain, pixels, SCORES)
    if len(labels) != count:
        raise BadModel(f"the network gives {count} scores but there are {len(labels)} labels")
    softmax = not _are_probabilities(plain, pixels)
    if softmax and any(node.op_type == "Sigmoid" and node.output[0] == parsed.graph.output[0].name for node in parsed.graph.node):
        raise BadModel("the network ends in a sigmoid (several labels at once); only one-label classifiers can be adopted")
    made_by: dict[str, JsonValue] = {"how": "mingmu import", "model_sha256": digest_of(model), "softmax_appended": softmax}
    try:
        manifest = Manifest(
            kind="model",
            name=name,
            task="classify",
            pixels=pixels,
            labels=tuple(labels),
            label_ids=tuple(label_ids),
            origin=origin,
            made_by=made_by,
        )
    except ValidationError as error:
        raise BadModel(first_complaint(error)) from error
    return _finish(wrapped, softmax=softmax), manifest


def input_size(model: bytes) -> tuple[int, int]:
    """Width and height of the pixels that a network takes; raises BadModel where its graph leaves them open."""
    size = input_of(graph.parse(model)).size
    if size is None:
        raise BadModel("the graph does not fix its input size; say the size that the network was trained with (--size)")
    return size


def check_size(source: Input, pixels: PixelSpec) -> None:
    """Raise BadModel where the graph fixes another size."""
    if source.size is not None and pixels.size != source.size:
        raise BadModel(f"the graph takes {source.size[0]}x{source.size[1]} pixels, not {pixels.size[0]}x{pixels.size[1]}")


def input_of(model: onnx.ModelProto) -> Input:
    """The one input of a graph; raises BadModel where it takes anything else than a picture."""
    import onnx

    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]  # old files list their weights as inputs
    if len(inputs) != 1:
        raise BadModel(f"the graph has {len(inputs)} inputs ({', '.join(i.name for i in inputs)}); the pictures are one")
    tensor = inputs[0].type.tensor_type
    dims = [dim.dim_value for dim in tensor.shape.dim]  # 0 where it is not fixed
    if tensor.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16):
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise BadModel(f"the input {inputs[0].name!r} is {kind}; a network with float32 or float16 pixels is needed")
    if len(dims) == 4 and dims[1] in (1, 3) and dims[3] not in (1, 3):
        height, width = dims[2:]
        return Input(inputs[0].name, "NCHW", dims[1], (width, height) if width and height else None, tensor.elem_type)
    if len(dims) == 4 and dims[3] in (1, 3) and dims[1] not in (1, 3):
        height, width = dims[1:3]
        return Input(inputs[0].name, "NHWC", dims[3], (width, height) if width and height else None, tensor.elem_type)
    shown = ", ".join(str(dim or "?") for dim in dims)
    raise BadModel(f"the input {inputs[0].name!r} is [{shown}]; [N, 3, H, W] or [N, H, W, 3] is needed, with 3 (or 1) fixed")


def prepended(model: onnx.ModelProto, source: Input, normalisation: Normalisation) -> onnx.ModelProto:
    """The same graph, taking uint8 RGB [N, H, W, 3] as `pixels`; the batch size is free, as far as the graph allows it."""
    import onnx
    from onnx import TensorProto, compose, helper, numpy_helper

    model = compose.add_prefix(model, PREFIX)
    shift, factor = normalisation.factors(source.channels)
    constants = {"shift": shift, "factor": factor}
    nodes = [helper.make_node("Cast", [INPUT], ["floats"], to=TensorProto.FLOAT)]
    if source.channels == 1:
        constants["luma"] = np.array(LUMA, np.float32)[:, None]
        nodes.append(helper.make_node("MatMul", ["floats", "luma"], ["ordered"]))
    elif normalisation.channels == "bgr":
        constants["order"] = np.array([2, 1, 0], np.int64)
        nodes.append(helper.make_node("Gather", ["floats", "order"], ["ordered"], axis=3))
    else:
        nodes.append(helper.make_node("Identity", ["floats"], ["ordered"]))
    nodes += [helper.make_node("Sub", ["ordered", "shift"], ["shifted"]), helper.make_node("Mul", ["shifted", "factor"], ["scaled"])]
    perm = [0, 3, 1, 2] if source.layout == "NCHW" else [0, 1, 2, 3]
    nodes.append(helper.make_node("Transpose", ["scaled"], ["laid"], perm=perm))
    nodes.append(helper.make_node("Cast", ["laid"], [PREFIX + source.name], to=source.dtype))
    width, height = source.size or ("width", "height")
    pixels = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", height, width, 3])

    body = onnx.GraphProto()
    body.name = "adopted"
    body.input.append(pixels)
    body.node.extend([*nodes, *model.graph.node])
    body.initializer.extend([numpy_helper.from_array(value, key) for key, value in constants.items()])
    body.initializer.extend(model.graph.initializer)
    body.sparse_initializer.extend(model.graph.sparse_initializer)
    body.output.extend(model.graph.output)
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    wrapped.graph.CopyFrom(body)
    wrapped.ClearField("doc_string")
    _free_batch(wrapped)
    return wrapped


def _free_batch(model: onnx.ModelProto) -> None:
    """Let every Reshape into exactly one row keep the rows that it is given: so networks are exported for a batch of one.

    For one image that is the same; whether a batch gives what its images give alone is seen when it runs.
    """
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    stored |= {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant" and node.attribute}
    for number, node in enumerate(model.graph.node):
        rows = node.op_type == "Reshape" and len(node.input) == 2 and node.input[0] not in stored  # weights have none
        shape = stored.get(node.input[1]) if rows else None
        wanted = None if shape is None else numpy_helper.to_array(shape)
        if wanted is not None and wanted.ndim == 1 and wanted.size > 1 and wanted[0] == 1:
            free = np.array([0, *wanted[1:]], np.int64)
            node.input[1] = f"free/{number}"
            model.graph.initializer.append(numpy_helper.from_array(free, node.input[1]))


def _finish(model: onnx.ModelProto, *, softmax: bool) -> bytes:
    """The graph's bytes, with one output `scores` float32 [N, C]."""
    import onnx
    from onnx import TensorProto, helper

    outputs = [output.name for output in model.graph.output]
    if len(outputs) != 1:
        names = ", ".join(name.removeprefix(PREFIX) for name in outputs)
        raise BadModel(f"the graph has {len(outputs)} outputs ({names}); a classifier has one")
    finished = onnx.ModelProto()
    finished.CopyFrom(model)
    last = "logits" if softmax else SCORES
    finished.graph.node.append(helper.make_node("Cast", outputs, ["float_scores"], to=TensorProto.FLOAT))
    finished.graph.node.append(helper.make_node("Flatten", ["float_scores"], [last], axis=1))
    if softmax:
        finished.graph.node.append(helper.make_node("Softmax", ["logits"], [SCORES], axis=1))
    del finished.graph.output[:]
    finished.graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["N", "C"]))
    return bytes(finished.SerializeToString(deterministic=True))


def width_of(model: bytes, spec: PixelSpec, output: str) -> int:
    """How many numbers an output [N, C] has for one image; raises BadModel unless a batch gives what its images give alone."""
    batch = noise(spec)
    runtime = OnnxRuntime(model)
    try:
        together = runtime(batch, [output])[output]
        alone = np.concatenate([runtime(image[None], [output])[output] for image in batch])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise BadModel(f"the network cannot run on a batch of {len(batch)} images of {spec.size[0]}x{spec.size[1]}: {error}") from error
    if together.shape != alone.shape or len(together) != len(batch):
        raise BadModel(f"{len(batch)} images give {output} of shape {list(together.shape)}; [{len(batch)}, C] is needed")
    if not np.allclose(together, alone, rtol=1e-2, atol=1e-3):
        raise BadModel(f"an image gets other {output} in a batch than alone; export the network in inference mode")
    return int(together.shape[1])


def _are_probabilities(model: bytes, spec: PixelSpec) -> bool:
    scores = OnnxRuntime(model)(noise(spec), [SCORES])[SCORES]
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3))


def noise(spec: PixelSpec) -> Pixels:
    """Four different images, uint8 [4, H, W, 3], always the same."""
    width, height = spec.size
    return np.random.default_rng(0).integers(0, 256, (4, height, width, 3), dtype=np.uint8)
