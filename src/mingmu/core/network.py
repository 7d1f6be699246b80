"""A sealed graph and what runs it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mingmu.core.artifact import GRAPH, PROBES, Artifact
from mingmu.core.errors import BadArtifact, BadModel
from mingmu.core.graph import parse
from mingmu.core.manifest import Manifest, Runs
from mingmu.core.pixels import Frame, PixelSpec
from mingmu.core.probes import check_boxes, check_outputs, check_pixels, probe_images_of, probes_of
from mingmu.core.runtime import BOXES, FEATURES, LANDMARKS, MAP, MASK, READ, SCORES, TEXT, OnnxRuntime, Outputs, Runtime


def runtime_of(model: bytes, runs: Runs, *, threads: int = 1, calls: int = 0) -> Runtime:
    """What runs a graph as its manifest says, `threads` on a call that is alone and `calls` side by side (0: one for each processor).

    Raises BadModel, MissingExtra.
    """
    if runs.runtime == "onnxruntime":
        return OnnxRuntime(model, threads=threads, provider=runs.provider)
    from mingmu.core.openvino import OpenVinoRuntime

    return OpenVinoRuntime(model, precision=runs.precision, threads=threads, calls=calls)


@dataclass(frozen=True, eq=False)
class Network:
    """A sealed graph and what runs it; heads share it."""

    artifact: Artifact
    runtime: Runtime
    stands_for: str | None = None  # the digest of the network whose variant this is, where it is run in its place
    _seen: dict[tuple[PixelSpec, tuple[str, ...]], list[Outputs]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, artifact: Artifact, *, threads: int = 1, calls: int = 0, stands_for: str | None = None) -> Network:
        """Load a sealed graph, see `runtime_of`; raises BadArtifact if it cannot run, MissingExtra without what it runs on."""
        try:
            return cls(artifact, runtime_of(artifact.read(GRAPH), artifact.manifest.runs, threads=threads, calls=calls), stands_for)
        except BadModel as error:
            raise BadArtifact(f"{artifact.folder / GRAPH}: {error}") from error

    @property
    def backbone(self) -> str:
        """The digest that heads on this network name; a variant in a network's place goes by that network's."""
        return self.stands_for or self.artifact.digest

    def width(self, output: str) -> int:
        """How many values a pooled output has."""
        return int(self.artifact.arrays(PROBES)[output].shape[1])

    @property
    def takes_any_size(self) -> bool:
        """Whether it looks at frames of other sizes, too, than the one that it was made for."""
        sides = parse(self.artifact.read(GRAPH)).graph.input[0].type.tensor_type.shape.dim[1:3]
        return not any(side.HasField("dim_value") for side in sides)

    def prove(self) -> None:
        """Replay the probes; raise Unproven if this machine answers otherwise.

        Pixels and outputs are checked apart, so the error names the side that moved:
        our decoding, or the runtime.
        """
        manifest = self.artifact.manifest
        outputs = tuple(name for name in self.runtime.outputs if name != MAP)
        if manifest.kind == "model" and (missing := sorted({*READ[manifest.task]} - {*outputs})):
            raise BadArtifact(f"{manifest.name} is a whole model, but its graph gives no output {missing[0]!r}")
        for probe in probes_of(self.artifact, outputs):
            if manifest.kind == "model":
                _check_shapes(manifest, probe.outputs)
            frame = manifest.pixels.frame(probe.image)
            check_pixels(probe, frame, manifest.tolerance.pixels)
            for alone in (False, True):
                found = self._run(frame, outputs, alone=alone)
                if manifest.detect:
                    check_boxes(probe, found, manifest.tolerance.outputs, manifest.detect.threshold)
                else:
                    check_outputs(probe, found, manifest.tolerance.outputs)

    def probe_outputs(self, pixels: PixelSpec, outputs: tuple[str, ...]) -> list[Outputs]:
        """What this network makes of its own probe images seen through `pixels`; computed once, for all heads."""
        key = (pixels, outputs)
        if key not in self._seen:
            self._seen[key] = [self._run(pixels.frame(image), outputs) for image in probe_images_of(self.artifact).values()]
        return self._seen[key]

    def _run(self, frame: Frame, outputs: tuple[str, ...], *, alone: bool = False) -> Outputs:
        """The named outputs of one image, without the batch axis; raises BadArtifact if the graph does not give them."""
        if missing := sorted({*outputs} - {*self.runtime.outputs}):
            raise BadArtifact(f"{self.artifact.manifest.name} has no output {', '.join(map(repr, missing))}")
        try:
            found = self.runtime(frame.pixels[None], outputs, alone=alone)
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            raise BadArtifact(f"{self.artifact.manifest.name}: the graph cannot run: {error}") from error
        for name, values in found.items():
            if values.ndim < 2 or len(values) != 1:
                raise BadArtifact(f"{self.artifact.manifest.name}: {name} has the shape {values.shape} for one image; [1, ...] is needed")
        return {name: values[0] for name, values in found.items()}


def _check_shapes(manifest: Manifest, rows: Outputs) -> None:
    """Raise BadArtifact unless one image has a score for each label, or for each label and box."""
    if manifest.task == "embed":
        return _check_vector(manifest, rows)
    if manifest.task == "read":
        return _check_columns(manifest, rows)
    if manifest.task == "locate":
        return _check_mask(manifest, rows)
    scores, boxes, labels = rows[SCORES].shape, rows[BOXES].shape if manifest.task == "detect" else None, len(manifest.labels)
    if boxes is None and scores != (labels,):
        raise BadArtifact(f"{manifest.name}: scores {scores} for {labels} labels")
    if boxes is not None and (boxes != (boxes[0], 4) or scores != (boxes[0], labels)):
        raise BadArtifact(f"{manifest.name}: boxes {boxes} and scores {scores} for {labels} labels; [N, 4] and [N, {labels}] are needed")
    if manifest.detect and manifest.detect.landmarks:
        wanted = (scores[0], manifest.detect.landmarks, 2)
        if LANDMARKS not in rows or rows[LANDMARKS].shape != wanted:
            raise BadArtifact(f"{manifest.name}: landmarks {list(wanted)} are needed, beside each box")
    return None


def _check_columns(manifest: Manifest, rows: Outputs) -> None:
    shape = rows[TEXT].shape
    if len(shape) != 2 or shape[1] != 1 + len(manifest.labels):
        raise BadArtifact(
            f"{manifest.name}: text {shape} for an alphabet of {len(manifest.labels)}; [T, {1 + len(manifest.labels)}] is needed"
        )


def _check_mask(manifest: Manifest, rows: Outputs) -> None:
    if (shape := rows[MASK].shape) != manifest.pixels.size[::-1]:
        raise BadArtifact(f"{manifest.name}: mask {shape} for frames of {manifest.pixels.size[::-1]}")


def _check_vector(manifest: Manifest, rows: Outputs) -> None:
    if rows[FEATURES].ndim != 1 or abs(float(np.square(rows[FEATURES]).sum()) - 1) > 1e-3:
        raise BadArtifact(f"{manifest.name}: features of one image are a vector of length 1; these have the shape {rows[FEATURES].shape}")
