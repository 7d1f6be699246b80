"""A head: the matrix that turns a backbone's features into one user's scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.artifact import HEAD, Artifact
from mingmu.core.doubt import Doubt, likeness
from mingmu.core.errors import BadArtifact
from mingmu.core.manifest import HeadSpec
from mingmu.core.runtime import Outputs

Scores = NDArray[np.float32]


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


def softmax(logits: NDArray[np.float32]) -> Scores:
    """Row-wise softmax, shifted by the maximum so that it cannot overflow."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: NDArray[np.float32]) -> Scores:
    """1 / (1 + exp(-logits)), by way of tanh so that it cannot overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), dtype=np.float32)
