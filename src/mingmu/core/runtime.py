"""Runs a sealed graph: a uint8 batch in, float arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mingmu.core import graph
from mingmu.core.errors import BadModel
from mingmu.core.manifest import Provider

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Pixels = NDArray[np.uint8]
Outputs = Mapping[str, NDArray[np.float32]]

INPUT = "pixels"
FEATURES = "features"  # of a backbone: what heads read
MAP = "map"  # of a backbone: the feature map whose mean over space is `features`
SCORES = "scores"  # of a whole model
BOXES = "boxes"  # of a detector: corners (left, top, right, bottom) in pixels of the frame, one row for each row of its scores
LANDMARKS = "landmarks"  # of some detectors: points [P, 2] in pixels of the frame, beside each box
TEXT = "text"  # of a reader: how likely each column of a line is the blank, or one of the labels, [T, 1 + labels]
MASK = "mask"  # of what locates text: how likely each pixel belongs to some, [h, w]
READ: Mapping[str, tuple[str, ...]] = {  # of a whole model, by task
    "classify": (SCORES,),
    "detect": (BOXES, SCORES),
    "embed": (FEATURES,),
    "read": (TEXT,),
    "locate": (MASK,),
}

PROVIDERS: Mapping[Provider, str] = {  # what ONNX Runtime calls them
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}


class Runtime(Protocol):
    """Something that runs one graph. Safe to call from several threads at once."""

    def __call__(self, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
        """Run uint8 [N, H, W, 3] pixels; give the named outputs, each float32 with N rows.

        One processor works on a call, for several calls may run at once; `alone` says that nothing else runs, so all may.
        """
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of all outputs."""
        ...

    @property
    def name(self) -> str:
        """What runs it: the runtime, its version and its device."""
        ...


class OnnxRuntime:
    """A graph in ONNX Runtime. A call that is alone gets `threads` processors, in a session of its own."""

    def __init__(self, model: bytes, *, threads: int = 1, provider: Provider = "cpu") -> None:
        import onnxruntime as ort

        graph.check_sizes(graph.parse(model))
        self._session = _session(model, 1, provider)
        self._wide = _session(model, threads, provider) if threads > 1 and provider == "cpu" else self._session
        inputs = self._session.get_inputs()
        if [(i.name, i.type) for i in inputs] != [(INPUT, "tensor(uint8)")]:
            found = ", ".join(f"{i.name} {i.type}" for i in inputs)
            raise BadModel(f"a sealed graph has one input, {INPUT} tensor(uint8); this one has {found}")
        results = self._session.get_outputs()
        if not results or any(output.type != "tensor(float)" for output in results):
            found = ", ".join(f"{output.name} {output.type}" for output in results) or "none"
            raise BadModel(f"a sealed graph gives float32 outputs, tensor(float); this one gives {found}")
        self.outputs = tuple(output.name for output in results)
        self.name = f"onnxruntime {ort.__version__} {provider}"

    def __call__(self, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
        session = self._wide if alone else self._session
        return dict(zip(outputs, session.run(outputs, {INPUT: pixels}), strict=True))


def _session(model: bytes, threads: int, provider: Provider) -> InferenceSession:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoding needs the processors too
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise BadModel(f"ONNX Runtime {ort.__version__} was built without {wanted}")
    try:
        session = ort.InferenceSession(model, options, providers=[wanted])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes for a graph it cannot run
        raise BadModel(f"ONNX Runtime {ort.__version__} cannot run the graph: {error}") from error
    if wanted not in session.get_providers():  # it goes on without one that it cannot load
        raise BadModel(f"ONNX Runtime {ort.__version__} finds no device for {wanted}")
    return session
