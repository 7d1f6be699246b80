from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from mingmu.core.errors import BadModel, MissingExtra
from mingmu.zoo import efficientnet_lite, imagenet, torchfile
from mingmu.zoo.catalog import entry
from mingmu.zoo.efficientnet_lite import LITE0, LITE2
from mingmu.zoo.pull import pull

VARIANTS = {"general": LITE0, "general-large": LITE2}
REFERENCE = Path(__file__).with_name("efficientnet_lite0.npz")
CATS = {"tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat", "lynx"}

both = pytest.mark.parametrize("name", VARIANTS)


@cache
def weights(name: str) -> dict[str, NDArray[Any]]:
    try:
        path = pull(entry(name), Path("unused: the weights come with a package"))
    except MissingExtra as error:
        pytest.skip(str(error))
    return torchfile.read(path.read_bytes())


@cache
def backbone(name: str) -> bytes:
    return bytes(efficientnet_lite.backbone(weights(name), VARIANTS[name]).SerializeToString())


@cache
def session(name: str) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(backbone(name), providers=["CPUExecutionProvider"])


def run(name: str, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    names = [output.name for output in session(name).get_outputs()]
    return dict(zip(names, session(name).run(names, {"pixels": pixels}), strict=True))


def scores(name: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    weight, bias = efficientnet_lite.head(weights(name))
    logits = run(name, pixels)["features"] @ weight + bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def photo(name: str, subject: str) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(getattr(data, subject)()).save(file, "PNG")
    return efficientnet_lite.pixel_spec(VARIANTS[name]).frame(file.getvalue()).pixels[None]


@both
def test_the_graph_is_valid_onnx(name: str) -> None:
    onnx.checker.check_model(onnx.load_from_string(backbone(name)), full_check=True)


@both
def test_the_same_weights_give_the_same_bytes(name: str) -> None:
    assert efficientnet_lite.backbone(dict(reversed(weights(name).items())), VARIANTS[name]).SerializeToString() == backbone(name)


@pytest.mark.parametrize(
    ("name", "size", "cells", "deep", "middle"),
    [
        ("general", (224, 224), (7, 7), 320, 112),
        ("general", (288, 288), (9, 9), 320, 112),
        ("general", (97, 161), (4, 6), 320, 112),
        ("general-large", (260, 260), (9, 9), 352, 120),
    ],
)
def test_outputs_have_their_shapes_at_any_size(name: str, size: tuple[int, int], cells: tuple[int, int], deep: int, middle: int) -> None:
    found = run(name, np.zeros((2, *size, 3), np.uint8))
    shapes = {output: values.shape for output, values in found.items()}
    assert shapes == {"features": (2, 1280), "map": (2, 1280, *cells), "features_2": (2, deep), "features_3": (2, middle)}
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}


@both
def test_the_features_are_the_mean_of_the_map(name: str) -> None:
    found = run(name, photo(name, "coffee"))
    np.testing.assert_allclose(found["features"], found["map"].mean(axis=(2, 3)), atol=1e-5)


@both
def test_a_cup_of_coffee_is_an_espresso(name: str) -> None:
    first = scores(name, photo(name, "coffee"))[0].argmax()
    assert imagenet.labels()[first] == "espresso"


@both
def test_chelsea_is_a_cat(name: str) -> None:
    first = scores(name, photo(name, "chelsea"))[0].argmax()
    assert imagenet.labels()[first] in CATS


def test_features_and_scores_are_those_that_torch_once_gave() -> None:
    with np.load(REFERENCE) as reference:
        np.testing.assert_allclose(run("general", reference["pixels"])["features"][0, :32], reference["features"], atol=1e-4)
        np.testing.assert_allclose(scores("general", reference["pixels"])[0, reference["top"]], reference["scores"], atol=1e-5)


@both
def test_features_and_scores_are_those_of_torch(name: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed: only the stored reference is compared")
    from tests.zoo import torch_reference

    pixels = np.concatenate([photo(name, "coffee"), photo(name, "chelsea"), torch_reference.drawing(VARIANTS[name].size)])
    expected_features, expected_scores = torch_reference.run(name, weights(name), pixels)
    assert np.abs(run(name, pixels)["features"] - expected_features).max() < 1e-4
    assert np.abs(scores(name, pixels) - expected_scores).max() < 1e-5


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(BadModel, match=r"_blocks.3._depthwise_conv.weight is float32 \[144, 1, 5, 5\], expected float32 \[144, 1, 3, 3\]"):
        efficientnet_lite.backbone(weights("general"), LITE2)
    with pytest.raises(BadModel, match=r"_fc\.weight is missing"):
        efficientnet_lite.head({})


def test_the_pixels_are_those_the_weights_were_measured_on() -> None:
    assert efficientnet_lite.pixel_spec(LITE0).size == (224, 224)
    assert efficientnet_lite.pixel_spec(LITE0).box(512, 256) == (144, 16, 368, 240)
    assert efficientnet_lite.pixel_spec(LITE2).size == (260, 260)
