from __future__ import annotations

import tracemalloc

import numpy as np

from mingmu.data.neighbours import neighbours


def test_the_nearest_others_are_those_that_comparing_all_gives() -> None:
    features = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -2)
    found = neighbours(features, 5)
    assert (found.places == np.argsort(-alike, axis=1)[:, :5]).all()
    np.testing.assert_allclose(found.cosines, np.sort(alike, axis=1)[:, :-6:-1], atol=1e-5)


def test_what_has_no_features_is_nobodys_neighbour() -> None:
    features = np.eye(4, dtype=np.float32)
    features[1], features[2] = np.nan, 0
    assert neighbours(features, 3).cosines.tolist() == [[0, -1, -1], [-1, -1, -1], [-1, -1, -1], [0, -1, -1]]


def test_few_pictures_have_few_neighbours() -> None:
    assert neighbours(np.ones((3, 2), np.float32)).places.shape == (3, 2)
    assert neighbours(np.ones((1, 2), np.float32)).places.shape == (1, 0)
    assert neighbours(np.zeros((0, 0), np.float32)).places.shape == (0, 0)


def test_memory_does_not_grow_with_the_square_of_the_count() -> None:
    features = np.random.default_rng(0).normal(size=(7_000, 4)).astype(np.float32)
    tracemalloc.start()
    neighbours(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6  # all cosines and their order at once would be 590 MB
