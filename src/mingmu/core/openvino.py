"""Runs a sealed graph in OpenVINO (the extra `openvino`)."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mingmu.core import graph
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadModel, MissingExtra
from mingmu.core.manifest import Precision
from mingmu.core.runtime import INPUT, Outputs, Pixels

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}  # int8 is in the graph; the hint is for what is left


class OpenVinoRuntime:
    """A graph in OpenVINO. A call that is alone gets `threads` processors, from a model of its own.

    The others have one each, `calls` of them side by side; 0: as many as there are processors.
    """

    def __init__(self, model: bytes, *, precision: Precision = "fp32", threads: int = 1, calls: int = 0) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtra(f"this network runs on OpenVINO; install it with `pip install 'mingmu[openvino]'` ({error})") from error
        parsed = graph.parse(model)
        graph.check_sizes(parsed)
        self.outputs = tuple(output.name for output in parsed.graph.output)
        streams = calls or cpu_count()
        self._many = _Pool(_compiled(model, HINTS[precision], streams=streams, threads=streams))
        self._wide = _Pool(_compiled(model, HINTS[precision], streams=1, threads=threads)) if threads > 1 else self._many
        self.name = f"openvino {openvino.__version__.partition('-')[0]} {precision} cpu"

    def __call__(self, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
        places = [self.outputs.index(name) for name in outputs]
        return dict(zip(outputs, (self._wide if alone else self._many).run(pixels, places), strict=True))


class _Pool:
    """A compiled model and its requests: as many as ever ran at once. The one used last is used next, for its memory is warm."""

    def __init__(self, compiled: CompiledModel) -> None:
        self._compiled = compiled
        self._idle: queue.LifoQueue[InferRequest] = queue.LifoQueue()

    def run(self, pixels: Pixels, places: Sequence[int]) -> list[NDArray[np.float32]]:
        """The outputs at some places."""
        import openvino

        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        shared = np.require(pixels, requirements=["C", "W"])  # read where it lies, so it must live until the answer is there
        request.set_input_tensor(openvino.Tensor(shared, shared_memory=True))
        request.infer()
        found = [request.get_output_tensor(place).data.copy() for place in places]
        self._idle.put(request)  # one that failed is not used again
        return found


def precisions() -> tuple[Precision, ...]:
    """What this machine's processor computes natively in OpenVINO; nothing where it is not installed."""
    try:
        import openvino
    except ImportError:
        return ()
    native = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    names: dict[Precision, str] = {"fp32": "FP32", "bf16": "BF16", "int8": "INT8"}
    return tuple(precision for precision, name in names.items() if name in native)


def _compiled(model: bytes, hint: str, *, streams: int, threads: int) -> CompiledModel:
    import openvino

    config = {
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": hint,
        "ENABLE_CPU_PINNING": False,  # decoding needs the processors too
    }
    try:
        core = openvino.Core()
        read = core.read_model(model)
        _check(read)
        return core.compile_model(read, "CPU", config)
    except RuntimeError as error:
        raise BadModel(f"OpenVINO {openvino.__version__} cannot run the graph: {error}") from error


def _check(model: object) -> None:
    """Raise BadModel unless the graph takes uint8 pixels and gives float32."""
    inputs = [(value.get_any_name(), value.get_element_type().get_type_name()) for value in model.inputs]  # type: ignore[attr-defined]
    if inputs != [(INPUT, "u8")]:
        raise BadModel(f"a sealed graph has one input, {INPUT} u8; this one has {inputs}")
    outputs = [value.get_element_type().get_type_name() for value in model.outputs]  # type: ignore[attr-defined]
    if not outputs or set(outputs) != {"f32"}:
        raise BadModel(f"a sealed graph gives float32 outputs; this one gives {', '.join(outputs) or 'none'}")
