"""A network in whole numbers of 8 bits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from mingmu.core.errors import BadModel
from mingmu.core.graph import parse
from mingmu.core.runtime import INPUT, Pixels

# What is computed in 8 bits. The rest (the normalisation, activations such as hard swish, softmax) stays as it is: it costs
# little, and there rounding costs most.
OPERATORS = ("Conv", "MatMul", "Gemm", "Add", "Relu", "Clip", "MaxPool", "GlobalAveragePool")
SCALES = 13  # the version of ONNX's operators from which on there is a scale for each channel


def quantize(graph: bytes, frames: Iterable[Pixels]) -> bytes:
    """A graph whose heavy operators work on 8 bits; raises BadModel if that cannot be done.

    Activations are unsigned and weights signed with a scale for each channel, which is what x86 multiplies fastest. The range
    of each activation is the smallest and the largest value that the `frames`, uint8 [H, W, 3] each, give there; they are taken
    one at a time. Quantisation is written as QuantizeLinear and DequantizeLinear, which every runtime understands.
    Source: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", CVPR 2018.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        source, prepared, target = (Path(folder) / name for name in ("source.onnx", "prepared.onnx", "target.onnx"))
        try:
            source.write_bytes(_renewed(graph))
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                _Reader(frames),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=list(OPERATORS),
                extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
            )
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes for a graph it cannot change
            raise BadModel(f"the graph cannot be quantised: {error}") from error
        return target.read_bytes()


def _renewed(graph: bytes) -> bytes:
    """A graph in a version of ONNX that knows a scale for each channel."""
    from onnx import version_converter

    model = parse(graph)
    if all(each.domain or each.version >= SCALES for each in model.opset_import):
        return graph
    renewed: bytes = version_converter.convert_version(model, SCALES).SerializeToString()
    return renewed


class _Reader:
    """The frames as ONNX Runtime asks for them."""

    def __init__(self, frames: Iterable[Pixels]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> dict[str, Pixels] | None:
        frame = next(self._frames, None)
        return None if frame is None else {INPUT: frame[None]}
