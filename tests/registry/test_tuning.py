from __future__ import annotations

import logging
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.artifact import PROBES, Artifact
from mingmu.core.manifest import HeadSpec, Runs
from mingmu.core.network import Network
from mingmu.core.sealing import seal_head, seal_variant
from mingmu.registry.garbage import collect
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.registry.tuning import Trial, Tuning, Tunings
from tests import tiny
from tests.registry.test_garbage import age
from tests.registry.variants import another


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


def backbone_of(store: Store) -> Artifact:
    head = store.artifact(store.resolve("tiny").digest).manifest.head
    assert isinstance(head, HeadSpec)
    return store.artifact(head.backbone)


def choose(store: Store, chosen: Artifact) -> Tuning:
    trial = Trial(what="onnxruntime int8", passed=True, verdict="probes agree", ratio=2.0)
    tuning = Tuning(
        network=backbone_of(store).digest,
        chosen=chosen.digest,
        what=trial.what,
        machine="a machine",
        trials=(trial,),
        data="no photos",
        method="by hand",
        created="2026-11-23T00:00:00+00:00",
    )
    Tunings(store.data_dir).put(tuning)
    return tuning


def variant_of(store: Store, *, white: float = 250) -> Artifact:
    sealed = backbone_of(store)
    return store.add(lambda folder: seal_variant(folder, sealed, Runs(precision="int8"), tiny.backbone_graph(white=white)))


def test_a_choice_is_remembered_for_this_machine_alone_until_it_is_forgotten(store: Store) -> None:
    tuning = choose(store, variant_of(store))
    tunings = Tunings(store.data_dir)
    elsewhere = Tunings(store.data_dir, replace(tunings.machine, cores=tunings.machine.cores + 1))
    assert tunings.get(tuning.network) == tuning
    assert tuning.trial.ratio == 2.0
    assert elsewhere.get(tuning.network) is None
    assert [*elsewhere.all()] == [tuning]
    assert tunings.forget(tuning.network)
    assert not tunings.forget(tuning.network)
    assert tunings.get(tuning.network) is None


def test_what_was_chosen_is_what_runs_under_every_head(store: Store) -> None:
    variant = variant_of(store)
    choose(store, variant)
    library = Library(store)
    recognizer = library.open(store.resolve("tiny").digest)
    assert recognizer.network.artifact.digest == variant.digest
    assert recognizer.network.backbone == backbone_of(store).digest
    assert library.network(backbone_of(store)) is recognizer.network
    assert library.sealed(backbone_of(store)).artifact.digest == backbone_of(store).digest


def test_a_variant_that_is_lost_is_not_missed(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    variant = variant_of(store)
    choose(store, variant)
    shutil.rmtree(variant.folder)
    with caplog.at_level(logging.WARNING):
        assert Library(store).open(store.resolve("tiny").digest).network.artifact.digest == backbone_of(store).digest
    assert "runs as it was sealed" in caplog.text


def test_a_variant_that_does_not_prove_itself_never_serves(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = variant_of(store)
    choose(store, variant)
    other = Network.open(backbone_of(store)).runtime
    opened = Network.open

    def drifted(artifact: Artifact, *, threads: int = 1, calls: int = 1, stands_for: str | None = None) -> Network:
        network = opened(artifact, threads=threads, calls=calls, stands_for=stands_for)
        return replace(network, runtime=other) if artifact.digest == variant.digest else network

    monkeypatch.setattr(Network, "open", drifted)
    with caplog.at_level(logging.WARNING):
        assert Library(store).open(store.resolve("tiny").digest).network.artifact.digest == backbone_of(store).digest
    assert "the runtime moved" in caplog.text


def test_a_tuning_file_that_is_damaged_or_names_something_else_changes_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    tuning = choose(store, store.artifact(store.resolve("tiny").digest))  # a head, not a variant
    digest = store.resolve("tiny").digest
    assert Library(store).open(digest).network.artifact.digest == tuning.network
    assert "is no variant of" in caplog.text
    next(store.data_dir.glob("tuning/*/*.json")).write_text('{"network": 1}')
    assert Tunings(store.data_dir).get(tuning.network) is None
    assert "run `mingmu tune` again" in caplog.text
    assert Library(store).open(digest).network.artifact.digest == tuning.network


def test_a_tuning_file_may_be_read_by_everybody_and_one_that_cannot_be_read_changes_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    tuning = choose(store, variant_of(store))
    file = next(store.data_dir.glob("tuning/*/*.json"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    file.unlink()
    file.mkdir()  # what even root cannot read
    assert Library(store).open(store.resolve("tiny").digest).network.artifact.digest == tuning.network
    assert "Is a directory" in caplog.text


def test_whatever_a_variant_meets_the_sealed_network_serves(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = variant_of(store)
    tuning = choose(store, variant)
    opened = Network.open

    def broken(artifact: Artifact, *, threads: int = 1, calls: int = 1, stands_for: str | None = None) -> Network:
        if artifact.digest == variant.digest:
            raise RuntimeError("the plugin is damaged")
        return opened(artifact, threads=threads, calls=calls, stands_for=stands_for)

    monkeypatch.setattr(Network, "open", broken)
    assert Library(store).open(store.resolve("tiny").digest).network.artifact.digest == tuning.network
    assert "the plugin is damaged" in caplog.text


def test_a_head_that_fails_on_the_variant_runs_on_the_sealed_network_and_the_others_do_not(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    variant = variant_of(store)
    choose(store, variant)
    sealed = Network.open(backbone_of(store))
    weight, bias = np.zeros((3, 3), np.float32), np.zeros(3, np.float32)
    weight[0, 0] = 100
    bias[0] = -100 * sealed.artifact.arrays(PROBES)["features"][0, 0]  # on this probe the least change turns the answer round
    manifest = tiny.head_manifest(sealed.artifact, name="steep")
    steep = store.add(lambda folder: seal_head(folder, manifest, weight, bias, sealed))
    library = Library(store)
    with caplog.at_level(logging.WARNING):
        assert library.open(steep.digest).network.artifact.digest == sealed.artifact.digest
    assert "steep runs on the sealed network" in caplog.text
    assert library.open(store.resolve("tiny").digest).network.artifact.digest == variant.digest


def test_a_head_that_is_to_stay_runs_on_the_sealed_network_and_the_others_do_not(store: Store) -> None:
    variant = variant_of(store)
    tiny_one = store.resolve("tiny").digest
    other = another(store, 1).digest
    Tunings(store.data_dir).put(choose(store, variant).model_copy(update={"apart": (tiny_one,)}))
    library = Library(store)
    assert library.chosen(tiny_one)[tiny_one] == library.open(tiny_one).network.artifact.digest == backbone_of(store).digest
    assert library.chosen(other)[other] == library.open(other).network.artifact.digest == variant.digest
    assert not library.refused


def test_why_a_choice_does_not_run_is_known(store: Store) -> None:
    choose(store, variant := variant_of(store))
    shutil.rmtree(variant.folder)
    library = Library(store)
    library.open(store.resolve("tiny").digest)
    assert "has lost an artifact" in library.refused[backbone_of(store).digest]


def test_gc_keeps_a_variant_as_long_as_a_machine_runs_it(store: Store) -> None:
    variant = variant_of(store)
    tuning = choose(store, variant)
    age(store.data_dir)
    assert collect(store, 60).artifacts == 0
    Tunings(store.data_dir).forget(tuning.network)
    assert collect(store, 60).artifacts == 1
    assert not variant.folder.exists()


def test_gc_goes_on_where_a_tuning_file_is_damaged(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    choose(store, variant_of(store))
    next(store.data_dir.glob("tuning/*/*.json")).write_text("{")
    age(store.data_dir)
    assert collect(store, 60).artifacts == 1  # its variant serves nobody
    assert "counts as not there" in caplog.text


def test_gc_frees_the_variant_of_a_network_that_nobody_uses(store: Store) -> None:
    choose(store, variant_of(store))
    age(store.data_dir)
    store.remove("tiny")
    assert collect(store, 60).artifacts == 3
