"""Each network by its name: it learns, it is sealed, it proves itself, and it answers as the service would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from mingmu.core.errors import BadModel, BadRequest, NotFound
from mingmu.core.manifest import Manifest
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.core.sealing import seal_network
from mingmu.registry.store import Store
from mingmu.serve.http import create_app
from mingmu.settings import Settings
from mingmu.train.export import backbone
from mingmu.train.feed import Feed
from mingmu.train.fit import fit
from mingmu.train.nets import NETS, build, net_named
from mingmu.train.nets.classifier import Classifier
from mingmu.train.recipe import NetTable
from mingmu.verbs.backbones import seal_in_two
from mingmu.zoo import torchfile
from mingmu.zoo.catalog import entry
from mingmu.zoo.pull import pull
from tests import tiny
from tests.train import made
from tests.zoo import torch_reference

LEAST = {"alexnet": 64, "inception_v3": 75}  # pixels a side, below which nothing is left of a picture
NARROW = 64  # outputs of a fully connected layer that has 4,096 in AlexNet and VGG, half a gigabyte of weights
QUICK = ("cnn", "resnet18", "mobilenet_v3_small", "efficientnet_lite0", "timm:resnet10t")
# One of each family is trained to the end in the ordinary run, the others where there is time: pytest -m real
TRAINED = tuple(name for name, net in NETS.items() if net.head == "linear" and net.task == "classify")  # others: test_classical.py
SLOW = tuple(name for name in TRAINED if name not in QUICK)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.real) for name in SLOW)])
def test_it_learns_is_sealed_and_proven_and_the_service_answers_with_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mingmu.train.checkpoint.save", lambda *_: None)  # has tests of its own; here it would be most of the time
    size = LEAST.get(name, 32)
    rate = 1e-4 if name.startswith("vgg") else 1e-3
    recipe = made.recipe(net={"name": name, "size": size}, optimiser={"rate": rate}, schedule={"epochs": 6 if name in QUICK else 16})
    net, origin = build(recipe.net, size, 2)
    narrow(net)
    photos = made.photos(16, size)
    curve = fit(net, Feed(photos, 8), photos, recipe, tmp_path / "run", size=size)
    assert np.mean([epoch.loss for epoch in curve[-3:]]) < 0.7 * curve[0].loss  # of several, for dropout leaves each to chance
    exported = backbone(net, photos.pixels[:2])
    assert exported.difference < 1e-4
    assert exported.last is not None
    manifest = Manifest(
        kind="model", name="made", task="classify", pixels=PixelSpec(size=(size, size)), labels=("red", "blue"), origin=origin
    )
    store = Store(tmp_path / "data")
    digest = seal_in_two(store, manifest, exported, exported.last, recipe.net)
    store.publish("made", digest)
    with TestClient(create_app(Settings(data_dir=store.data_dir, job_workers=0))) as client:  # it serves nothing that is not proven
        answer = client.post("/v1/recognizers/made/recognize", content=encode_png(photos.pixels[0]), headers={"Content-Type": "image/png"})
    assert answer.status_code == 200, answer.text
    assert {one["label"] for one in answer.json()["answers"][0]["labels"]} == {"red", "blue"}
    assert digest in answer.text


def narrow(net: Classifier) -> None:
    """Make fully connected layers of thousands of outputs small, and the head likewise."""
    width = 0
    for key, layer in net.neck.named_children():
        if isinstance(layer, torch.nn.Linear) and layer.out_features == 4096:
            setattr(net.neck, key, torch.nn.Linear(width or layer.in_features, NARROW))
            width = NARROW
    if width:
        net.head = torch.nn.Linear(width, net.head.out_features)


@pytest.mark.parametrize("name", TRAINED)
def test_every_name_builds_a_network_whose_features_its_head_reads(name: str) -> None:
    size = LEAST.get(name, 32)
    with torch.device("meta"):  # shapes alone: the largest would take half a gigabyte
        net, _ = build(NetTable(name=name, weights="none"), size, 3)
        pixels = torch.zeros(2, 3, size, size, dtype=torch.uint8)
        features = net.eval().features(pixels)
        assert features.shape == (2, net.head.in_features)
        assert net(pixels).shape == (2, 3)
        if net.pools:
            assert net.map(pixels).shape[:2] == features.shape


@pytest.mark.parametrize("norm", ["instance", "group", "layer"])
@pytest.mark.parametrize("name", ["cnn", "resnet18", "timm:resnet10t"])
def test_another_normalisation_takes_the_place_of_all_batch_normalisation(name: str, norm: str) -> None:
    net, _ = build(NetTable.model_validate({"name": name, "norm": norm}), 64, 2)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in net.modules())
    pixels = torch.from_numpy(made.photos(3, 64).pixels).permute(0, 3, 1, 2)
    together = net.train()(pixels)
    if name != "cnn":  # it drops features by chance while it learns
        assert torch.allclose(together[:1], net(pixels[:1]), atol=1e-4)  # a picture's neighbours no longer matter


def test_a_network_without_batch_normalisation_says_so() -> None:
    with pytest.raises(BadRequest, match="vit_tiny has no batch normalisation"):
        build(NetTable(name="vit_tiny", norm="group"), 32, 2)


def test_a_name_that_is_not_known_names_one_that_is_near() -> None:
    with pytest.raises(NotFound, match="did you mean resnet18"):
        net_named("resnet-18")
    with pytest.raises(NotFound, match="timm has no network"):
        build(NetTable(name="timm:resnet10"), 32, 2)


@pytest.mark.parametrize(("name", "published"), [("efficientnet_lite0", "general")])
def test_the_network_with_published_weights_gives_the_published_features(name: str, published: str, tmp_path: Path) -> None:
    net, origin = build(NetTable(name=name), 64, 2)
    pixels = torch_reference.drawing(64)
    expected, _ = torch_reference.run(published, torchfile.read(pull(entry(published), tmp_path).read_bytes()), pixels)
    with torch.inference_mode():
        found = net.eval().features(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - expected).max() < 1e-4
    assert origin.licence == "Apache-2.0"
    assert "ImageNet" in origin.provenance


def test_weights_come_from_a_file_in_the_librarys_own_names(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torchvision.models import mobilenet_v3_small

    source = mobilenet_v3_small(weights=None)
    save_file(source.state_dict(), tmp_path / "mine.safetensors")
    torch.save(source.state_dict(), tmp_path / "mine.pth")
    for file in ("mine.safetensors", "mine.pth"):
        net, origin = build(NetTable(name="mobilenet_v3_small", weights=str(tmp_path / file)), 32, 2)
        assert torch.equal(net.trunk.state_dict()["0.0.weight"], source.features.state_dict()["0.0.weight"])
        assert origin.source == f"fine-tuned from {file}"
    with pytest.raises(BadModel, match="not of resnet18"):
        build(NetTable(name="resnet18", weights=str(tmp_path / "mine.pth")), 32, 2)


def test_a_file_that_holds_code_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": print}, tmp_path / "bad.pth")
    with pytest.raises(BadModel, match="no weights that can be read"):
        build(NetTable(name="resnet18", weights=str(tmp_path / "bad.pth")), 32, 2)
    with pytest.raises(BadRequest, match="there is no file"):
        build(NetTable(name="resnet18", weights=str(tmp_path / "none.pth")), 32, 2)


def test_a_backbone_gives_features_that_are_the_mean_of_its_map(tmp_path: Path) -> None:
    net, _ = build(NetTable(name="cnn"), 32, 2)
    manifest = Manifest(kind="backbone", name="made", task="embed", pixels=PixelSpec(size=(32, 32)), origin=tiny.ORIGIN)
    network = Network.open(seal_network(tmp_path / "sealed", manifest, backbone(net, made.photos(2, 32).pixels).graph))
    network.prove()
    found = network.runtime(made.photos(3, 32).pixels, ["features", "map"])
    assert np.allclose(found["map"].mean(axis=(2, 3)), found["features"], atol=1e-5)
