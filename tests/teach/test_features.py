from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mingmu.core.errors import BadImage, NotFound
from mingmu.core.network import Network
from mingmu.core.runtime import Outputs, Pixels
from mingmu.teach.cache import FILE, FeatureCache
from mingmu.teach.features import Extractor
from tests import tiny
from tests.teach.photos import Memory, colours, extractor


class Counting:
    """A runtime that knows how many images it has seen."""

    def __init__(self, network: Network) -> None:
        self._runtime = network.runtime
        self.outputs = network.runtime.outputs
        self.name = network.runtime.name
        self.seen = 0

    def __call__(self, pixels: Pixels, outputs: Sequence[str], *, alone: bool = False) -> Outputs:
        self.seen += len(pixels)
        return self._runtime(pixels, outputs)


def counting(extract: Extractor) -> tuple[Extractor, Counting]:
    runtime = Counting(extract.network)
    return replace(extract, network=replace(extract.network, runtime=runtime)), runtime


def test_features_are_what_the_network_gives_when_it_serves(tmp_path: Path) -> None:
    blobs = Memory()
    images = [example.image for example in colours(blobs, 7)]
    extract = extractor(tmp_path, blobs)
    found = extract(tiny.PIXELS, images).values["features"]
    alone = [extract.network.runtime(tiny.PIXELS.frame(blobs.get(image)).pixels[None], ["features"])["features"][0] for image in images]
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_ten_more_photos_cost_ten_photos(tmp_path: Path) -> None:
    blobs = Memory()
    images = [example.image for example in colours(blobs, 10)]
    extract, runtime = counting(extractor(tmp_path, blobs))
    extract(tiny.PIXELS, images[:20])
    again = extract(tiny.PIXELS, images)
    assert runtime.seen == 30
    np.testing.assert_array_equal(again.values["features"], extract(tiny.PIXELS, images).values["features"])
    assert runtime.seen == 30


def test_another_view_is_computed_anew(tmp_path: Path) -> None:
    blobs = Memory()
    images = [example.image for example in colours(blobs, 2)]
    extract, runtime = counting(extractor(tmp_path, blobs))
    extract(tiny.PIXELS, images)
    extract(tiny.PIXELS.model_copy(update={"size": (12, 12)}), images)
    assert runtime.seen == 2 * len(images)


def test_an_unreadable_image_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    blobs = Memory()
    images = [example.image for example in colours(blobs, 3)]
    broken, absent = blobs.put(b"not a picture"), "0" * 64
    found = extractor(tmp_path, blobs)(tiny.PIXELS, [broken, *images, absent])
    assert isinstance(found.refused[broken], BadImage)
    assert isinstance(found.refused[absent], NotFound)
    assert np.isnan(found.values["features"][[0, -1]]).all()
    assert not np.isnan(found.values["features"][1:-1]).any()


def test_a_damaged_entry_is_computed_again(tmp_path: Path) -> None:
    blobs = Memory()
    images = [example.image for example in colours(blobs, 2)]
    extract, runtime = counting(extractor(tmp_path, blobs))
    before = extract(tiny.PIXELS, images).values["features"]
    with sqlite3.connect(tmp_path / "cache" / FILE) as connection:
        connection.execute("update features set vector = zeroblob(12) where image = ?", (images[0],))
    connection.close()
    np.testing.assert_array_equal(extract(tiny.PIXELS, images).values["features"], before)
    assert runtime.seen == len(images) + 1


def test_a_cache_that_is_no_database_starts_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"rubbish" * 1000)
    cache = FeatureCache(tmp_path)
    cache.put("view", {"image": {"features": np.ones(3, np.float32)}})
    np.testing.assert_array_equal(cache.get("view", "features", ["image", "other"])["image"], np.ones(3))


def test_stopped_by_its_watcher_it_keeps_what_it_has(tmp_path: Path) -> None:
    blobs = Memory()
    images = [example.image for example in colours(blobs, 70)]
    extract, runtime = counting(extractor(tmp_path, blobs))

    def stop(share: float) -> None:
        if share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(tiny.PIXELS, images, stop)
    seen = runtime.seen
    extract(tiny.PIXELS, images)
    assert runtime.seen < seen + len(images)
