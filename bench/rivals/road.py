"""The road that all rivals share: Mingmu's own decoding, the sealed network, the same answer. They differ only in how they serve it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.rivals.terms import Precision, Terms
from mingmu.core.pixels import PixelSpec

Pixels = NDArray[np.uint8]  # [H, W, 3]
Scores = NDArray[np.float32]  # [N, C]
Answer = list[dict[str, Any]]  # label and score, the best first

GRAPH, PIXELS, LABELS, WEIGHTS = "model.onnx", "pixels.json", "labels.txt", "weights.pt"
TOP = 5


class Road:
    """Bytes to answers. Safe to use from several threads at once."""

    def __init__(self, terms: Terms, *, threads: int = 1) -> None:
        self._pixels = PixelSpec.model_validate_json((terms.network / PIXELS).read_text())
        self._labels = (terms.network / LABELS).read_text().splitlines()
        self._run = network(terms, threads)

    @classmethod
    def told(cls, *, threads: int = 1) -> Road:
        """On the terms in the environment; `threads` processors work on one batch."""
        return cls(Terms.from_environment(), threads=threads)

    def frame(self, image: bytes) -> Pixels:
        """An image file as the pixels that the network takes."""
        return self._pixels.frame(image).pixels

    def answers(self, frames: Sequence[Pixels]) -> list[Answer]:
        """An answer for each frame."""
        return [self._answer(scores) for scores in self._run(np.stack(frames))]

    def look(self, image: bytes) -> Answer:
        """An image file's answer."""
        return self.answers([self.frame(image)])[0]

    def _answer(self, scores: NDArray[np.float32]) -> Answer:
        best = np.argsort(scores)[::-1][:TOP]
        return [{"label": self._labels[i], "score": float(scores[i])} for i in best]


def network(terms: Terms, threads: int) -> Callable[[NDArray[np.uint8]], Scores]:
    """A function from uint8 [N, H, W, 3] to scores on the runtime of the terms."""
    if terms.runtime == "openvino":
        return openvino(terms.network / GRAPH, terms.precision, threads)
    if terms.runtime == "onnxruntime":
        return onnxruntime(terms.network / GRAPH, threads)
    from bench.rivals.eager import eager

    return eager(terms.network)


def onnxruntime(graph: Path, threads: int) -> Callable[[NDArray[np.uint8]], Scores]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run(["scores"], {"pixels": pixels})[0])


def openvino(graph: Path, precision: Precision, threads: int) -> Callable[[NDArray[np.uint8]], Scores]:
    import openvino as ov

    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    compiled = ov.Core().compile_model(graph, "CPU", settings)
    own = threading.local()  # an inference request serves one thread

    def run(pixels: NDArray[np.uint8]) -> Scores:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return np.array(own.request.infer({"pixels": pixels})["scores"])

    return run
