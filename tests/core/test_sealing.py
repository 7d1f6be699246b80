from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mingmu.core.artifact import GRAPH, PROBES
from mingmu.core.errors import BadModel, Unproven
from mingmu.core.head import Head
from mingmu.core.manifest import Manifest, Runs
from mingmu.core.network import Network
from mingmu.core.recognizer import Recognizer
from mingmu.core.sealing import seal_head, seal_variant
from mingmu.tasks import task_named
from tests import tiny

INT8 = Runs(precision="int8")


def test_a_variant_names_its_parent_and_has_its_probe_images(tmp_path: Path) -> None:
    sealed = tiny.seal_backbone(tmp_path / "sealed")
    variant = seal_variant(tmp_path / "variant", sealed, INT8, tiny.backbone_graph(white=250))
    assert variant.manifest.parent == sealed.digest
    assert variant.manifest.runs == INT8
    assert variant.manifest.files[GRAPH] != sealed.manifest.files[GRAPH]
    images = {name: digest for name, digest in sealed.manifest.files.items() if name.startswith("probes/")}
    assert images.items() <= variant.manifest.files.items()
    assert not np.array_equal(variant.arrays(PROBES)["features"], sealed.arrays(PROBES)["features"])
    Network.open(variant).prove()


def test_how_a_network_runs_is_left_out_of_the_manifest_where_it_is_the_usual_way(tmp_path: Path) -> None:
    sealed = tiny.seal_backbone(tmp_path / "sealed")
    assert b"runs" not in sealed.manifest.to_json()
    variant = seal_variant(tmp_path / "variant", sealed, INT8)
    assert b'"runs":{"precision":"int8"}' in variant.manifest.to_json()
    assert Manifest.from_json(variant.manifest.to_json()) == variant.manifest


def test_a_network_in_the_place_of_another_goes_by_its_name(tmp_path: Path) -> None:
    sealed = tiny.seal_backbone(tmp_path / "sealed")
    variant = seal_variant(tmp_path / "variant", sealed, INT8)
    assert Network.open(variant).backbone == variant.digest
    assert Network.open(variant, stands_for=sealed.digest).backbone == sealed.digest


def recognizer_on(tmp_path: Path, network: Network, taught_on: str | None, runs_on: Network) -> Recognizer:
    """A head that is sealed on one network and runs on another."""
    manifest = tiny.head_manifest(network.artifact)
    assert manifest.head
    spec = manifest.head.model_copy(update={"backbone": network.backbone, "taught_on": taught_on})
    sealed = seal_head(
        tmp_path / "head", manifest.model_copy(update={"head": spec}), np.eye(3, dtype=np.float32), np.zeros(3, np.float32), network
    )
    return Recognizer(sealed, runs_on, task_named("classify"), Head.open(sealed))


@pytest.mark.parametrize("white", [250, 40], ids=["a variant that is nearly the same", "a variant that is broken"])
def test_a_head_may_answer_a_little_otherwise_on_a_variant_but_not_much(tmp_path: Path, white: int) -> None:
    sealed = tiny.seal_backbone(tmp_path / "sealed")
    other = Network.open(seal_variant(tmp_path / "variant", sealed, INT8, tiny.backbone_graph(white=white)), stands_for=sealed.digest)
    recognizer = recognizer_on(tmp_path, Network.open(sealed), None, other)
    if white == 250:
        recognizer.prove()
    else:
        with pytest.raises(Unproven, match=r"the limit is 0\.35"):
            recognizer.prove()


def test_a_head_must_answer_exactly_where_it_was_taught(tmp_path: Path) -> None:
    sealed = tiny.seal_backbone(tmp_path / "sealed")
    variant = seal_variant(tmp_path / "variant", sealed, INT8, tiny.backbone_graph(white=250))
    home = Network.open(variant, stands_for=sealed.digest)
    recognizer = recognizer_on(tmp_path, home, variant.digest, home)
    recognizer.prove()
    moved = seal_variant(tmp_path / "moved", sealed, INT8, tiny.backbone_graph(white=240))
    drifted = Network(variant, Network.open(moved).runtime, sealed.digest)
    with pytest.raises(Unproven, match=r"the limit is 0\.002"):
        Recognizer(recognizer.artifact, drifted, recognizer.task, recognizer.head).prove()


def test_a_head_that_names_another_variant_than_it_is_sealed_on_is_refused(tmp_path: Path) -> None:
    network = Network.open(tiny.seal_backbone(tmp_path / "sealed"))
    with pytest.raises(BadModel, match="variant"):
        recognizer_on(tmp_path, network, "0" * 64, network)
