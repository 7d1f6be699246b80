"""The one road from image bytes to an answer.

Evaluation, calibration, compression, the command line and the server all walk it:
`frame` (bytes to pixels), `scores` (pixels to scores), then the task's `interpret` (scores to an answer).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Unpack

import numpy as np
from numpy.typing import NDArray

from mingmu.core.answers import ANY, Answer, Labels, Wish, Wished
from mingmu.core.artifact import ANSWERS, Artifact
from mingmu.core.doubt import prediction_sets
from mingmu.core.errors import BadArtifact, BadRequest, Conflict, MingmuError, NoCoverage, NotExplainable, Unproven
from mingmu.core.head import Head, Scores
from mingmu.core.manifest import Manifest, digest_of
from mingmu.core.network import Network
from mingmu.core.pipeline import Chained, Look, Road, side_by_side, walk
from mingmu.core.pixels import Frame, Limits, Pixels, PixelSpec, View, whole
from mingmu.core.probes import alike, check_outputs, check_pixels, probe_images_of, probes_of
from mingmu.core.runtime import FEATURES, MAP, SCORES, Outputs

# How far the score of a probe may move where a head runs on another variant of its backbone than it was taught on. Rounding to eight
# bits moves single scores of a healthy network by up to three tenths; a broken variant moves some by nearly 1.
BETWEEN_VARIANTS = 0.35
PLACES = 0.02  # of the longer side of a probe: how far a place in a chain's answer may move
MOST_SIDE = 3072  # pixels of a picture that a chain looks at; what is small in a photo is cut out of that


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a recognizer read off one image."""

    rows: Outputs  # what the task keeps of one image's outputs
    view: View  # what of the image was looked at
    likeness: float | None  # to what it was taught, -1 to 1; None where the recognizer does not look at it

    @property
    def scores(self) -> Scores:
        """Of a classifier, float32 [C]."""
        return self.rows[SCORES]


class Task(Protocol):
    """What a network's outputs mean."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs of a whole model that it reads."""
        ...

    def kept(self, rows: Outputs) -> Outputs:
        """What of one image's outputs an answer can be made of; little, for it may be remembered."""
        ...

    def interpret(self, rows: Outputs, view: View, manifest: Manifest, wish: Wish) -> Answer:
        """One image's outputs as an answer."""
        ...


@dataclass(frozen=True)
class Recognizer:
    """A sealed function from image bytes to an answer: a whole model, or a head on a shared backbone."""

    artifact: Artifact
    network: Network
    task: Task
    head: Head | None = None
    limits: Limits = Limits()
    chain: Chained | None = None  # how its parts work together; then `network` is that of the first
    parts: Mapping[str, Recognizer] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        return self.artifact.manifest

    @property
    def digest(self) -> str:
        return self.artifact.digest

    @property
    def lookers(self) -> tuple[Recognizer, ...]:
        """Those whose networks look: itself, or of a chain its parts, and where one is a chain, the parts of that."""
        return tuple(each for part in self.parts.values() for each in part.lookers) if self.parts else (self,)

    @property
    def runs_on(self) -> str:
        """The digest of the network that it runs on here; of a chain one of the digests of all, in order."""
        digests = [looker.network.artifact.digest for looker in self.lookers]
        return digest_of(" ".join(digests).encode()) if self.parts else digests[0]

    @property
    def wants(self) -> tuple[str, ...]:
        """The network outputs that its scores are made of."""
        return self.task.outputs if self.head is None else self.head.spec.features

    @property
    def explainable(self) -> bool:
        return self.head is not None and FEATURES in self.head.spec.features and MAP in self.network.runtime.outputs

    @property
    def covers(self) -> bool:
        """Whether it can give sets that hold the truth as often as they promise."""
        return self.head is not None and self.head.doubt is not None and len(self.head.doubt.conformal) > 0

    def frame(self, image: bytes) -> Frame:
        """Image bytes as the pixels this recognizer looks at; raises BadImage."""
        if self.chain:
            return whole(image, self.limits, MOST_SIDE)
        return self.manifest.pixels.frame(image, self.limits)

    def frame_of(self, pixels: Pixels) -> Frame:
        """The same for a picture that is decoded and upright. Raises ImageTooLarge."""
        if not self.chain:
            return self.manifest.pixels.frame_of(pixels, self.limits)
        height, width = pixels.shape[:2]
        scale = min(1.0, MOST_SIDE / max(width, height))
        return PixelSpec(size=(max(1, round(width * scale)), max(1, round(height * scale))), fit="squash").frame_of(pixels, self.limits)

    def scores_from(self, outputs: Outputs) -> Scores:
        """Scores, float32 [N, C], from the outputs named by `wants`."""
        return outputs[SCORES] if self.head is None else self.head.scores(outputs)

    def readings_from(self, outputs: Outputs, frames: Sequence[Frame]) -> list[Reading]:
        """A reading for each of N frames, from the outputs named by `wants`."""
        read = outputs if self.head is None else {SCORES: self.head.scores(outputs)}
        found = self.head.likeness(outputs) if self.head else None
        rows = [self.task.kept({name: values[i] for name, values in read.items()}) for i in range(len(frames))]
        likeness = [None] * len(frames) if found is None else found.tolist()
        return [Reading(row, frame.view, alike) for row, frame, alike in zip(rows, frames, likeness, strict=True)]

    def outputs(self, frames: Sequence[Frame]) -> Outputs:
        """The outputs named by `wants`, of N frames."""
        return self.network.runtime(np.stack([frame.pixels for frame in frames]), self.wants)

    def scores(self, frames: Sequence[Frame]) -> Scores:
        """Scores, float32 [N, C], of N frames."""
        return self.scores_from(self.outputs(frames))

    def check(self, wish: Wish) -> None:
        """Raise NoCoverage, BadRequest or Conflict for what it cannot give of any image."""
        if wish.coverage is not None and not self.covers:
            raise NoCoverage(f"{self.manifest.name} was sealed without held-out scores, so it can promise no coverage")
        if self.manifest.task == "embed":
            raise Conflict(f"{self.manifest.name} gives vectors for comparing, no answer about one picture; it is a part of `mingmu faces`")
        if self.manifest.task == "locate":
            raise Conflict(f"{self.manifest.name} finds lines and does not read them; it is a part of `text`")
        if not self.manifest.finds and (wish.threshold is not None or wish.overlap is not None):
            raise BadRequest(f"{self.manifest.name} gives labels; a threshold and an overlap are for boxes")
        if self.manifest.task != "detect" and wish.overlap is not None:
            raise BadRequest(f"{self.manifest.name} reads text; an overlap is for boxes")

    def interpret(self, reading: Reading, wish: Wish = ANY) -> Answer:
        """A reading as a typed answer.

        Raises NoCoverage if a coverage is wished for that is not between 0 and 1, or of a recognizer that was not taught with
        held-out photos.
        """
        if wish.coverage is not None:
            wish = replace(wish, top=self._set_size(reading, wish.coverage))
        answer = self.task.interpret(reading.rows, reading.view, self.manifest, wish)
        return replace(answer, abstain=True) if isinstance(answer, Labels) and self._abstains(reading) else answer

    def road(self, frame: Frame) -> Road[Reading]:
        """How it comes to what it reads off one frame: a look, or as many as a chain takes."""
        if self.chain is None:
            (reading,) = yield Look(self, [frame])
            return reading
        return Reading((yield from self.chain.road(self.parts, frame, self.manifest)), frame.view, None)

    def readings(self, frames: Sequence[Frame]) -> list[Reading]:
        """What it reads off each of some frames, together if they are of one size; a chain's may have any."""
        if self.chain:
            return walk(side_by_side([self.road(frame) for frame in frames]))
        return self.readings_from(self.outputs(frames), frames)

    def read(self, frame: Frame) -> Reading:
        """What it reads off one frame."""
        if self.chain:
            return walk(self.road(frame))
        return self.readings_from(self.outputs([frame]), [frame])[0]

    def recognize(self, images: Sequence[bytes], **wished: Unpack[Wished]) -> list[Answer | MingmuError]:
        """An answer for each image, or the error that it alone met. What may be asked for: `top`, `coverage`, … of `Wish`."""
        wish = Wish(**wished)
        return [self._recognize_one(image, wish) for image in images]

    def _recognize_one(self, image: bytes, wish: Wish) -> Answer | MingmuError:
        try:
            return self.interpret(self.read(self.frame(image)), wish)
        except MingmuError as error:
            return error

    def _set_size(self, reading: Reading, coverage: float) -> int:
        if not 0 < coverage < 1:
            raise NoCoverage(f"coverage is {coverage:g}; it lies between 0 and 1")
        if self.head is None or self.head.doubt is None or not self.covers:
            raise NoCoverage(f"{self.manifest.name} was sealed without held-out scores, so it can promise no coverage")
        return int(prediction_sets(reading.scores[None], self.head.doubt.conformal, coverage).sum())

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
        """Replay the probes; raise Unproven if this machine answers otherwise. The network is proven first, once.

        A head on another variant of its backbone than it was taught on may answer a little otherwise: see BETWEEN_VARIANTS.
        """
        if self.chain:
            return self._prove_chain()
        if self.head is None:
            return self.network.prove()
        tolerance, spec = self.manifest.tolerance, self.head.spec
        at_home = self.network.artifact.digest == (spec.taught_on or spec.backbone)
        probes = probes_of(self.artifact, (SCORES,), self.network.artifact)
        own_pixels = self.manifest.pixels != self.network.artifact.manifest.pixels  # those of the network were proven with it
        for probe, outputs in zip(probes, self.network.probe_outputs(self.manifest.pixels, self.wants), strict=True):
            if own_pixels or probe.pixels is not None:
                check_pixels(probe, self.manifest.pixels.frame(probe.image), tolerance.pixels)
            batch = {name: value[None] for name, value in outputs.items()}
            width = sum(outputs[name].size for name in self.wants)
            if any(value.ndim != 1 for value in outputs.values()) or width != len(self.head.weight):
                raise BadArtifact(f"{self.manifest.name}: the head takes {len(self.head.weight)} features, its network gives {width}")
            check_outputs(probe, {SCORES: self.scores_from(batch)[0]}, tolerance.outputs if at_home else BETWEEN_VARIANTS)
        return None

    def _prove_chain(self) -> None:
        """Replay the probe images; the parts have been proven. What is read must be the same, and stand in the same place."""
        sealed = json.loads(self.artifact.read(ANSWERS))
        for name, image in probe_images_of(self.artifact).items():
            frame = self.frame(image)
            found = self.interpret(self.read(frame)).document()
            if name not in sealed or not alike(found, sealed[name], PLACES * max(frame.original)):
                raise Unproven(f"{name}: the answer is {json.dumps(found, ensure_ascii=False)[:300]}; sealed was another")
