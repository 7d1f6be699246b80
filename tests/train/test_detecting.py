"""Detectors from photos with boxes to what is served: trained, sealed, measured, published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mingmu import verbs
from mingmu.core.answers import Boxes
from mingmu.core.errors import BadRequest, Conflict
from mingmu.core.pixels import encode_png
from mingmu.core.runtime import BOXES, SCORES, OnnxRuntime
from mingmu.evaluate.report import BoxReport
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.train.export import detector
from mingmu.train.feed import Batch, Feed, Photos
from mingmu.train.fit import Diverged, fit
from mingmu.train.nets import beginning
from mingmu.train.nets.detectors import build_detector
from mingmu.train.nets.rcnn import Rcnn
from mingmu.train.nets.yolox import VARIANTS, Yolox
from mingmu.train.objective import Detection, Portion
from mingmu.train.recipe import NetTable, Recipe
from mingmu.zoo.catalog import Entry

LABELS = ("blue", "red")
RECIPE = Recipe.model_validate(
    {
        "net": {"name": "yolox_nano", "weights": "none", "size": 64},
        "augment": {"flip": 0.5, "zoom": 1.2, "mosaic": 0.3},
        "optimiser": {"rate": 3e-3},
        "batch": 8,
        "precision": "fp32",
        "schedule": {"epochs": 2},
    }
)


def boxed_photos(folder: Path, count: int, seed: int = 0) -> Path:
    """Noise with a red or a blue rectangle, or with nothing, as COCO has it."""
    random = np.random.default_rng(seed)
    images, annotations = [], []
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = random.integers(0, 90, (60, 80, 3), dtype=np.uint8)
        images.append({"id": number, "file_name": f"{number}.png", "width": 80, "height": 60})
        if number % 10:
            left, top, kind = int(random.integers(0, 45)), int(random.integers(0, 25)), number % 2
            pixels[top : top + 30, left : left + 32] = ((40, 40, 220), (220, 40, 40))[kind]
            annotations.append({"image_id": number, "category_id": kind, "bbox": [left, top, 32, 30]})
        (folder / f"{number}.png").write_bytes(encode_png(pixels))
    categories = [{"id": kind, "name": name} for kind, name in enumerate(LABELS)]
    (folder / "boxes.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": annotations}))
    return folder


def frames(count: int) -> Photos:
    """Noise, with a box in the same place of each."""
    truth = np.tile(np.array([[[0, 8, 8, 40, 40]]], np.float32), (count, 1, 1))
    return Photos(np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8), truth)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, verbs.Trained]:
    folder = tmp_path_factory.mktemp("detecting")
    store = Store(folder / "data")
    return store, verbs.train(store, boxed_photos(folder / "photos", 60), name="shapes", recipe=RECIPE)


def test_what_was_trained_is_published_proven_and_answers_with_boxes(trained: tuple[Store, verbs.Trained]) -> None:
    store, result = trained
    recognizer = Library(store).open(store.resolve("shapes").digest)
    recognizer.prove()
    assert (recognizer.manifest.task, recognizer.manifest.labels) == ("detect", LABELS)
    answer = recognizer.recognize([encode_png(np.zeros((60, 80, 3), np.uint8))])[0]
    assert isinstance(answer, Boxes)
    assert len(result.curve) == 2
    assert all(epoch.held_out_accuracy is not None for epoch in result.curve)


def test_it_is_measured_by_its_boxes_on_photos_it_never_saw(trained: tuple[Store, verbs.Trained]) -> None:
    store, result = trained
    assert isinstance(result.report, BoxReport)
    assert result.report.measures.boxes > 0
    assert "AP50" in verbs.page_of(store, result.report)


def test_it_is_measured_again_on_others_and_photos_of_nothing_count(trained: tuple[Store, verbs.Trained], tmp_path: Path) -> None:
    store, _ = trained
    measures = verbs.evaluate(store, "shapes", boxed_photos(tmp_path / "more", 20, seed=5)).measures
    assert (measures.examples, measures.left_out.learned) == (20, 0)


def test_a_detector_goes_on_from_another_at_any_size(tmp_path: Path) -> None:
    before = Yolox(VARIANTS["yolox_nano"], 1, 64)
    save_file(before.state_dict(), tmp_path / "before.safetensors")
    table = NetTable(name="yolox_nano", weights=str(tmp_path / "before.safetensors"))
    after, origin = build_detector(table, 96, 1, never)
    assert after.size == 96
    assert origin.source == "fine-tuned from before.safetensors"
    assert all(torch.equal(one, other) for one, other in zip(before.parameters(), after.parameters(), strict=True))


def never(entry: Entry) -> Path:
    raise AssertionError(f"nothing is to be fetched, and {entry.name} was")


def test_photos_without_boxes_cannot_teach_a_detector(tmp_path: Path) -> None:
    photos = boxed_photos(tmp_path / "photos", 12)
    document = json.loads((photos / "boxes.json").read_text())
    (photos / "boxes.json").write_text(json.dumps(document | {"annotations": []}))
    with pytest.raises(BadRequest, match="no readable photo has a box"):
        verbs.train(Store(tmp_path / "data"), photos, name="shapes", recipe=RECIPE)


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"net": {"name": "yolox_nano", "size": 100}}, "a multiple of 32"),
        ({"net": {"name": "yolox_nano", "size": 64}, "augment": {"rotation": 5}}, "augment.rotation is for classifiers"),
        ({"net": {"name": "cnn"}, "augment": {"mosaic": 0.5}}, "augment.mosaic is for detectors"),
        ({"net": {"name": "yolox_nano", "size": 64, "weights": "mine.pth"}}, "there is no file mine.pth"),
        ({"net": {"name": "fasterrcnn_mobilenet_v3_large_fpn", "size": 64, "weights": "mine.pth"}}, "from published weights or from none"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(tmp_path: Path, tables: dict[str, object], complaint: str) -> None:
    photos = boxed_photos(tmp_path / "photos", 24)
    with pytest.raises(BadRequest, match=complaint):
        verbs.train(Store(tmp_path / "data"), photos, name="shapes", recipe=Recipe.model_validate(tables))


def test_a_detector_that_was_cut_short_goes_on_and_ends_as_without_a_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "__kwdefaults__", {**(fit.__kwdefaults__ or {}), "save_every": 0.0})
    store, photos, steps = Store(tmp_path / "data"), boxed_photos(tmp_path / "photos", 40), []

    def stop(step: str, _share: float) -> None:
        if step.startswith("epoch 1 "):
            steps.append(step)
            raise KeyboardInterrupt

    whole = verbs.train(store, photos, name="shapes", recipe=RECIPE)
    with pytest.raises(KeyboardInterrupt):
        verbs.train(store, photos, name="shapes", recipe=RECIPE, progress=stop)
    assert "AP50 on held-out photos" in steps[0]
    with pytest.raises(Conflict, match="go on with --resume"):
        verbs.train(store, photos, name="shapes", recipe=RECIPE)
    assert verbs.train(store, photos, name="shapes", recipe=RECIPE, resume=True).version.digest == whole.version.digest


def test_a_time_that_leaves_a_detector_nothing_to_learn_in_is_refused_before_photos_are_parted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("mingmu.verbs.training.lesson_of")
    with pytest.raises(BadRequest, match="1 seconds are too few"):
        verbs.train(Store(tmp_path / "data"), boxed_photos(tmp_path / "photos", 20), name="shapes", recipe=RECIPE, seconds=1)


def test_a_detector_whose_weights_are_no_longer_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, photos, update = Yolox(VARIANTS["yolox_nano"], 1, 64), frames(8), torch.optim.AdamW.step

    def spoil(optimiser: torch.optim.AdamW) -> None:
        update(optimiser)
        with torch.no_grad():
            next(net.parameters()).fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", spoil)
    with pytest.raises(Diverged, match="the weights are no longer numbers after epoch 1"):
        fit(net, Feed(photos, 8), photos, RECIPE, tmp_path, size=64, objective=Detection())


@pytest.mark.parametrize("share", [slice(0, 3), slice(3, 5)])
def test_a_share_of_a_batch_is_changed_as_it_is_in_the_whole(share: slice) -> None:
    photos = frames(5)
    batch = Batch(torch.from_numpy(photos.pixels), torch.from_numpy(photos.truth))

    def prepared(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return Detection().prepared(net, Portion(batch, rows, 1.0, 64, RECIPE, 0.0, torch.Generator().manual_seed(3)))

    net, rows = Yolox(VARIANTS["yolox_nano"], 1, 64), torch.arange(5)
    for some, all_ in zip(prepared(rows[share]), prepared(rows), strict=True):
        assert torch.equal(some, all_[share])


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (NetTable(name="yolox_nano"), "yolox_nano starts from the published weights of objects"),
        (NetTable(name="yolox_nano", weights="none"), "yolox_nano starts from nothing"),
        (NetTable(name="fasterrcnn_resnet50_fpn_v2"), "fasterrcnn_resnet50_fpn_v2 starts from nothing"),
    ],
)
def test_what_a_detector_starts_from_is_said(net: NetTable, said: str) -> None:
    assert beginning(net) == said


def test_a_frozen_body_stays_as_it_is(tmp_path: Path) -> None:
    photos = frames(8)
    net = Yolox(VARIANTS["yolox_nano"], 1, 64)
    net.learned = True
    recipe = RECIPE.model_copy(update={"net": RECIPE.net.model_copy(update={"freeze": True})})
    net.acquaint(torch.zeros(2, 3, 64, 64))
    first = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.acquaint = lambda pixels: None  # type: ignore[method-assign]
    fit(net, Feed(photos, 4), photos[:0], recipe, tmp_path, size=64, objective=Detection())
    moved = {name.partition(".")[0] for name, tensor in net.state_dict().items() if not torch.equal(tensor, first[name])}
    assert moved == {"heads"}


@pytest.mark.real
@pytest.mark.timeout(600)  # most of which torch takes to export it
def test_faster_rcnn_learns_and_its_graph_says_the_same_for_any_number_of_photos() -> None:
    torch.manual_seed(0)
    net = Rcnn("fasterrcnn_mobilenet_v3_large_fpn", 2, 192)  # in much smaller pictures most regions are the same
    pixels, targets = torch.rand(2, 3, 192, 192) * 255, torch.full((2, 2, 5), -1.0)
    targets[0, 0] = torch.tensor([1, 24.0, 24, 120, 144])
    net.acquaint(pixels)
    loss = net.loss(pixels, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in (*net.body()[:1], *net.tip()))
    frames = np.random.default_rng(0).integers(0, 256, (3, 192, 192, 3), dtype=np.uint8)
    exported = detector(net, frames)
    found = OnnxRuntime(exported.graph)(frames, (BOXES, SCORES))
    assert found[BOXES].shape[0] == 3
    assert found[SCORES].shape[1:] == (found[BOXES].shape[1], 2)
    assert exported.difference < 1e-3
