"""From a folder of photos to a recognizer, on the tiny backbone."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mingmu import verbs
from mingmu.cli import main
from mingmu.core.answers import Labels
from mingmu.core.errors import BadRequest, Conflict, NoCoverage, NotFound
from mingmu.core.pixels import encode_png
from mingmu.core.teaching import TeachOptions
from mingmu.data.dataset import Dataset, Example
from mingmu.evaluate import words
from mingmu.evaluate.measure import Measures
from mingmu.jobs import errands
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.teach.teach import Options
from mingmu.verbs.lessons import merged
from mingmu.verbs.parting import parted
from tests import tiny

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
QUICK = Options(effort="quick")


def draw(folder: Path, count: int, *, seed: int = 0, colours: dict[str, tuple[int, int, int]] = COLOURS) -> Path:
    """Noisy pictures of each colour, in a folder for each."""
    random = np.random.default_rng(seed)
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = random.normal(0, 40, (12, 12, 3)) + random.normal(0, 25, 3)
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            (folder / name / f"{number}.png").write_bytes(encode_png(pixels))
    return folder


def example(name: str, label: str) -> Example:
    return Example(hashlib.sha256(name.encode()).hexdigest(), (label,), name)


@pytest.fixture
def store(data_dir: Path) -> Store:
    return Store(data_dir)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return draw(tmp_path / "photos", 12)


def say(store: Store, name: str, picture: bytes) -> Labels:
    answer = Library(store).open(store.resolve(name).digest).recognize([picture])[0]
    assert isinstance(answer, Labels)
    return answer


def test_a_taught_recognizer_knows_its_colours_and_is_published(store: Store, photos: Path, red_png: bytes, blue_png: bytes) -> None:
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    assert store.resolve("colours") == taught.version
    assert say(store, "colours", red_png).labels[0].label == "red"
    assert say(store, "colours", blue_png).labels[0].label == "blue"
    assert taught.report.measures.accuracy.value > 0.9
    assert "cross-validation" in taught.report.measures.source


def test_teaching_the_same_photos_again_gives_the_same_version(store: Store, photos: Path) -> None:
    first = verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    assert verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK).version == first.version


def test_a_test_part_measures_the_sealed_recognizer_and_teaches_nothing(store: Store, photos: Path, tmp_path: Path) -> None:
    test = draw(tmp_path / "test", 5, seed=1)
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", test=test, options=QUICK)
    manifest = store.artifact(taught.version.digest).manifest
    assert taught.report.measures.examples == 15
    assert manifest.made_by["photos"] == 36


def test_many_photos_are_parted_so_that_some_measure(store: Store, tmp_path: Path) -> None:
    taught = verbs.teach(store, draw(tmp_path / "many", 120), name="colours", backbone="tiny", options=QUICK)
    assert 60 <= taught.report.measures.examples <= 84
    assert "not taught on" in taught.report.measures.source


def test_photos_can_be_added_with_a_new_label(store: Store, photos: Path, tmp_path: Path) -> None:
    verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    more = draw(tmp_path / "more", 12, seed=2, colours={"white": (230, 230, 230)})
    taught = verbs.teach(store, more, name="colours", backbone="tiny", add=True, options=QUICK)
    manifest = store.artifact(taught.version.digest).manifest
    assert (taught.version.version, manifest.labels) == (2, ("blue", "green", "red", "white"))
    parent, child = store.datasets.versions("colours")
    assert child.parent == parent.digest


def test_photos_added_to_many_are_measured_too_and_no_tested_photo_becomes_a_lesson(store: Store, tmp_path: Path) -> None:
    many = draw(tmp_path / "many", 110)
    verbs.teach(store, many, name="colours", backbone="tiny", options=QUICK)
    before = Dataset.from_lines(store.datasets.examples(store.datasets.resolve("colours")))
    tested = {example.image for example in before if example.split == "test"}
    draw(many, 30, seed=2, colours={"white": (230, 230, 230)})  # the same folder again, with a new class
    taught = verbs.teach(store, many, name="colours", backbone="tiny", add=True, options=QUICK)
    after = Dataset.from_lines(store.datasets.examples(store.datasets.resolve("colours")))
    assert {example.image for example in after if example.split == "test"} >= tested
    white = next(found for found in taught.report.measures.classes if found.label == "white")
    assert 3 <= white.support <= 9
    assert len(after) == 360


def test_photos_added_one_by_one_are_measured_too(store: Store, tmp_path: Path) -> None:
    groups = np.arange(400)
    dataset = Dataset.of(example(f"{number}", "ab"[number % 2]) for number in range(340))
    dataset, _ = parted(dataset, groups[: len(dataset)], 0)
    for number in range(60):
        dataset = Dataset.of([*dataset, example(f"pear {number}", "pear")])
        dataset, findings = parted(dataset, groups[: len(dataset)], 0)
        assert not findings
    tested = [each for each in dataset if each.labels == ("pear",) and each.split == "test"]
    assert 6 <= len(tested) <= 18


def test_photos_added_at_once_are_measured_as_many_as_others(store: Store) -> None:
    before = [replace(example(f"{number}", "ab"[number % 2]), split="train" if number % 20 else "test") for number in range(400)]
    dataset = Dataset.of([*before, *(example(f"pear {number}", "pear") for number in range(30))])
    found, _ = parted(dataset, np.arange(len(dataset)), 0)
    added = [each for each in found if each.split == "test" and each.name not in {one.name for one in before}]
    assert 5 <= len(added) <= 6
    assert [each for each in found if each.name in {one.name for one in before}] == sorted(before, key=lambda each: each.name)


def test_photos_that_come_again_elsewhere_are_relabelled(store: Store, photos: Path, tmp_path: Path) -> None:
    verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    (photos / "red").rename(photos / "crimson")
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", add=True, options=QUICK)
    counts = Dataset.from_lines(store.datasets.examples(taught.dataset)).counts()
    assert counts == {"crimson": 12, "green": 12, "blue": 12}
    assert taught.report.measures.accuracy.value > 0.9


def test_photos_that_come_again_without_a_label_keep_theirs() -> None:
    before = Dataset.of([replace(example("one", "a"), split="test")])
    assert merged(before, Dataset.of([replace(before.examples[0], labels=(), name="elsewhere", split=None)])) == before


def test_a_clash_of_labels_among_what_is_put_together_is_found(store: Store, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "test/blue").mkdir(parents=True)
    (tmp_path / "test/blue/0.png").write_bytes((photos / "red/0.png").read_bytes())
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", test=tmp_path / "test", options=QUICK)
    assert "label-clash" in {finding.kind for finding in taught.findings}


ADD = """
import sys
import time
from pathlib import Path
from mingmu import verbs
from mingmu.registry.store import Store
from mingmu.teach.teach import Options
data, photos, go = map(Path, sys.argv[1:])
store = Store(data)

def meet(step, share):
    if step == "sealing":  # both have learned by then, and neither has kept anything
        (go / photos.name).touch()
        while len([*go.iterdir()]) < 2:
            time.sleep(0.01)

verbs.teach(store, photos, name="colours", backbone="tiny", add=True, options=Options(effort="quick"), progress=meet)
"""


def test_of_two_additions_at_once_neither_is_lost(store: Store, photos: Path, tmp_path: Path) -> None:
    verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    (tmp_path / "go").mkdir()
    white = draw(tmp_path / "some", 12, seed=2, colours={"white": (230, 230, 230)})
    black = draw(tmp_path / "more", 12, seed=3, colours={"black": (20, 20, 20)})
    both = [subprocess.Popen([sys.executable, "-c", ADD, store.data_dir, each, tmp_path / "go"]) for each in (white, black)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert store.artifact(store.resolve("colours").digest).manifest.labels == ("black", "blue", "green", "red", "white")
    assert len(store.datasets.versions("colours")) == 3


def test_an_example_that_is_sent_while_others_are_added_is_learned_too(store: Store, photos: Path, tmp_path: Path) -> None:
    verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    sent = store.blobs.put(encode_png(np.full((12, 12, 3), (250, 250, 0), np.uint8)))

    def send(step: str, _share: float) -> None:
        if step == "sealing" and len(store.datasets.versions("colours")) == 1:
            errands.add(Settings(data_dir=store.data_dir), {"recognizer": "colours", "label": "red", "images": [sent]}, verbs.silent)

    more = draw(tmp_path / "more", 12, seed=3, colours={"black": (20, 20, 20)})
    taught = verbs.teach(store, more, name="colours", backbone="tiny", add=True, options=QUICK, progress=send)
    assert sent in {each.image for each in Dataset.from_lines(store.datasets.examples(taught.dataset))}
    assert store.artifact(taught.version.digest).manifest.made_by["photos"] == 49


def test_a_few_more_photos_are_learned_in_the_way_that_was_chosen(store: Store, photos: Path, tmp_path: Path) -> None:
    first = verbs.teach(store, photos, name="colours", backbone="tiny")
    few = verbs.teach(store, draw(tmp_path / "few", 2, seed=2), name="colours", backbone="tiny", add=True)
    many = verbs.teach(store, draw(tmp_path / "many", 5, seed=3), name="colours", backbone="tiny", add=True)
    tried = [store.records.lineage(each.version.digest).settings["heads_tried"] for each in (first, few, many)]
    assert [len(each) > 1 for each in tried] == [True, False, True]
    assert store.artifact(few.version.digest).manifest.pixels == store.artifact(first.version.digest).manifest.pixels


def test_the_test_part_is_measured_as_the_sealed_recognizer_answers(store: Store, photos: Path, tmp_path: Path) -> None:
    test = draw(tmp_path / "test", 5, seed=1)
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", test=test, options=QUICK)
    measured = verbs.evaluate(store, "colours", test)
    assert isinstance(measured.measures, Measures)
    assert measured.measures.accuracy == taught.report.measures.accuracy
    assert measured.measures.calibration.ece == pytest.approx(taught.report.measures.calibration.ece, abs=1e-4)


def test_what_cannot_be_taught_says_what_was_wrong_with_it(store: Store, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/labels.csv").write_text("path,label\n../a.png,a\n../b.png,b\n")
    with pytest.raises(BadRequest, match=r"at least 2; table: .*2 path-outside; the first: \.\./a\.png: line 2 of labels\.csv"):
        verbs.teach(store, tmp_path / "in/labels.csv", name="colours", backbone="tiny")


def test_a_name_that_means_something_else_is_not_taught(store: Store, photos: Path) -> None:
    with pytest.raises(Conflict, match="was not taught"):
        verbs.teach(store, photos, name="tiny", backbone="tiny")
    with pytest.raises(Conflict, match="ships with Mingmu"):
        verbs.teach(store, photos, name="general", backbone="tiny")
    with pytest.raises(NotFound):
        verbs.teach(store, photos, name="never", backbone="tiny", add=True)


def test_a_test_photo_is_never_learned_from_even_if_it_is_among_the_lessons(store: Store, photos: Path, tmp_path: Path) -> None:
    test = draw(tmp_path / "test", 5, seed=1)
    for picture in test.rglob("*.png"):
        (photos / picture.parent.name / f"again-{picture.name}").write_bytes(picture.read_bytes())
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", test=test, options=QUICK)
    assert store.artifact(taught.version.digest).manifest.made_by["photos"] == 36
    assert taught.report.measures.examples == 15
    assert len([finding for finding in taught.findings if finding.kind == "split-leak"]) == 15


def test_photos_that_taught_a_recognizer_do_not_measure_it(store: Store, photos: Path, tmp_path: Path) -> None:
    verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    with pytest.raises(Conflict, match="used for teaching"):
        verbs.evaluate(store, "colours", photos)
    draw(photos / "new", 4, seed=9)
    for folder in (photos / "new").iterdir():
        for picture in folder.iterdir():
            picture.rename(photos / folder.name / f"new-{picture.name}")
    assert verbs.evaluate(store, "colours", photos).measures.examples == 12


def test_one_photo_a_class_teaches_and_promises_nothing(store: Store, tmp_path: Path) -> None:
    report = verbs.teach(store, draw(tmp_path / "one", 1), name="colours", backbone="tiny", options=QUICK).report
    assert "cannot be told" in words.headline(report.measures)
    assert report.measures.coverage == ()


def test_a_given_val_part_is_the_test_part_where_there_is_no_other(store: Store, tmp_path: Path) -> None:
    draw(tmp_path / "parted/train", 10)
    draw(tmp_path / "parted/val", 5, seed=4)
    taught = verbs.teach(store, tmp_path / "parted", name="colours", backbone="tiny", options=QUICK)
    assert taught.report.measures.examples == 15
    assert store.artifact(taught.version.digest).manifest.made_by["photos"] == 30


def test_labels_that_have_photos_in_the_test_part_only_are_named_and_the_rest_is_taught(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "parted"
    draw(folder / "train", 6, colours={"red": (200, 40, 40), "green": (40, 200, 40)})
    draw(folder / "test", 2, seed=1)
    taught = verbs.teach(store, folder, name="colours", backbone="tiny", options=QUICK)
    assert [finding.where for finding in taught.findings if finding.kind == "test-only"] == [("blue",)]
    assert store.artifact(taught.version.digest).manifest.labels == ("green", "red")
    assert (taught.report.measures.examples, taught.report.measures.left_out.unknown) == (4, (("blue", 2),))


def test_a_test_part_of_unknown_labels_only_leaves_cross_validation_to_measure(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "parted"
    draw(folder / "train", 6, colours={"red": (200, 40, 40), "green": (40, 200, 40)})
    draw(folder / "test", 2, seed=1, colours={"blue": (40, 40, 200)})
    measures = verbs.teach(store, folder, name="colours", backbone="tiny", options=QUICK).report.measures
    assert (measures.examples, "cross-validation" in measures.source) == (12, True)


def test_the_same_photo_under_two_labels_keeps_both_in_the_figures(store: Store, photos: Path) -> None:
    for number in range(3):
        (photos / "blue" / f"clash-{number}.png").write_bytes((photos / "red/0.png").read_bytes())
    report = verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK).report
    assert {found.label: found.support for found in report.measures.classes} == {"red": 12, "green": 12, "blue": 15}


def test_something_unlike_anything_taught_makes_it_abstain(store: Store, photos: Path) -> None:
    verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    yellowish = encode_png(np.full((12, 12, 3), (120, 120, 120), np.uint8))
    assert say(store, "colours", yellowish).abstain
    assert not say(store, "colours", encode_png(np.full((12, 12, 3), COLOURS["red"], np.uint8))).abstain


def test_a_prediction_set_grows_with_its_promise(store: Store, photos: Path, red_png: bytes) -> None:
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    recognizer = Library(store).open(taught.version.digest)
    sizes = []
    for coverage in (0.5, 0.9, 0.999):
        answer = recognizer.recognize([red_png], coverage=coverage)[0]
        assert isinstance(answer, Labels)
        sizes.append(len(answer.labels))
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert sizes[-1] == 3  # 36 photos are too few for 99.9 %: only all labels keep that promise
    assert isinstance(recognizer.recognize([red_png], coverage=1.5)[0], NoCoverage)


def test_an_answer_can_be_traced_to_its_photos_and_settings(store: Store, photos: Path) -> None:
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    lineage = store.records.lineage(taught.version.digest)
    assert lineage.dataset == store.datasets.resolve("colours").digest
    assert lineage.settings["effort"] == "quick"
    assert len(store.records.reports(taught.version.digest)) == 2  # the report, and its page


def test_one_label_is_too_few_to_teach(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="at least 2"):
        verbs.teach(store, draw(tmp_path / "one", 5, colours={"red": (200, 0, 0)}), name="x", backbone="tiny")


def test_a_whole_model_is_no_backbone(store: Store, photos: Path) -> None:
    store.publish("whole", store.add(tiny.seal_whole).digest)
    with pytest.raises(Conflict, match="without features"):
        verbs.teach(store, photos, name="x", backbone="whole")


def test_comparing_a_good_with_a_bad_recognizer_says_which_is_better(store: Store, photos: Path, tmp_path: Path) -> None:
    verbs.teach(store, photos, name="good", backbone="tiny", options=QUICK)
    swapped = {"red": COLOURS["green"], "green": COLOURS["blue"], "blue": COLOURS["red"]}
    verbs.teach(store, draw(tmp_path / "wrong", 12, colours=swapped), name="bad", backbone="tiny", options=QUICK)
    found = verbs.compare(store, "bad", "good", draw(tmp_path / "fresh", 10, seed=3))
    assert found.better == "B"
    assert "B is better" in found.verdict


def test_the_audit_finds_planted_faults_and_cleaning_drops_them(store: Store, photos: Path, tmp_path: Path) -> None:
    (photos / "blue/copy.png").write_bytes((photos / "red/0.png").read_bytes())
    (photos / "red/broken.png").write_bytes(b"no picture")
    audited = verbs.audit(store, photos, backbone="tiny")
    kinds = {finding.kind for finding in audited.findings}
    assert {"label-clash", "unreadable"} <= kinds
    cleaned = verbs.clean(store, audited, tmp_path / "clean", backbone="tiny")
    assert not {"red/0.png", "blue/copy.png"} & {example.name for example in cleaned.dataset}
    assert len([*(tmp_path / "clean").rglob("*.png")]) == len(cleaned.dataset) == 35
    assert "after" in cleaned.verdict


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0), capsys.readouterr().out


def test_the_command_line_teaches_measures_and_moves_aliases(
    data_dir: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data-dir", data_dir]
    page, card = tmp_path / "report.html", tmp_path / "card.md"
    code, out = run(capsys, "teach", photos, "--name", "colours", "--backbone", "tiny", "--html", page, "--card", card, "--json", *options)
    taught = json.loads(out)
    assert (code, taught["version"]) == (0, 1)
    assert taught["digest"] in page.read_text()
    assert taught["digest"] in card.read_text()
    assert run(capsys, "publish", "colours@prod", "1", *options)[0] == 0
    code, out = run(capsys, "versions", "colours", "--json", *options)
    assert json.loads(out)["versions"][0]["aliases"] == ["prod"]
    assert run(capsys, "remove", "colours@1", *options)[0] == 1  # prod points to it
    assert run(capsys, "evaluate", "colours@prod", photos, *options)[0] == 1  # it learned from all of them
    assert run(capsys, "evaluate", "colours@prod", draw(tmp_path / "fresh", 6, seed=5), *options)[0] == 0
    assert run(capsys, "audit", photos, "--backbone", "tiny", "--html", tmp_path / "audit.html", *options)[0] == 0
    assert run(capsys, "remove", "colours@1", "--force", *options)[0] == 0
    code, out = run(capsys, "gc", "--min-age", "0", "--json", *options)
    assert json.loads(out)["artifacts"] == 1


def test_the_command_line_adds_to_a_recognizer_by_its_name(
    data_dir: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--backbone", "tiny", "--effort", "quick", "--data-dir", data_dir]
    more = draw(tmp_path / "more", 12, seed=2, colours={"white": (230, 230, 230)})
    assert run(capsys, "teach", photos, "--name", "colours", *options)[0] == 0
    code, out = run(capsys, "teach", "colours", "--add", more, "--json", *options)
    assert (code, json.loads(out)["version"]) == (0, 2)
    for wrong in (["colours", more], ["colours", "--add", more, "--name", "colours"], [more]):
        assert run(capsys, "teach", *wrong, *options)[0] == 2


def test_a_table_with_several_labels_a_photo_teaches_to_say_several(store: Store, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = ["file,labels"]
    for number in range(60):
        strong = random.random(3) < 0.5
        strong[number % 3] |= not strong.any()
        pixels = np.clip(random.normal(60, 20, (12, 12, 3)) + 120 * strong, 0, 255).astype(np.uint8)
        (tmp_path / f"{number}.png").write_bytes(encode_png(pixels))
        rows.append(f"{number}.png," + "|".join(label for label, there in zip(COLOURS, strong, strict=True) if there))
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    taught = verbs.teach(store, tmp_path, name="mixed", backbone="tiny", options=QUICK)
    assert taught.report.measures.multi_label
    assert taught.report.measures.accuracy.value > 0.9
    yellow = say(store, "mixed", encode_png(np.full((12, 12, 3), (180, 180, 60), np.uint8)))
    assert {label.label for label in yellow.labels if label.score >= 0.5} == {"red", "green"}
    assert not yellow.abstain
    assert say(store, "mixed", encode_png(np.full((12, 12, 3), 60, np.uint8))).abstain
    recognizer = Library(store).open(taught.version.digest)
    assert not recognizer.covers
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for name, colour in {"yellow": (180, 180, 60), "violet": (180, 60, 180)}.items():
        (fresh / f"{name}.png").write_bytes(encode_png(np.full((12, 12, 3), colour, np.uint8)))
    (fresh / "labels.csv").write_text("file,labels\nyellow.png,red|green\nviolet.png,red|blue")
    measures = verbs.evaluate(store, "mixed", fresh).measures
    assert isinstance(measures, Measures)
    assert measures.multi_label


def test_the_kind_of_head_can_be_asked_for(data_dir: Path, photos: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--name", "colours", "--backbone", "tiny", "--effort", "quick", "--data-dir", data_dir]
    assert run(capsys, "teach", photos, "--head", "svm", *options)[0] == 0
    assert str(store.artifact(store.resolve("colours").digest).manifest.made_by["head"]).startswith("svm")


def test_one_photo_a_class_is_taught_and_its_report_does_not_pretend(store: Store, tmp_path: Path, red_png: bytes) -> None:
    taught = verbs.teach(store, draw(tmp_path / "single", 1), name="colours", backbone="tiny")
    assert say(store, "colours", red_png).labels[0].label == "red"
    assert taught.report.measures.source == "the very photos it was taught on"
    assert not Library(store).open(taught.version.digest).covers


def teach_stored(store: Store, dataset: str, name: str, **more: Any) -> verbs.Teaching:
    return verbs.teach_dataset(store, dataset, name=name, backbone="tiny", options=QUICK, **more)


def test_a_dataset_that_teaches_keeps_its_name_and_lineage_leads_to_it(store: Store, photos: Path) -> None:
    verbs.read_dataset(store, photos, name="paints")
    taught = teach_stored(store, "paints", "colours")
    assert store.datasets.names() == ["paints"]
    assert taught.dataset == store.datasets.resolve("paints@1")
    assert store.records.lineage(taught.version.digest).dataset == taught.dataset.digest
    assert store.artifact(taught.version.digest).manifest.made_by["dataset"] == taught.dataset.digest


def test_a_dataset_that_is_given_a_test_part_gets_a_version_of_its_own_once(store: Store, tmp_path: Path) -> None:
    verbs.read_dataset(store, draw(tmp_path / "many", 110), name="paints")
    verbs.read_dataset(store, draw(tmp_path / "few", 3, seed=8), name="paints")
    taught = teach_stored(store, "paints@1", "colours")
    asked, meanwhile, parted, newest = store.datasets.versions("paints")
    assert (taught.dataset, parted.parent) == (parted, asked.digest)
    assert newest.digest == meanwhile.digest  # the bare name means what it meant
    assert store.records.lineage(taught.version.digest).dataset == parted.digest
    assert teach_stored(store, "paints@1", "colours").version == taught.version
    assert teach_stored(store, f"paints@{parted.version}", "again").dataset == parted
    assert len(store.datasets.versions("paints")) == 4
    assert store.datasets.names() == ["paints"]


def test_what_is_sent_under_the_same_name_later_is_not_what_was_taught_before(store: Store, photos: Path, tmp_path: Path) -> None:
    verbs.read_dataset(store, photos, name="colours")
    first = teach_stored(store, "colours", "colours")
    white = draw(tmp_path / "white", 12, seed=2, colours={"white": (230, 230, 230)})
    verbs.read_dataset(store, white, name="colours")
    second = teach_stored(store, "colours@2", "colours", add=True)
    assert store.artifact(second.version.digest).manifest.labels == ("blue", "green", "red", "white")
    assert (second.dataset.version, second.dataset.parent) == (3, first.dataset.digest)


def test_a_stored_dataset_can_measure_and_both_stay_what_they_are(store: Store, photos: Path, tmp_path: Path) -> None:
    verbs.read_dataset(store, photos, name="paints")
    verbs.read_dataset(store, draw(tmp_path / "test", 5, seed=1), name="walls")
    taught = teach_stored(store, "paints", "colours", test="walls")
    assert taught.report.measures.examples == 15
    assert (taught.dataset.name, taught.dataset.parent) == ("colours", store.datasets.resolve("paints").digest)
    assert {name: len(store.datasets.versions(name)) for name in store.datasets.names()} == {"colours": 1, "paints": 1, "walls": 1}


def test_another_seed_sets_other_photos_aside(store: Store, tmp_path: Path) -> None:
    many = draw(tmp_path / "many", 110)
    tested = []
    for seed in (0, 0, 1):
        options = verbs.options_of(TeachOptions(effort="quick", seed=seed))
        taught = verbs.teach(store, many, name="colours", backbone="tiny", options=options)
        examples = Dataset.from_lines(store.datasets.examples(taught.dataset))
        tested.append({example.image for example in examples if example.split == "test"})
    assert tested[0] == tested[1] != tested[2]


def test_an_evaluation_leaves_the_report_of_the_teaching_in_its_place(store: Store, photos: Path, tmp_path: Path) -> None:
    taught = verbs.teach(store, photos, name="colours", backbone="tiny", options=QUICK)
    verbs.evaluate(store, "colours", draw(tmp_path / "fresh", 6, seed=5))
    lineage = store.records.lineage(taught.version.digest)
    assert lineage.dataset == taught.dataset.digest
    assert [each.dataset == lineage.dataset for each in store.records.reports(taught.version.digest)] == [True, True, False, False]
