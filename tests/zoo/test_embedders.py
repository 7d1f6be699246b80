from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mingmu.core.errors import BadModel
from mingmu.core.network import Network
from mingmu.core.pixels import PixelSpec
from mingmu.core.sealing import seal_network
from mingmu.zoo.adopt import Normalisation, noise
from mingmu.zoo.embedders import adopt_embedder
from tests.tiny import ORIGIN
from tests.tiny_faces import embedding


def adopted(model: bytes, width: int = 64, height: int = 64) -> Network:
    pixels = PixelSpec(size=(width, height), fit="squash")
    graph, manifest = adopt_embedder(model, name="own", normalisation=Normalisation(mean=(0.35,)), pixels=pixels, origin=ORIGIN)
    return Network.open(seal_network(Path("own"), manifest, graph))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_adopted_gives_vectors_of_length_one() -> None:
    network = adopted(embedding())
    network.prove()
    vectors = network.runtime(noise(network.artifact.manifest.pixels), ["features"])["features"]
    assert vectors.shape == (4, 16)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


@pytest.mark.parametrize(
    ("model", "size", "complaint"),
    [
        (embedding(numbers=8), (64, 64), "8 numbers; a vector of a face has at least 16"),
        (embedding(outputs=2), (64, 64), r"2 outputs \(y, z\); an embedding has one"),
        (embedding(size=(48, 64)), (48, 64), "48x64 pixels; faces are aligned to squares"),
        (embedding(), (112, 112), "64x64 pixels, not 112x112"),
    ],
)
def test_what_makes_no_vectors_of_faces_is_refused(model: bytes, size: tuple[int, int], complaint: str) -> None:
    with pytest.raises(BadModel, match=complaint):
        adopted(model, *size)
