from __future__ import annotations

from pathlib import Path

from mingmu import verbs
from mingmu.data.dataset import Dataset
from mingmu.jobs import errands
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.teach.teach import Options
from tests.test_teaching import draw


def test_an_image_that_is_labelled_anew_takes_the_label_and_stays_in_its_part(data_dir: Path, tmp_path: Path) -> None:
    store = Store(data_dir)
    verbs.teach(store, draw(tmp_path / "many", 110), name="colours", backbone="tiny", options=Options(effort="quick"))
    before = Dataset.from_lines(store.datasets.examples(store.datasets.resolve("colours")))
    tested = next(example for example in before if example.split == "test" and example.labels == ("red",))
    arguments = {"recognizer": "colours", "label": "green", "images": [tested.image]}
    result = errands.add(Settings(data_dir=data_dir), arguments, lambda _step, _share: None)
    after = Dataset.from_lines(store.datasets.examples(store.datasets.resolve("colours")))
    found = [example for example in after if example.image == tested.image]
    assert [(example.labels, example.split) for example in found] == [(("green",), "test")]
    assert (result["version"], len(after)) == (2, len(before))
    verbs.teach(store, draw(tmp_path / "more", 3, seed=7), name="colours", backbone="tiny", add=True, options=Options(effort="quick"))
    newest = Dataset.from_lines(store.datasets.examples(store.datasets.resolve("colours")))
    assert [example.labels for example in newest if example.image == tested.image] == [("green",)]
    assert len(newest) == len(before) + 9


def test_a_teaching_does_what_was_asked_and_says_which_version_taught_it(data_dir: Path, tmp_path: Path) -> None:
    store, settings = Store(data_dir), Settings(data_dir=data_dir)
    verbs.read_dataset(store, draw(tmp_path / "photos", 12), name="paints")
    verbs.read_dataset(store, draw(tmp_path / "test", 5, seed=1), name="walls")
    asked = {"backbone": "tiny", "effort": "quick", "head": "svm", "seed": 7}
    arguments = {"name": "colours", "dataset": "paints", "test": "walls", "add": False} | asked
    result = errands.teach(settings, arguments, lambda _step, _share: None)
    made_by = store.artifact(result["digest"]).manifest.made_by
    assert (result["dataset"], result["measured_on"]["examples"]) == ("colours@1", 15)
    assert str(made_by["head"]).startswith("svm")
    assert (made_by["effort"], made_by["seed"]) == ("quick", 7)


def test_a_recognizer_that_is_told_more_stays_on_its_backbone(data_dir: Path, tmp_path: Path, red_png: bytes) -> None:
    store = Store(data_dir)
    first = verbs.teach(store, draw(tmp_path / "photos", 12), name="colours", backbone="tiny", options=Options(effort="quick"))
    arguments = {"recognizer": "colours", "label": "red", "images": [store.blobs.put(red_png)], "teach": True}
    result = errands.add(Settings(data_dir=data_dir), arguments, lambda _step, _share: None)
    before, after = (store.artifact(digest).manifest.head for digest in (first.version.digest, result["digest"]))
    assert before is not None
    assert after is not None
    assert (result["version"], after.backbone) == (2, before.backbone)
