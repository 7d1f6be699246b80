from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mingmu.core import artifact, recognizer, runtime
from mingmu.core.answers import Labels
from mingmu.core.artifact import Artifact, pack_arrays
from mingmu.core.errors import BadArtifact, BadImage, NotExplainable, Unproven
from mingmu.core.pixels import PixelSpec
from mingmu.core.recognizer import Network, Recognizer
from mingmu.core.runtime import OnnxRuntime, Outputs, Pixels
from mingmu.core.sealing import seal_head
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from tests import tiny


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


@pytest.fixture
def tiny_one(store: Store) -> Recognizer:
    return Library(store).open(store.resolve("tiny").digest)


class Drifting:
    """A runtime that is off by a little, as broken hardware or another library version would be."""

    name = "drifting"

    def __init__(self, inner: runtime.Runtime, drift: float) -> None:
        self.inner, self.drift, self.outputs = inner, drift, inner.outputs

    def __call__(self, pixels: Pixels, outputs: Sequence[str]) -> Outputs:
        return {name: values + np.float32(self.drift) for name, values in self.inner(pixels, outputs).items()}


def test_a_red_picture_is_called_red(tiny_one: Recognizer, red_png: bytes) -> None:
    answer = tiny_one.recognize([red_png], top=2)[0]
    assert isinstance(answer, Labels)
    assert [label.label for label in answer.labels] == ["red", "green"]
    assert answer.labels[0].score > 0.99


def test_a_bad_image_fails_alone(tiny_one: Recognizer, red_png: bytes, blue_png: bytes) -> None:
    good, bad, other = tiny_one.recognize([red_png, b"not an image", blue_png])
    assert isinstance(bad, BadImage)
    assert isinstance(good, Labels)
    assert isinstance(other, Labels)
    assert other.labels[0].label == "blue"


def test_scores_in_a_batch_are_the_scores_alone(tiny_one: Recognizer, red_png: bytes, blue_png: bytes) -> None:
    frames = [tiny_one.frame(red_png), tiny_one.frame(blue_png)]
    alone = np.concatenate([tiny_one.scores([frame]) for frame in frames])
    np.testing.assert_allclose(tiny_one.scores(frames), alone, atol=1e-7)
    np.testing.assert_allclose(alone.sum(axis=1), 1, atol=1e-6)


def test_the_proof_names_the_runtime_when_outputs_move(store: Store) -> None:
    backbone = store.artifact(store.artifact(store.resolve("tiny").digest).manifest.head.backbone)  # type: ignore[union-attr]
    network = Network.open(backbone)
    network.prove()
    with pytest.raises(Unproven, match="runtime moved"):
        Network(backbone, Drifting(network.runtime, 0.01)).prove()
    with pytest.raises(Unproven, match="runtime moved"):
        Network(backbone, Drifting(network.runtime, float("nan"))).prove()


def test_the_proof_names_decoding_when_pixels_move(store: Store) -> None:
    backbone = store.artifact(store.artifact(store.resolve("tiny").digest).manifest.head.backbone)  # type: ignore[union-attr]
    other = backbone.manifest.model_copy(update={"pixels": PixelSpec(size=(8, 8), fit="crop")})
    network = Network(replace(backbone, manifest=other), OnnxRuntime(tiny.backbone_graph()))
    with pytest.raises(Unproven, match="decoding moved"):
        network.prove()


def test_a_head_that_no_longer_gives_its_scores_is_unproven(tiny_one: Recognizer) -> None:
    assert tiny_one.head is not None
    with pytest.raises(Unproven, match="scores"):
        replace(tiny_one, head=replace(tiny_one.head, bias=tiny_one.head.bias + np.array([1, 0, 0], np.float32))).prove()


def test_a_head_with_a_view_of_its_own_proves_its_pixels_too(store: Store, tiny_one: Recognizer, tmp_path: Path) -> None:
    manifest = tiny.head_manifest(tiny_one.network.artifact).model_copy(update={"pixels": PixelSpec(size=(8, 8), margin=0.5)})
    sealed = seal_head(tmp_path / "head", manifest, np.eye(3, dtype=np.float32), np.zeros(3, np.float32), tiny_one.network)
    replace(tiny_one, artifact=sealed).prove()
    moved = manifest.model_copy(update={"pixels": PixelSpec(size=(8, 8), margin=0.9), "files": sealed.manifest.files})
    with pytest.raises(Unproven, match="decoding moved"):
        replace(tiny_one, artifact=replace(sealed, manifest=moved)).prove()


def test_a_head_whose_arrays_do_not_fit_is_refused(tiny_one: Recognizer, tmp_path: Path) -> None:
    folder = tmp_path / "head"
    folder.mkdir()
    (folder / "head.npz").write_bytes(pack_arrays({"weight": np.eye(3, dtype=np.float32), "bias": np.zeros(2, np.float32)}))
    broken: Artifact = artifact.seal(folder, tiny.head_manifest(tiny_one.network.artifact))
    with pytest.raises(BadArtifact, match="do not fit"):
        recognizer.Head.open(broken)


def test_the_activation_map_adds_up_to_the_logit(tiny_one: Recognizer, red_png: bytes) -> None:
    pixels = tiny_one.frame(red_png).pixels[None]
    outputs = tiny_one.network.runtime(pixels, ["features", "map"])
    assert tiny_one.head is not None
    logits = outputs["features"][0] @ tiny_one.head.weight + tiny_one.head.bias
    for label in range(3):
        assert tiny_one.activation(outputs["map"][0], label).mean() == pytest.approx(logits[label], abs=1e-5)


def test_a_recognizer_without_a_map_says_that_it_cannot_explain(tiny_one: Recognizer) -> None:
    whole = replace(tiny_one, head=None)
    assert not whole.explainable
    with pytest.raises(NotExplainable):
        whole.activation(np.zeros((3, 8, 8), np.float32), 0)
