# ruff: noqa: F811 - fixtures are imported, and then are the parameters of tests
"""What every door does with chains that read text and plates: tiny ones, whose characters are colours."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mingmu import verbs
from mingmu.core.answers import Plates, Texts, Wish
from mingmu.core.artifact import MANIFEST
from mingmu.core.artifact import seal as seal_folder
from mingmu.core.errors import BadArtifact, Unproven
from mingmu.core.manifest import Manifest
from mingmu.core.pixels import View, encode_png, whole
from mingmu.core.runtime import BOXES
from mingmu.data.dataset import Dataset, Example
from mingmu.jobs import errands
from mingmu.registry import garbage
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.serve.http import create_app
from mingmu.settings import Settings
from mingmu.tasks import chain_of
from mingmu.tasks.locate import CORNERS as CORNERS_OF
from mingmu.tasks.plate_rules import PATTERNS, ranked
from mingmu.tasks.plates import COLOURS, ROWS, PlatesRoad
from mingmu.tasks.read import Line
from mingmu.tasks.text import packed
from mingmu.zoo.chains import seal_chain
from tests import tiny_text
from tests.test_cli import Run, run  # noqa: F401 - fixtures
from tests.tiny import ORIGIN

CORNERS = [[8, 20], [56, 20], [56, 36], [8, 36]]


@pytest.fixture(autouse=True)
def chains(data_dir: Path) -> None:
    tiny_text.publish_text(data_dir)
    tiny_text.publish_plates(data_dir)


@pytest.fixture
def client(data_dir: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(data_dir=data_dir, job_workers=0))) as client:
        yield client


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photos" / "photo.png"
    file.parent.mkdir()
    file.write_bytes(tiny_text.picture("RG"))
    return file


def asked(client: TestClient, name: str, image: bytes, **params: str) -> dict[str, object]:
    answered = client.post(f"/v1/recognizers/{name}/recognize", content=image, headers={"content-type": "image/png"}, params=params)
    assert answered.status_code == 200, answered.text
    found: dict[str, object] = answered.json()["answers"][0]
    return found


def test_lines_are_located_turned_and_read(data_dir: Path) -> None:
    recognizer = Library(Store(data_dir)).open(Store(data_dir).resolve("lines").digest)
    (answer,) = recognizer.recognize([tiny_text.picture("RGR")])
    assert isinstance(answer, Texts)
    (line,) = answer.texts
    assert line.text == "RGR"
    assert len(line.confidences) == 3
    left, top = min(line.corners)
    assert (left, top) == pytest.approx((0, 20 - 9.6), abs=1.5)  # grown by its offset, but not out of the photo
    assert all(0 <= x <= tiny_text.SIDE and 0 <= y <= tiny_text.SIDE for x, y in line.corners)
    (turned,) = recognizer.recognize([tiny_text.picture("BR")])
    assert isinstance(turned, Texts)
    assert turned.texts[0].text == "RB"
    assert turned.texts[0].corners[0] == pytest.approx((64, 36 + 9.6), abs=1.5)  # its first corner is the lower right one
    (nothing,) = recognizer.recognize([tiny_text.picture(" ")])
    assert nothing == Texts(())


def test_plates_have_a_box_corners_and_a_confidence_for_each_character(data_dir: Path) -> None:
    recognizer = Library(Store(data_dir)).open(Store(data_dir).resolve("cars").digest)
    (answer,) = recognizer.recognize([tiny_text.picture("RG")], threshold=0.2)
    assert isinstance(answer, Plates)
    (plate,) = answer.plates
    assert (plate.text, plate.box, plate.lines, plate.kind) == ("RG", (8.0, 20.0, 48.0, 16.0), 1, None)
    assert np.allclose(plate.corners, CORNERS, atol=0.1)
    assert plate.score == min(plate.confidences)
    assert recognizer.recognize([tiny_text.picture(" ")]) == [Plates(())]


def test_a_plate_in_the_dark_is_found_at_the_second_look(data_dir: Path) -> None:
    recognizer = Library(Store(data_dir)).open(Store(data_dir).resolve("cars").digest)
    with Image.open(io.BytesIO(tiny_text.picture("RG"))) as bright:
        dark = encode_png(np.asarray(bright) // 3)
    (answer,) = recognizer.recognize([dark], threshold=0.2)
    assert isinstance(answer, Plates)
    (plate,) = answer.plates
    assert (plate.text, plate.box) == ("RG", (0.0, 8.0, 64.0, 32.0))  # where the tiny detector always finds it: the photo is half as large


def test_the_parts_for_chinese_plates_have_the_word_where_a_text_is_written_as_these_are(data_dir: Path) -> None:
    version = tiny_text.publish_plates(data_dir, "both", chinese=True)
    recognizer = Library(Store(data_dir)).open(version.digest)
    for text, said in (("RGBGBGB", [("京A1A1A1", "ordinary")]), ("RG", [("RG", None)]), (" ", [])):
        (answer,) = recognizer.recognize([tiny_text.picture(text)], threshold=0.1)
        assert isinstance(answer, Plates)
        assert [(plate.text, plate.kind) for plate in answer.plates] == said


def test_a_plate_that_the_rules_put_right_is_measured_by_what_was_read_first(data_dir: Path) -> None:
    labels, manifest = ("A", "B", "1", "8"), Store(data_dir).artifact(Store(data_dir).resolve("cars").digest).manifest
    classes = np.array([[1, 2], [4, 2], [3, 4], [3, 4]])  # A811, or else AB11: a letter stands there
    line = ranked(Line(classes, np.array([[0.9, 0.1], [0.7, 0.2], [0.9, 0.1], [0.9, 0.1]], np.float32)), labels, PATTERNS["latin"])
    corners, none = np.array([[[-5, 20], [70, 20], [70, 36], [-5, 36]]], np.float32), np.array([-1], np.float32)
    rows = {BOXES: corners[:, [0, 2]].reshape(1, 4), CORNERS_OF: corners, COLOURS: none, ROWS: -none, **packed([line])}
    manifest = manifest.model_copy(update={"labels": labels})
    view = View((64, 64), (64, 64), (0, 0, 64, 64))
    (plate,) = PlatesRoad().interpret(rows, view, manifest, Wish(threshold=0.5)).plates
    assert (plate.text, plate.score, plate.confidences) == ("AB11", 0.2, (0.9, 0.2, 0.9, 0.9))
    assert all(0 <= x <= 64 for x, _ in plate.corners)
    assert PlatesRoad().interpret(rows, view, manifest, Wish(threshold=0.75)) == Plates(())


@pytest.mark.parametrize("name", ["lines", "cars"])
def test_the_service_answers_as_the_command_line_does(name: str, client: TestClient, run: Run, photo: Path) -> None:
    over_http = asked(client, name, photo.read_bytes(), threshold="0.3")
    on_the_line = run("recognize", photo, "--recognizer", name, "--threshold", "0.3", "--json").json["answers"][0]
    on_the_line.pop("source")
    assert over_http == on_the_line
    assert next(iter(over_http.values()))


def test_many_images_of_a_request_are_read_and_none_waits_for_itself(client: TestClient) -> None:
    texts = ["RG", "GR", "RGR", " "] * 8
    files = [("image", (f"{at}.png", tiny_text.picture(text), "image/png")) for at, text in enumerate(texts)]
    answered = client.post("/v1/recognizers/lines/recognize", files=files)
    assert answered.status_code == 200, answered.text
    read = ["".join(line["text"] for line in answer["texts"]) for answer in answered.json()["answers"]]
    assert read == [text.strip() for text in texts]


def test_one_bad_image_fails_alone(client: TestClient) -> None:
    files = [("image", ("a.png", b"junk", "image/png")), ("image", ("b.png", tiny_text.picture(), "image/png"))]
    bad, good = client.post("/v1/recognizers/lines/recognize", files=files).json()["answers"]
    assert bad["error"]["kind"] == "bad-image"
    assert good["texts"][0]["text"] == "RG"


def test_a_tall_and_a_one_pixel_picture_are_read_too(client: TestClient) -> None:
    for shape in ((1, 1, 3), (3000, 2, 3), (2, 3000, 3)):
        assert "texts" in asked(client, "lines", encode_png(np.full(shape, 255, np.uint8)))
        assert "plates" in asked(client, "cars", encode_png(np.full(shape, 255, np.uint8)))


def test_the_protocols_of_tensors_give_texts_as_labels(client: TestClient) -> None:
    body = {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 64, 64, 3], "data": _pixels("RG")}]}
    outputs = {each["name"]: each for each in client.post("/v2/models/lines/infer", json=body).json()["outputs"]}
    assert outputs["labels"]["data"] == ["RG"]
    assert outputs["boxes"]["shape"] == [1, 1, 4]
    assert all(0 <= place <= tiny_text.SIDE for place in outputs["boxes"]["data"])
    said = [output["name"] for output in client.get("/v2/models/cars").json()["outputs"]]
    assert said == ["boxes", "scores", "labels"]


def test_the_answer_is_drawn(client: TestClient, run: Run, photo: Path, tmp_path: Path) -> None:
    assert asked(client, "lines", photo.read_bytes(), draw="true")["drawn"]
    assert run("recognize", photo, "--recognizer", "cars", "--threshold", "0.2", "--draw", tmp_path / "drawn.jpg").code == 0
    assert (tmp_path / "drawn.jpg").stat().st_size > 1000


def test_rows_of_a_batch_have_texts_for_labels(run: Run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert run("batch", photo.parent, "--out", out, "--recognizer", "lines").code == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["label"], len(row["boxes"])) == ("RG", 1)


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("recognize {photo} --recognizer lines --overlap 0.5", "lines reads text"),
        ("recognize {photo} --recognizer bright", "part of `text`"),
        ("compare lines cars {photo}", "lines reads text; compare is for what gives labels or boxes"),
        ("train {photo} --name mine --task read --size 64", "net.size is not for readers"),
        ("train {photo} --name mine --task read --net resnet18", "resnet18 says a label of each photo"),
    ],
)
def test_what_a_reader_cannot_do_is_said(command: str, complaint: str, run: Run, photo: Path, data_dir: Path) -> None:
    store = Store(data_dir)
    store.publish("bright", store.add(tiny_text.seal_locator).digest)
    refused = run(*(word.format(photo=photo) for word in command.split()))
    assert refused.code in (1, 2)
    assert complaint in refused.err


@pytest.mark.parametrize("name", ["lines", "cars"])
def test_readers_are_measured_on_photos_that_are_named_after_their_texts(name: str, run: Run, photo: Path, tmp_path: Path) -> None:
    (photo.parent / "GR.png").write_bytes(tiny_text.picture("GR"))
    photo.rename(photo.parent / "GG.png")  # which it does not show
    measured = run("evaluate", name, photo.parent, "--html", tmp_path / "page.html", "--card", tmp_path / "card.md", "--json").json
    assert (measured["schema"], measured["measures"]["exact"]["value"]) == ("mingmu-text-report/1", 0.5)
    assert "Its surest mistakes" in (tmp_path / "page.html").read_text()
    assert "It read 50.0 % of 2 texts" in run("evaluate", name, photo.parent).out


def test_a_job_measures_a_reader_by_the_texts_that_it_reads(data_dir: Path) -> None:
    store = Store(data_dir)
    examples = [Example(store.blobs.put(tiny_text.picture(text)), (text,), f"{text}.png") for text in ("RG", "GR", "RGR")]
    dataset = Dataset.of(examples)
    store.datasets.add("words", dataset.digest, dataset.to_lines())
    result = errands.evaluate(Settings(data_dir=data_dir), {"recognizer": "lines", "dataset": "words"}, lambda step, share: None)
    assert (result["exact"]["value"], result["measured_on"]["examples"]) == (1, 3)


def test_a_chain_leaves_and_arrives_with_its_parts(data_dir: Path, tmp_path: Path) -> None:
    verbs.export(Store(data_dir), "lines", tmp_path / "lines.zip")
    elsewhere = Store(tmp_path / "elsewhere")
    version = verbs.install(elsewhere, tmp_path / "lines.zip")
    (answer,) = Library(elsewhere).open(version.digest).recognize([tiny_text.picture("RG")])
    assert isinstance(answer, Texts)
    assert [box.label for box in answer.boxes] == ["RG"]


def test_the_parts_of_a_chain_are_not_garbage(data_dir: Path) -> None:
    store = Store(data_dir)
    garbage.collect(store, min_age=-1)
    assert Library(store).open(store.resolve("cars").digest).parts.keys() == {"detector", "reader"}


def test_a_chain_that_reads_something_else_is_not_served(data_dir: Path) -> None:
    store = Store(data_dir)
    manifest = store.artifact(store.resolve("lines").digest).manifest

    def seal(folder: Path) -> None:
        recognizer = Library(store).open(store.resolve("lines").digest)
        seal_chain(folder, manifest.model_copy(update={"files": {}}), recognizer.parts, {"line.png": tiny_text.picture("GR")})
        said = (folder / "answers.json").read_text().replace("GR", "RG")
        (folder / "answers.json").write_text(said)
        (folder / MANIFEST).unlink()
        seal_folder(folder, manifest.model_copy(update={"files": {}}))

    digest = store.add(seal).digest
    with pytest.raises(Unproven, match="sealed was another"):
        Library(store).open(digest)


def test_a_chain_without_a_part_that_it_needs_is_refused(data_dir: Path) -> None:
    store = Store(data_dir)
    manifest = store.artifact(store.resolve("cars").digest).manifest
    with pytest.raises(BadArtifact, match="no detector among its parts"):
        chain_of(manifest.model_copy(update={"parts": manifest.parts[1:]}))


def test_only_a_chain_has_parts() -> None:
    with pytest.raises(ValueError, match="a chain has some"):
        Manifest.model_validate({"kind": "chain", "name": "x", "task": "text", "pixels": tiny_text.FRAME, "origin": ORIGIN})


def _pixels(text: str) -> list[int]:
    return [int(value) for value in whole(tiny_text.picture(text)).pixels.ravel()]
