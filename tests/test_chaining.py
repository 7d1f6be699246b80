# ruff: noqa: F811 - fixtures are imported, and then are the parameters of tests
"""Chains of two: what `quarters` finds, a head, a reader, a detector or another chain looks at. All are tiny."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mingmu import verbs
from mingmu.core.answers import Boxes, Plates, Texts, tagged
from mingmu.core.errors import BadArtifact, BadRequest, Conflict, MingmuError, NotFound
from mingmu.core.network import Network
from mingmu.core.pixels import encode_png
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import OnnxRuntime, Outputs, Pixels
from mingmu.core.sealing import seal_head, seal_network
from mingmu.data.dataset import Dataset, Example, Region
from mingmu.registry import garbage
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.registry.tuning import Tuning, Tunings
from mingmu.serve.http import create_app
from mingmu.settings import Settings
from mingmu.verbs.measuring import measured, unseen
from tests import tiny, tiny_text
from tests.test_cli import Run, run  # noqa: F401 - fixtures

LABELS = ("rot", "grün", "blau")
SHELF = """
detector = "quarters"
labels = ["red", "blue"]
threshold = 0.4
margin = 0.1
then = "colours"
"""


def quarters(left_upper: str = "R", right_lower: str = "B", *, side: int = 64) -> bytes:
    """A PNG of two quarters in colours."""
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[: side // 2, : side // 2] = tiny_text.COLOURS[left_upper]
    pixels[side // 2 :, side // 2 :] = tiny_text.COLOURS[right_lower]
    return encode_png(pixels)


@pytest.fixture
def store(data_dir: Path) -> Store:
    """With a detector `quarters`, a head `colours`, a reader `letters`, and the chains `lines` and `cars`."""
    store = Store(data_dir)
    store.publish("quarters", store.add(tiny.seal_detector).digest)
    network = Network.open(store.add(tiny.seal_backbone))
    store.publish("colours", store.add(partial(tiny.seal_tiny, network=network, name="colours", labels=LABELS)).digest)
    store.publish("letters", store.add(tiny_text.seal_reader).digest)
    tiny_text.publish_text(data_dir)
    tiny_text.publish_plates(data_dir)
    return store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a chain, with a photo beside it."""
    (tmp_path / "photo.png").write_bytes(quarters())
    file = tmp_path / "shelf.toml"
    file.write_text(SHELF + 'probe = "photo.png"\n', encoding="utf-8")
    return file


def chained(store: Store, file: Path, name: str, **said: object) -> Recognizer:
    """The chain that a file describes, with some keys said otherwise."""
    lines = {"detector": "quarters", "then": "colours", "probe": "photo.png"} | said
    file.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in lines.items() if value is not None), encoding="utf-8")
    return Library(store).open(verbs.chain(store, file, name=name).digest)


def boxes_of(recognizer: Recognizer, image: bytes, **wished: float) -> list[tuple[str, float, float, float, float]]:
    (answer,) = recognizer.recognize([image], **wished)  # type: ignore[arg-type]
    assert isinstance(answer, Boxes), answer
    return [(box.label, box.x, box.y, box.width, box.height) for box in answer.boxes]


def test_boxes_are_named_by_a_classifier(store: Store, file: Path) -> None:
    version = verbs.chain(store, file, name="shelf")
    recognizer = Library(store).open(version.digest)
    assert recognizer.manifest.labels == (*LABELS, "red", "blue")
    found = {("rot", 0.0, 0.0, 32.0, 32.0), ("blau", 32.0, 32.0, 32.0, 32.0)}
    assert {*boxes_of(recognizer, quarters())} == found
    assert boxes_of(recognizer, quarters("G", "B")) == [("blau", 32.0, 32.0, 32.0, 32.0)]  # green does not go on
    assert boxes_of(recognizer, quarters(" ", " ")) == []
    assert verbs.chain(store, file, name="shelf") == version  # the same file gives the same digest


def test_a_box_of_which_the_classifier_is_not_sure_keeps_its_name(store: Store, file: Path) -> None:
    network = Network.open(store.add(tiny.seal_backbone))
    manifest = tiny.head_manifest(network.artifact, labels=LABELS)
    unsure = manifest.model_copy(update={"head": manifest.head and manifest.head.model_copy(update={"least_confidence": 1.0})})
    weight, bias = np.zeros((3, 3), np.float32), np.zeros(3, np.float32)
    store.publish("unsure", store.add(lambda folder: seal_head(folder, unsure, weight, bias, network)).digest)
    assert {box[0] for box in boxes_of(chained(store, file, "shelf", then="unsure"), quarters())} == {"red", "blue"}


def test_what_a_detector_finds_within_is_moved_into_the_photo(store: Store, file: Path) -> None:
    recognizer = chained(store, file, "within", then="quarters", labels=["red"])
    assert boxes_of(recognizer, quarters("R", "B")) == [("red", 0, 0, 16, 16), ("red", 16, 16, 16, 16)]
    whole = chained(store, file, "margins", then="quarters", labels=["blue"], margin=1.0)
    assert {*boxes_of(whole, quarters("R", "B"))} == {("blue", 32, 32, 32, 32), ("red", 0, 0, 32, 32)}  # of all that is there


def test_what_two_pieces_show_is_told_once(store: Store, file: Path) -> None:
    detector = chained(store, file, "twice", then="quarters", margin=1.0)
    assert len(boxes_of(detector, quarters())) == 2
    yellow = np.zeros((64, 64, 3), np.uint8)
    yellow[:32, :32] = (200, 190, 0)  # the detector finds something red there, and something green
    named = chained(store, file, "named")
    assert boxes_of(named, encode_png(yellow)) == [("rot", 0, 0, 32, 32)]
    for name, reader in (("texts", "lines"), ("plates-within", "cars")):
        chain = chained(store, file, name, then=reader, margin=1.0)
        (answer,) = chain.recognize([quarters()])
        assert isinstance(answer, Texts | Plates)
        assert answer.boxes == tuple(dict.fromkeys(answer.boxes))


def test_readers_and_chains_of_them_read_each_piece(store: Store, file: Path) -> None:
    read = chained(store, file, "spelled", then="letters").recognize([quarters("R", "B")])[0]
    assert isinstance(read, Texts)
    assert [(text.text, text.corners[0], text.corners[2]) for text in read.texts] == [("R", (0, 0), (32, 32)), ("B", (32, 32), (64, 64))]
    pixels = np.zeros((128, 128, 3), np.uint8)
    picture = np.asarray(Image.open(io.BytesIO(tiny_text.picture("RG"))))
    pixels[64:, 64:] = picture
    lines = chained(store, file, "lines-within", then="lines", threshold=0.05).recognize([encode_png(pixels)])[0]
    assert isinstance(lines, Texts)
    assert [text.text for text in lines.texts] == ["RG"]
    assert lines.texts[0].corners[0] == pytest.approx((64 + 8 - 9.6, 64 + 20 - 9.6), abs=1.5)
    plates = chained(store, file, "plates-within", then="cars", threshold=0.05).recognize([encode_png(pixels)])[0]
    assert isinstance(plates, Plates)
    assert [(plate.text, plate.box, plate.corners[2]) for plate in plates.plates] == [("RG", (72, 84, 48, 16), (120, 100))]


def test_chains_are_parts_of_chains(store: Store, file: Path) -> None:
    chained(store, file, "shelf", labels=["red", "blue"])
    again = chained(store, file, "again", detector="shelf", then="quarters", labels=["rot"], threshold=0.0)
    assert boxes_of(again, quarters()) == [("red", 0, 0, 16, 16), ("red", 16, 16, 16, 16)]
    deep = chained(store, file, "deep", then="again")
    assert [part.manifest.name for part in deep.parts.values()] == ["quarters", "again"]
    assert deep.artifact.manifest.files.keys() == {"answers.json", "probes/photo.png"}
    assert "probes/coffee.jpg" in chained(store, file, "proven-otherwise", probe=None).manifest.files
    chained(store, file, "deeper", then="deep")
    with pytest.raises(BadRequest, match="5 chains would be within one another; the limit is 4"):
        chained(store, file, "deepest", then="deeper")


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"treshold": 0.5}, BadRequest, r"shelf.toml: there is no key treshold; did you mean threshold\?"),
        ({"threshold": 2}, BadRequest, "shelf.toml: threshold is 2; it should be less than or equal to 1"),
        ({"margin": "wide"}, BadRequest, "shelf.toml: margin is 'wide'; it should be a valid number"),
        ({"labels": ["redd"]}, BadRequest, r"shelf.toml: labels: quarters has no label 'redd'; did you mean red\?"),
        ({"detector": "quarter"}, NotFound, r"no recognizer named 'quarter'; did you mean quarters\?"),
        ({"detector": "colours"}, BadRequest, "detector is colours, whose task is classify; it should find boxes"),
        ({"then": "places"}, BadRequest, "then is places, whose task is locate"),
        ({"then": "shelf"}, Conflict, "shelf is a part of the chain"),
        ({"probe": "none.jpg"}, BadRequest, "shelf.toml: probe is 'none.jpg', which cannot be read"),
        ({"probe": "shelf.toml"}, BadRequest, "shelf.toml: probe is 'shelf.toml': "),
    ],
)
def test_what_does_not_fit_is_refused_with_the_likely_cure(
    store: Store, file: Path, changed: dict[str, object], error: type[MingmuError], message: str
) -> None:
    store.publish("places", store.add(tiny_text.seal_locator).digest)
    names = store.names()
    with pytest.raises(error, match=message):
        chained(store, file, "shelf", **changed)
    assert store.names() == names


def test_a_file_that_is_no_toml_or_says_too_little_is_refused(store: Store, file: Path) -> None:
    for text, message in (
        ("detector = ", "is not TOML"),
        ('detector = "quarters"', "it does not say then"),
        ("#" * 70_000, "is longer than"),
    ):
        file.write_text(text)
        with pytest.raises(BadRequest, match=message):
            verbs.chain(store, file, name="shelf")


def test_names_that_mean_something_else_are_refused(store: Store, file: Path) -> None:
    for name, message in (("objects", "ships with Mingmu"), ("tiny", "is no chain")):
        with pytest.raises(Conflict, match=message):
            verbs.chain(store, file, name=name)


def test_a_chain_is_kept_with_all_beneath_it_and_carried_in_one_file(store: Store, file: Path, tmp_path: Path) -> None:
    chained(store, file, "shelf", labels=["red", "blue"])
    chained(store, file, "outer", detector="shelf", then="cars", threshold=0.0)
    for name in ("quarters", "colours", "shelf", "cars", "lines"):
        store.remove(name, force=True)
    garbage.collect(store, min_age=-1)
    outer = Library(store).open(store.resolve("outer").digest)
    verbs.export(store, "outer", tmp_path / "outer.mingmu")
    elsewhere = Store(tmp_path / "elsewhere")
    assert verbs.install(elsewhere, tmp_path / "outer.mingmu").digest == outer.digest
    verified = verbs.verify(elsewhere, "outer")
    assert verified.probes > 3
    assert {each.manifest.name for each in verified.stored.beneath} >= {"shelf", "cars", "quarters", "colours", "tiny-backbone"}
    store.remove("outer", force=True)
    assert garbage.collect(store, min_age=-1).artifacts > 5


def test_a_chain_in_which_something_answers_otherwise_is_not_served(store: Store, file: Path) -> None:
    recognizer = chained(store, file, "shelf", probe="photo.png")
    answers = recognizer.artifact.folder / "answers.json"
    answers.write_text(answers.read_text().replace("rot", "blau"))
    with pytest.raises(BadArtifact):
        Library(store).open(recognizer.digest)


def test_a_photo_gives_the_same_boxes_however_it_is_stored(store: Store, file: Path) -> None:
    recognizer = chained(store, file, "shelf")
    for orientation, turn in ((6, Image.Transpose.ROTATE_90), (3, Image.Transpose.ROTATE_180), (8, Image.Transpose.ROTATE_270)):
        stored, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = orientation
        Image.open(io.BytesIO(quarters())).transpose(turn).save(stored, "PNG", exif=exif)
        assert boxes_of(recognizer, stored.getvalue()) == boxes_of(recognizer, quarters())


def test_a_chain_of_boxes_is_measured_as_a_detector_is(store: Store, file: Path) -> None:
    chained(store, file, "shelf")
    recognizer = Library(store).open(store.resolve("shelf").digest)
    regions = (Region("rot", 0, 0, 32, 32), Region("blau", 32, 32, 32, 32))
    dataset = Dataset.of([Example(store.blobs.put(quarters()), ("rot", "blau"), "photo.png", regions=regions)])

    report = measured(store, recognizer, dataset, dataset, verbs.silent)
    assert json.loads(report.to_json())["measures"]["ap50"]["value"] == pytest.approx(1)


def test_what_has_no_network_of_its_own_is_neither_tuned_nor_compressed(store: Store, file: Path, tmp_path: Path) -> None:
    chained(store, file, "shelf")
    for work in (
        partial(verbs.tune, store, "shelf"),
        partial(verbs.untune, store, "shelf"),
        partial(verbs.compress, store, "shelf", tmp_path),
    ):
        with pytest.raises(
            Conflict, match=r"shelf is a chain without a network of its own.*quarters \(its detector\), colours \(its examiner\)"
        ):
            work()


def test_the_command_line_makes_shows_and_uses_one(store: Store, file: Path, run: Run, tmp_path: Path) -> None:
    made = run("chain", file, "--name", "shelf", "--json")
    assert (made.code, made.json["name"], made.json["version"]) == (0, "shelf", 1)
    shown = run("show", "shelf").out
    assert f"detector\tquarters, {store.resolve('quarters').digest}" in shown
    assert "looks at\tred, blue with a score of at least 0.4" in shown
    said = run("recognize", file.parent / "photo.png", "--recognizer", "shelf", "--draw", tmp_path / "drawn.png")
    assert {line.split("\t")[1] for line in said.out.splitlines()} == {"rot", "blau"}
    assert (tmp_path / "drawn.png").is_file()
    assert run("verify", "shelf").code == 0
    wrong = run("chain", file, "--name", "tiny", "--json")
    assert (wrong.code, wrong.json["error"]["kind"]) == (1, "conflict")


@pytest.fixture
def client(data_dir: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(data_dir=data_dir, job_workers=0))) as client:
        yield client


def test_the_service_says_what_the_command_line_says_and_how_long_each_part_took(store: Store, file: Path, client: TestClient) -> None:
    chained(store, file, "shelf", labels=["red", "blue"])
    for name, recognizer in (
        ("shelf", Library(store).open(store.resolve("shelf").digest)),
        ("outer", chained(store, file, "outer", detector="shelf", then="cars", threshold=0.0)),
    ):
        answered = client.post(f"/v1/recognizers/{name}/recognize", content=quarters(), headers={"content-type": "image/png"})
        assert answered.status_code == 200, answered.text
        (answer,) = recognizer.recognize([quarters()])
        assert not isinstance(answer, MingmuError)
        assert answered.json()["answers"] == [json.loads(json.dumps(tagged(answer)))]
        assert list(answered.json()["timing_ms"]) == ["decode", "queue", "network", "detector", "examiner", "total"]
    assert 'mingmu_stage_seconds_count{recognizer="shelf",stage="examiner"} 1.0' in client.get("/metrics").text


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What networks were asked for, and of how many frames together, one after another; each takes a while."""
    found: list[tuple[str, int]] = []
    run = OnnxRuntime.__call__

    def noting(self: OnnxRuntime, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
        found.append((outputs[0], len(pixels)))
        time.sleep(0.02)
        return run(self, pixels, outputs, alone=alone)

    monkeypatch.setattr(OnnxRuntime, "__call__", noting)
    return found


def test_photos_that_are_read_together_share_batches_at_every_stage(store: Store, file: Path, batches: list[tuple[str, int]]) -> None:
    recognizer = chained(store, file, "shelf")
    photos = [quarters(), quarters("R", " "), quarters(" ", " "), quarters("G", "R", side=80)]
    frames = [recognizer.frame(photo) for photo in photos]
    batches.clear()
    together = recognizer.readings(frames)
    assert batches == [("boxes", 4), ("features", 5)]
    alone = [recognizer.read(frame) for frame in frames]
    assert [*map(recognizer.interpret, together)] == [*map(recognizer.interpret, alone)]


def test_pieces_of_all_photos_of_a_request_share_batches(
    store: Store, file: Path, client: TestClient, batches: list[tuple[str, int]]
) -> None:
    chained(store, file, "shelf")
    client.post("/v1/recognizers/shelf/recognize", content=quarters(), headers={"content-type": "image/png"})  # it is loaded
    batches.clear()
    files = [("image", (f"{at}.png", quarters(), "image/png")) for at in range(8)]
    answers = client.post("/v1/recognizers/shelf/recognize", files=files).json()["answers"]
    assert [len(answer["boxes"]) for answer in answers] == [2] * 8
    pieces = [count for what, count in batches if what == "features"]
    assert sum(pieces) == 2 * 8
    assert max(pieces) > 2  # more than one photo has


def test_streams_and_the_open_inference_protocol_take_chains(store: Store, file: Path, client: TestClient) -> None:
    chained(store, file, "shelf")
    with client.websocket_connect("/v1/recognizers/shelf/stream") as socket:
        socket.send_bytes(quarters())
        assert {box["label"] for box in socket.receive_json()["boxes"]} == {"rot", "blau"}
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[0, :4, :4, 0] = 255
    tensor = {"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": pixels.ravel().tolist()}
    inferred = client.post("/v2/models/shelf/infer", json={"inputs": [tensor]})
    assert inferred.status_code == 200, inferred.text
    assert "rot" in inferred.text


def test_landmarks_of_what_is_found_within_are_moved_too(store: Store, file: Path) -> None:
    finds = store.add(tiny_text.seal_detector)
    store.publish("finds", finds.digest)
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[64:, 64:] = np.asarray(Image.open(io.BytesIO(tiny_text.picture("RG"))))
    (answer,) = chained(store, file, "corners", then="finds", threshold=0.05).recognize([encode_png(pixels)])
    assert isinstance(answer, Boxes)
    assert answer.boxes[0].landmarks[0] == (72, 84)


def test_a_chain_that_a_variant_of_a_part_changes_runs_on_what_was_sealed(store: Store, file: Path) -> None:
    sealed = chained(store, file, "shelf")
    quarters_here = store.artifact(store.resolve("quarters").digest)

    def variant(folder: Path, moved: float) -> None:
        seal_network(
            folder, quarters_here.manifest.model_copy(update={"parent": quarters_here.digest, "files": {}}), tiny.detector_graph(moved)
        )

    for moved, kept in ((0.05, False), (0.5, True)):
        chosen = store.add(partial(variant, moved=moved)).digest
        machine = str(Tunings(store.data_dir).machine)
        Tunings(store.data_dir).put(
            Tuning(network=quarters_here.digest, chosen=chosen, what="moved", machine=machine, trials=(), data="", method="", created="")
        )
        library = Library(store)
        recognizer = library.open(sealed.digest)
        assert (recognizer.network.artifact.digest == quarters_here.digest) is kept
        assert (sealed.digest in library.refused) is kept


def test_photos_that_a_part_learned_from_do_not_measure_the_chain(store: Store, file: Path) -> None:
    recognizer = chained(store, file, "shelf")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    taught, other = (
        Example(store.blobs.put(image), ("rot",), name) for image, name in ((quarters(), "1.png"), (encode_png(noise), "2.png"))
    )
    lessons = Dataset.of([taught])
    store.datasets.add("lessons", lessons.digest, lessons.to_lines())
    store.records.add_lineage(store.resolve("colours").digest, lessons.digest, {})
    assert unseen(store, Dataset.of([taught, other]), recognizer).examples == (other,)
