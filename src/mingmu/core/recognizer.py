"""The one road from image bytes to an answer.

Evaluation, calibration, compression, the command line and the server all walk it:
`frame` (bytes to pixels), `scores` (pixels to scores), then the task's `interpret` (scores to an answer).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import Answer
from mingmu.core.artifact import GRAPH, HEAD, PROBES, Artifact, Probe
from mingmu.core.doubt import Doubt, likeness, prediction_sets
from mingmu.core.errors import BadArtifact, BadModel, MingmuError, NoCoverage, NotExplainable, Unproven
from mingmu.core.manifest import HeadSpec, Manifest
from mingmu.core.pixels import Frame, Limits, PixelSpec
from mingmu.core.runtime import OnnxRuntime, Outputs, Runtime

Scores = NDArray[np.float32]

FEATURES = "features"
MAP = "map"
SCORES = "scores"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a recognizer read off one image."""

    scores: Scores  # [C]
    likeness: float | None  # to what it was taught, -1 to 1; None where the recognizer does not look at it


class Task(Protocol):
    """What scores mean."""

    def interpret(self, scores: Scores, manifest: Manifest, *, top: int) -> Answer:
        """One image's scores, float32 [C], as an answer."""
        ...


@dataclass(frozen=True, eq=False)
class Network:
    """A sealed graph and what runs it; heads share it."""

    artifact: Artifact
    runtime: Runtime
    _seen: dict[tuple[PixelSpec, tuple[str, ...]], list[Outputs]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, artifact: Artifact, *, threads: int = 1) -> Network:
        """Load a sealed graph; raises BadArtifact if it cannot run."""
        try:
            return cls(artifact, OnnxRuntime(artifact.read(GRAPH), threads=threads))
        except BadModel as error:
            raise BadArtifact(f"{artifact.folder / GRAPH}: {error}") from error

    def width(self, output: str) -> int:
        """How many values a pooled output has."""
        return int(self.artifact.arrays(PROBES)[output].shape[1])

    def prove(self) -> None:
        """Replay the probes; raise Unproven if this machine answers otherwise.

        Pixels and outputs are checked apart, so the error names the side that moved:
        our decoding, or the runtime.
        """
        manifest = self.artifact.manifest
        outputs = tuple(name for name in self.runtime.outputs if name != MAP)
        if manifest.kind == "model" and SCORES not in outputs:
            raise BadArtifact(f"{manifest.name} is a whole model, but its graph gives no output {SCORES!r}")
        for probe in probes_of(self.artifact, outputs):
            frame = manifest.pixels.frame(probe.image)
            check_pixels(probe, frame, manifest.tolerance.pixels)
            check_outputs(probe, self._run(frame, outputs), manifest.tolerance.outputs)
            if manifest.kind == "model" and probe.outputs[SCORES].shape != (len(manifest.labels),):
                raise BadArtifact(f"{manifest.name}: scores {probe.outputs[SCORES].shape} for {len(manifest.labels)} labels")

    def probe_outputs(self, pixels: PixelSpec, outputs: tuple[str, ...]) -> list[Outputs]:
        """What this network makes of its own probe images seen through `pixels`; computed once, for all heads."""
        key = (pixels, outputs)
        if key not in self._seen:
            self._seen[key] = [self._run(pixels.frame(image), outputs) for image in probe_images_of(self.artifact).values()]
        return self._seen[key]

    def _run(self, frame: Frame, outputs: tuple[str, ...]) -> Outputs:
        """The named outputs of one image, without the batch axis; raises BadArtifact if the graph does not give them."""
        if missing := sorted({*outputs} - {*self.runtime.outputs}):
            raise BadArtifact(f"{self.artifact.manifest.name} has no output {', '.join(map(repr, missing))}")
        try:
            found = self.runtime(frame.pixels[None], outputs)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            raise BadArtifact(f"{self.artifact.manifest.name}: the graph cannot run: {error}") from error
        for name, values in found.items():
            if values.ndim < 2 or len(values) != 1:
                raise BadArtifact(f"{self.artifact.manifest.name}: {name} has the shape {values.shape} for one image; [1, ...] is needed")
        return {name: values[0] for name, values in found.items()}


@dataclass(frozen=True)
class Head:
    """A matrix that turns a backbone's features into one user's scores."""

    spec: HeadSpec
    weight: NDArray[np.float32]  # [F, C]
    bias: NDArray[np.float32]  # [C]
    doubt: Doubt | None = None

    @classmethod
    def open(cls, artifact: Artifact) -> Head:
        """Read a head; raises BadArtifact if its arrays do not fit its manifest."""
        manifest = artifact.manifest
        if manifest.head is None:
            raise BadArtifact(f"{manifest.name} is a {manifest.kind}, not a head")
        arrays = artifact.arrays(HEAD)
        weight, bias = arrays.get("weight"), arrays.get("bias")
        if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[1:]:
            raise BadArtifact(f"head {manifest.name}: weight [F, C] and bias [C] do not fit together")
        if len(manifest.labels) != len(bias):
            raise BadArtifact(f"head {manifest.name}: {len(manifest.labels)} labels for {len(bias)} scores")
        doubt = _doubt_of(arrays, weight.shape)
        if doubt is None and manifest.head.least_likeness is not None:
            raise BadArtifact(f"head {manifest.name} names a least likeness, but its arrays say nothing of what it knows")
        return cls(manifest.head, weight.astype(np.float32, copy=False), bias.astype(np.float32, copy=False), doubt)

    def features(self, outputs: Outputs) -> NDArray[np.float32]:
        """What the head looks at, float32 [N, F]."""
        features = [outputs[name] for name in self.spec.features]
        return features[0] if len(features) == 1 else np.concatenate(features, axis=1)

    def scores(self, outputs: Outputs) -> Scores:
        """Softmax, or sigmoid, of the logits at the head's temperature: float32 [N, C] from features [N, F]."""
        logits = (self.features(outputs) @ self.weight + self.bias) / np.float32(self.spec.temperature)
        return softmax(logits) if self.spec.activation == "softmax" else sigmoid(logits)

    def likeness(self, outputs: Outputs) -> NDArray[np.float32] | None:
        """How much each image looks like anything known, float32 [N]; None where that is not looked at."""
        if self.doubt is None or self.spec.least_likeness is None:
            return None
        return likeness(self.features(outputs), self.doubt.middle, self.doubt.directions)


def _doubt_of(arrays: Mapping[str, NDArray[np.generic]], shape: tuple[int, ...]) -> Doubt | None:
    names = ("conformal", "middle", "directions")
    if not any(name in arrays for name in names):
        return None
    found = [np.asarray(arrays.get(name, np.zeros(0)), np.float32) for name in names]
    features, classes = shape
    if found[0].ndim != 1 or found[1].shape != (features,) or found[2].shape != (classes, features):
        raise BadArtifact("the head's arrays conformal [n], middle [F] and directions [C, F] do not fit its weight [F, C]")
    return Doubt(*found)


@dataclass(frozen=True)
class Recognizer:
    """A sealed function from image bytes to an answer: a whole model, or a head on a shared backbone."""

    artifact: Artifact
    network: Network
    task: Task
    head: Head | None = None
    limits: Limits = Limits()

    @property
    def manifest(self) -> Manifest:
        return self.artifact.manifest

    @property
    def digest(self) -> str:
        return self.artifact.digest

    @property
    def wants(self) -> tuple[str, ...]:
        """The network outputs that its scores are made of."""
        return (SCORES,) if self.head is None else self.head.spec.features

    @property
    def explainable(self) -> bool:
        return self.head is not None and FEATURES in self.head.spec.features and MAP in self.network.runtime.outputs

    @property
    def covers(self) -> bool:
        """Whether it can give sets that hold the truth as often as they promise."""
        return self.head is not None and self.head.doubt is not None and len(self.head.doubt.conformal) > 0

    def frame(self, image: bytes) -> Frame:
        """Image bytes as the pixels this recognizer looks at; raises BadImage."""
        return self.manifest.pixels.frame(image, self.limits)

    def scores_from(self, outputs: Outputs) -> Scores:
        """Scores, float32 [N, C], from the outputs named by `wants`."""
        return outputs[SCORES] if self.head is None else self.head.scores(outputs)

    def readings_from(self, outputs: Outputs) -> list[Reading]:
        """A reading for each of N images, from the outputs named by `wants`."""
        scores = self.scores_from(outputs)
        found = self.head.likeness(outputs) if self.head else None
        return [Reading(row, None if found is None else float(found[i])) for i, row in enumerate(scores)]

    def outputs(self, frames: Sequence[Frame]) -> Outputs:
        """The outputs named by `wants`, of N frames."""
        return self.network.runtime(np.stack([frame.pixels for frame in frames]), self.wants)

    def scores(self, frames: Sequence[Frame]) -> Scores:
        """Scores, float32 [N, C], of N frames."""
        return self.scores_from(self.outputs(frames))

    def interpret(self, reading: Reading, *, top: int = 5, coverage: float | None = None) -> Answer:
        """A reading as a typed answer: the `top` labels, or, with `coverage`, the smallest set that holds the truth so often.

        Raises NoCoverage if the recognizer was not taught with held-out photos, or the coverage is not between 0 and 1.
        """
        if coverage is not None:
            top = self._set_size(reading.scores, coverage)
        answer = self.task.interpret(reading.scores, self.manifest, top=top)
        return replace(answer, abstain=True) if self._abstains(reading) else answer

    def recognize(self, images: Sequence[bytes], *, top: int = 5, coverage: float | None = None) -> list[Answer | MingmuError]:
        """An answer for each image, or the error that it alone met."""
        return [self._recognize_one(image, top, coverage) for image in images]

    def _recognize_one(self, image: bytes, top: int, coverage: float | None) -> Answer | MingmuError:
        try:
            return self.interpret(self.readings_from(self.outputs([self.frame(image)]))[0], top=top, coverage=coverage)
        except MingmuError as error:
            return error

    def _set_size(self, scores: Scores, coverage: float) -> int:
        if not 0 < coverage < 1:
            raise NoCoverage(f"coverage is {coverage:g}; it lies between 0 and 1")
        if self.head is None or self.head.doubt is None or not self.covers:
            raise NoCoverage(f"{self.manifest.name} was sealed without held-out scores, so it can promise no coverage")
        return int(prediction_sets(scores[None], self.head.doubt.conformal, coverage).sum())

    def _abstains(self, reading: Reading) -> bool:
        if self.head is None:
            return False
        least = self.head.spec.least_likeness
        strange = reading.likeness is not None and least is not None and reading.likeness < least
        return strange or float(reading.scores.max()) < self.head.spec.least_confidence

    def activation(self, feature_map: NDArray[np.float32], label: int) -> NDArray[np.float32]:
        """How much each place of the map speaks for a class: float32 [h, w] from a map [F, h, w].

        The pooled feature is the mean of the map over space, so what it adds to the class's logit is exactly the mean of
        this map (class activation mapping: Zhou et al., CVPR 2016, equation 2). Features of other depths have no part in it.
        """
        if self.head is None or not self.explainable:
            raise NotExplainable(f"{self.manifest.name} keeps no feature map that its scores could be traced back to")
        before = self.head.spec.features[: self.head.spec.features.index(FEATURES)]
        start = sum(self.network.width(name) for name in before)
        weight = self.head.weight[start : start + len(feature_map), label]
        return np.asarray(np.einsum("fhw,f->hw", feature_map, weight))

    def prove(self) -> None:
        """Replay the probes; raise Unproven if this machine answers otherwise. The network is proven first, once."""
        if self.head is None:
            return self.network.prove()
        tolerance = self.manifest.tolerance
        probes = probes_of(self.artifact, (SCORES,), self.network.artifact)
        own_pixels = self.manifest.pixels != self.network.artifact.manifest.pixels  # those of the network were proven with it
        for probe, outputs in zip(probes, self.network.probe_outputs(self.manifest.pixels, self.wants), strict=True):
            if own_pixels or probe.pixels is not None:
                check_pixels(probe, self.manifest.pixels.frame(probe.image), tolerance.pixels)
            batch = {name: value[None] for name, value in outputs.items()}
            width = sum(outputs[name].size for name in self.wants)
            if any(value.ndim != 1 for value in outputs.values()) or width != len(self.head.weight):
                raise BadArtifact(f"{self.manifest.name}: the head takes {len(self.head.weight)} features, its network gives {width}")
            check_outputs(probe, {SCORES: self.scores_from(batch)[0]}, tolerance.outputs)
        return None


def probe_images_of(artifact: Artifact) -> dict[str, bytes]:
    """The probe images of a network, by file name; raises BadArtifact if it has none."""
    names = sorted(name for name in artifact.manifest.files if name.startswith("probes/"))
    if not names:
        raise BadArtifact(f"{artifact.manifest.name} has no probe images, so nothing proves it")
    return {name: artifact.read(name) for name in names}


def probes_of(artifact: Artifact, outputs: tuple[str, ...], backbone: Artifact | None = None) -> list[Probe]:
    """The probes of an artifact; a head's images are those of its backbone.

    Raises BadArtifact unless exactly `outputs` were sealed, one row for each image: what is not sealed would not be proven.
    """
    arrays, images = artifact.arrays(PROBES), probe_images_of(backbone or artifact)
    pixels = arrays.pop("pixels", None)
    if {*arrays} != {*outputs}:
        sealed, wanted = (", ".join(sorted(names)) or "nothing" for names in (arrays, outputs))
        raise BadArtifact(f"{artifact.manifest.name}: its probes prove {sealed}; {wanted} is needed")
    fits = pixels is None or (pixels.dtype == np.uint8 and pixels.ndim == 4 and len(pixels) == len(images))
    if not fits or any(values.ndim < 2 or len(values) != len(images) for values in arrays.values()):
        raise BadArtifact(f"{artifact.manifest.name}: {len(images)} probe images do not fit the probes' arrays")
    return [
        Probe(
            name=name,
            image=image,
            pixels=None if pixels is None else pixels[i].astype(np.uint8, copy=False),
            outputs={key: values[i].astype(np.float32, copy=False) for key, values in arrays.items()},
        )
        for i, (name, image) in enumerate(images.items())
    ]


def check_pixels(probe: Probe, frame: Frame, tolerance: float) -> None:
    """Raise Unproven if an image no longer becomes the pixels that were sealed."""
    if probe.pixels is None or frame.pixels.shape != probe.pixels.shape:
        raise Unproven(f"{probe.name}: the sealed pixels do not fit the pixel spec")
    moved = float(np.abs(frame.pixels.astype(np.int16) - probe.pixels).mean())
    if moved > tolerance:
        raise Unproven(f"{probe.name}: pixels differ by {moved:.2f} levels on average; the limit is {tolerance} (decoding moved)")


def check_outputs(probe: Probe, outputs: Mapping[str, NDArray[np.float32]], tolerance: float) -> None:
    """Raise Unproven if pixels no longer give the outputs that were sealed."""
    for name, sealed in probe.outputs.items():
        if outputs[name].shape != sealed.shape:
            raise Unproven(f"{probe.name}: {name} has shape {outputs[name].shape}, sealed was {sealed.shape}")
        drift = float(np.abs(outputs[name] - sealed).max()) / max(1.0, float(np.abs(sealed).max()))
        if not drift <= tolerance:  # not a number counts as drift
            raise Unproven(f"{probe.name}: {name} differs by up to {drift:.5f}; the limit is {tolerance} (the runtime moved)")


def softmax(logits: NDArray[np.float32]) -> Scores:
    """Row-wise softmax, shifted by the maximum so that it cannot overflow."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: NDArray[np.float32]) -> Scores:
    """1 / (1 + exp(-logits)), by way of tanh so that it cannot overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), dtype=np.float32)
