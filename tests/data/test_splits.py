from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mingmu.core.errors import BadRequest
from mingmu.data.dataset import Dataset, Example, Split
from mingmu.data.splits import allocate, folds, leaks, split

Rows = list[tuple[tuple[str, ...], int, Split | None]]  # labels, group, given split
label_sets = st.lists(st.sampled_from("abc"), max_size=2, unique=True).map(tuple)
given_splits = st.sampled_from([None, None, "train", "val", "test"])
rows = st.lists(st.tuples(label_sets, st.integers(0, 12), given_splits), max_size=40)


def dataset_of(rows: Sequence[tuple[tuple[str, ...], int, Split | None]]) -> tuple[Dataset, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    dataset = Dataset.of(Example(f"{at:03}", labels, f"{at:03}", side) for at, (labels, _, side) in enumerate(rows))
    return dataset, np.array([group for _, group, _ in rows], np.int64)


@given(rows.map(lambda drawn: [(labels, group, None) for labels, group, _ in drawn]), st.integers(0, 3))
def test_a_group_never_straddles_parts_and_every_example_is_in_one(rows: Rows, seed: int) -> None:
    dataset, groups = dataset_of(rows)
    parts = split(dataset, groups, test=0.25, calibration=0.15, seed=seed)
    sides = [set(groups[part].tolist()) for part in (parts.train, parts.calibration, parts.test)]
    assert sum(map(len, sides)) == len(set(groups.tolist()))
    assert sorted(np.concatenate((parts.train, parts.calibration, parts.test)).tolist()) == list(range(len(rows)))
    assert parts.findings == ()


@given(rows)
def test_a_given_split_is_kept_and_every_leak_in_it_is_found(rows: Rows) -> None:
    dataset, groups = dataset_of(rows)
    parts = split(dataset, groups)
    stated = [side for _, _, side in rows]
    if "test" in stated:
        assert {at for at, side in enumerate(stated) if side == "test"} <= set(parts.test.tolist())
        assert not {at for at, side in enumerate(stated) if side in ("train", "val")} & set(parts.test.tolist())
    sides = {group: {side for _, other, side in rows if other == group and side} for group in groups.tolist()}
    straddling = {group for group, found in sides.items() if len(found) > 1}
    assert {int(groups[int(finding.where[0])]) for finding in parts.findings} == straddling


@given(st.lists(st.tuples(label_sets, st.integers(0, 30)), min_size=1, max_size=60), st.integers(2, 5))
def test_folds_test_everything_once_and_keep_groups_whole(rows: list[tuple[tuple[str, ...], int]], k: int) -> None:
    groups = np.array([group for _, group in rows], np.int64)
    parts = folds([labels for labels, _ in rows], groups, k)
    assert sorted(np.concatenate([test for _, test in parts]).tolist()) == list(range(len(rows)))
    for train, test in parts:
        assert not set(groups[train].tolist()) & set(groups[test].tolist())


def test_labels_are_spread_evenly_also_rare_and_several_ones() -> None:
    rng = np.random.default_rng(0)
    labels = [("common",)] * 90 + [("rare",)] * 10 + [("common", "rare")] * 10
    order = rng.permutation(len(labels))
    labels = [labels[at] for at in order]
    part = allocate(labels, np.arange(len(labels)), (0.6, 0.2, 0.2))
    for name, count in (("common", 100), ("rare", 20)):
        held = [sum(name in labels[at] for at in np.flatnonzero(part == side)) for side in range(3)]
        assert np.abs(np.array(held) - np.array([0.6, 0.2, 0.2]) * count).max() <= 1


def test_a_class_with_one_image_is_taught_and_not_only_tested() -> None:
    dataset, groups = dataset_of([(("a",), at, None) for at in range(20)] + [(("b",), 99, None)])
    assert 20 in split(dataset, groups).train.tolist()


def test_the_seed_decides_and_nothing_else() -> None:
    dataset, groups = dataset_of([((label,), at, None) for at, label in enumerate("ab" * 30)])
    first, again, other = (split(dataset, groups, seed=seed).test.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_val_without_test_is_the_test_part() -> None:
    dataset, groups = dataset_of([(("a",), at, "val" if at > 7 else "train") for at in range(10)])
    parts = split(dataset, groups, calibration=0.25)
    assert parts.test.tolist() == [8, 9]
    assert len(parts.calibration) == 2


def test_a_leak_names_all_its_images() -> None:
    dataset, groups = dataset_of([(("a",), 5, "train"), (("a",), 5, "test"), (("a",), 6, "test")])
    (finding,) = leaks(dataset, groups)
    assert (finding.kind, finding.where) == ("split-leak", ("000", "001"))


def test_shares_that_leave_nothing_are_refused() -> None:
    dataset, groups = dataset_of([(("a",), 0, None)])
    with pytest.raises(BadRequest, match="below 1"):
        split(dataset, groups, test=0.7, calibration=0.3)
