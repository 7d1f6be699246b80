from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mingmu.core import artifact, head, runtime
from mingmu.core.answers import Labels
from mingmu.core.artifact import Artifact, pack_arrays
from mingmu.core.errors import BadArtifact, BadImage, NotExplainable, Unproven
from mingmu.core.manifest import Manifest
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec
from mingmu.core.recognizer import Recognizer
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

    def __call__(self, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
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
        head.Head.open(broken)


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


Arrays = dict[str, NDArray[np.generic]]


def resealed(sealed: Artifact, folder: Path, arrays: Arrays | None, manifest: Manifest | None = None) -> Artifact:
    """The same artifact with other probes, or none."""
    shutil.copytree(sealed.folder, folder)
    (folder / "manifest.json").unlink()
    (folder / "probes.npz").unlink()
    if arrays is not None:
        (folder / "probes.npz").write_bytes(pack_arrays(arrays))
    return artifact.seal(folder, manifest or sealed.manifest)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda scores: {}, "nothing; scores is needed"),
        (lambda scores: {"other": scores}, "other; scores is needed"),
        (lambda scores: {"scores": scores, "other": scores}, "is needed"),
        (lambda scores: {"scores": scores[:, :2]}, "shape"),
        (lambda scores: {"scores": scores[0, 0]}, "do not fit"),
        (lambda scores: {"scores": scores[:1]}, "do not fit"),
        (lambda scores: {"scores": scores, "pixels": np.zeros((), np.uint8)}, "do not fit"),
    ],
)
def test_a_head_is_proven_by_its_scores_and_nothing_less(
    tiny_one: Recognizer, tmp_path: Path, change: Callable[[NDArray[np.generic]], Arrays], complaint: str
) -> None:
    arrays = change(tiny_one.artifact.arrays("probes.npz")["scores"])
    with pytest.raises(BadArtifact, match=complaint):
        replace(tiny_one, artifact=resealed(tiny_one.artifact, tmp_path / "other", arrays)).prove()


def test_a_head_with_a_view_of_its_own_must_prove_its_pixels(tiny_one: Recognizer, tmp_path: Path) -> None:
    manifest = tiny_one.manifest.model_copy(update={"pixels": PixelSpec(size=(8, 8), margin=0.5)})
    other = resealed(tiny_one.artifact, tmp_path / "other", tiny_one.artifact.arrays("probes.npz"), manifest)
    with pytest.raises(Unproven, match="pixels"):
        replace(tiny_one, artifact=other).prove()


def test_an_artifact_without_probes_proves_nothing(tiny_one: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(BadArtifact, match=r"probes\.npz"):
        replace(tiny_one, artifact=resealed(tiny_one.artifact, tmp_path / "other", None)).prove()


def test_a_backbone_is_proven_by_all_its_outputs_but_the_map(tiny_one: Recognizer, tmp_path: Path) -> None:
    network = tiny_one.network
    pixels = network.artifact.arrays("probes.npz")["pixels"]
    with pytest.raises(BadArtifact, match="nothing; features is needed"):
        replace(network, artifact=resealed(network.artifact, tmp_path / "other", {"pixels": pixels})).prove()


@pytest.mark.parametrize(("features", "complaint"), [(("absent",), "no output 'absent'"), (("features", "features"), "the head takes 3")])
def test_a_head_that_wants_what_its_backbone_does_not_give_is_refused(
    tiny_one: Recognizer, tmp_path: Path, features: tuple[str, ...], complaint: str
) -> None:
    assert tiny_one.head is not None
    spec = tiny_one.head.spec.model_copy(update={"features": features})
    with pytest.raises(BadArtifact, match=complaint):
        replace(tiny_one, head=replace(tiny_one.head, spec=spec)).prove()


def test_a_whole_model_whose_scores_do_not_fit_its_labels_is_refused(tmp_path: Path) -> None:
    sealed = tiny.seal_whole(tmp_path / "whole")
    Network.open(sealed).prove()
    manifest = sealed.manifest.model_copy(update={"labels": ("one", "two")})
    with pytest.raises(BadArtifact, match="2 labels"):
        Network.open(resealed(sealed, tmp_path / "other", sealed.arrays("probes.npz"), manifest)).prove()


def test_a_graph_that_gives_no_row_for_an_image_is_refused(tiny_one: Recognizer) -> None:
    class Scalar(Drifting):
        def __call__(self, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
            return {name: np.zeros((), np.float32) for name in outputs}

    network = tiny_one.network
    with pytest.raises(BadArtifact, match="shape"):
        Network(network.artifact, Scalar(network.runtime, 0)).prove()


def test_a_head_for_several_labels_scores_each_on_its_own(tiny_one: Recognizer) -> None:
    assert tiny_one.head is not None
    several = replace(tiny_one.head, spec=tiny_one.head.spec.model_copy(update={"activation": "sigmoid", "temperature": 0.01}))
    scores = several.scores({"features": np.array([[9, 9, -9]], np.float32)})  # far enough to overflow an exponential
    np.testing.assert_allclose(scores, [[1, 1, 0]], atol=1e-6)
