from __future__ import annotations

import re

import numpy as np
import pytest

from mingmu.core.errors import BadRequest
from mingmu.core.pixels import encode_png
from mingmu.data.audit import Floats, examine, fix, label_counts
from mingmu.data.audit import audit as audit_examined
from mingmu.data.audit_page import audit_page
from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from tests.data.memory import MemoryBlobs, pixels, png
from tests.data.test_phash import changed


def audit(dataset: Dataset, blobs: MemoryBlobs, features: Floats | None = None, probabilities: Floats | None = None) -> list[Finding]:
    return audit_examined(dataset, examine(dataset, blobs, features), probabilities)


def plain(blobs: MemoryBlobs, count: int = 24) -> list[Example]:
    return [Example(blobs.put(png(seed)), ("ab"[seed % 2],), f"{seed:02}.png") for seed in range(count)]


def kinds(findings: list[Finding]) -> set[tuple[str, tuple[str, ...]]]:
    return {(finding.kind, finding.where) for finding in findings}


def test_a_dataset_in_order_has_no_findings() -> None:
    blobs = MemoryBlobs()
    assert audit(Dataset.of(plain(blobs)), blobs) == []


def test_what_can_be_seen_of_single_images_is_found() -> None:
    blobs = MemoryBlobs()
    spoiled = {
        "bright.png": encode_png((235 + pixels(50) * 0.07).astype(np.uint8)),
        "broken.png": png(51)[:200],
        "dark.png": encode_png((pixels(52) * 0.05).astype(np.uint8)),
        "small.png": png(53, 8, 6),
        "wide.png": png(54, 300, 10),
    }
    dataset = Dataset.of([*plain(blobs), *(Example(blobs.put(data), ("a",), name) for name, data in spoiled.items())])
    found = kinds(audit(dataset, blobs))
    kind_of = {"bright.png": "bright", "broken.png": "unreadable", "dark.png": "dark", "small.png": "odd-size", "wide.png": "odd-shape"}
    assert {(kind, (name,)) for name, kind in kind_of.items()} <= found


def test_duplicates_clashes_and_leaks_are_found_and_cleaned() -> None:
    blobs = MemoryBlobs()
    more = [
        Example(blobs.put(png(0)), ("a",), "copy of 00.png"),
        Example(blobs.put(changed(1)[1]), ("b",), "nearly 01.png"),
        Example(blobs.put(png(2)), ("b",), "other 02.png"),
        Example(blobs.put(png(60)), ("a",), "taught.png", "train"),
        Example(blobs.put(changed(60)[0]), ("a",), "tested.png", "test"),
    ]
    dataset = Dataset.of([*plain(blobs), *more])
    findings = audit(dataset, blobs)
    assert kinds(findings) >= {
        ("duplicate", ("00.png", "copy of 00.png")),
        ("near-duplicate", ("01.png", "nearly 01.png")),
        ("label-clash", ("02.png", "other 02.png")),
        ("split-leak", ("taught.png", "tested.png")),
    }
    left = {example.name for example in fix(dataset, findings)}
    assert {example.name for example in dataset} - left == {"copy of 00.png", "nearly 01.png", "02.png", "other 02.png", "taught.png"}
    assert findings == sorted(findings, key=lambda finding: ("error", "warning", "info").index(finding.severity))


def test_of_pictures_that_are_only_nearly_the_same_cleaning_drops_none_for_its_label() -> None:
    blobs = MemoryBlobs()
    dataset = Dataset.of([*plain(blobs), Example(blobs.put(changed(1)[1]), ("a",), "nearly 01.png")])
    findings = audit(dataset, blobs)
    assert ("label-clash", ("01.png", "nearly 01.png")) in kinds(findings)
    assert len(fix(dataset, findings)) == len(dataset)


def test_a_label_that_the_classifier_is_sure_is_another_is_found_with_that_other() -> None:
    blobs = MemoryBlobs()
    dataset = Dataset.of(plain(blobs))
    probabilities = np.array([[0.9, 0.1] if e.labels == ("a",) else [0.1, 0.9] for e in dataset], np.float32)
    probabilities[4] = 0.01, 0.99
    (finding,) = audit(dataset, blobs, probabilities=probabilities)
    assert (finding.kind, finding.where, finding.suggestion) == ("label-error", ("04.png",), "b")
    assert finding.confidence is not None
    assert finding.confidence > 0.9
    assert len(fix(dataset, [finding])) == len(dataset) - 1
    assert len(fix(dataset, [finding], min_confidence=0.99)) == len(dataset)


def test_an_image_far_from_all_others_is_an_outlier() -> None:
    blobs = MemoryBlobs()
    features = np.random.default_rng(0).normal(1, 0.02, (24, 8)).astype(np.float32)
    features[3] *= (-1) ** np.arange(8)
    assert kinds(audit(Dataset.of(plain(blobs)), blobs, features)) == {("outlier", ("03.png",))}


def test_few_and_uneven_labels_are_told() -> None:
    blobs = MemoryBlobs()
    dataset = Dataset.of([*plain(blobs, 48), Example(blobs.put(png(99)), ("c",), "c.png")])
    assert kinds(audit(dataset, blobs)) == {("too-few", ("c",)), ("imbalance", ("a", "c"))}


def test_arrays_that_do_not_fit_are_refused() -> None:
    blobs = MemoryBlobs()
    dataset = Dataset.of(plain(blobs))
    with pytest.raises(BadRequest, match="24 examples and 2 labels"):
        audit(dataset, blobs, probabilities=np.zeros((24, 3), np.float32))
    with pytest.raises(BadRequest, match="features of 5 images"):
        audit(dataset, blobs, np.zeros((5, 3), np.float32))


def test_an_empty_dataset_has_no_findings() -> None:
    assert audit(Dataset.of([]), MemoryBlobs(), np.zeros((0, 4), np.float32), np.zeros((0, 0), np.float32)) == []


def test_the_page_shows_each_finding_and_loads_nothing() -> None:
    blobs = MemoryBlobs()
    dataset = Dataset.of(
        [*plain(blobs), Example(blobs.put(png(0)), ("<b>&",), "<script>.png"), Example(blobs.put(b"x"), ("a",), "bad.png")]
    )
    page = audit_page(dataset, blobs, audit(dataset, blobs), "pears & <apples>")
    assert page.count("data:image/jpeg;base64,") == 2
    assert "<script" not in page
    assert "&lt;script&gt;.png" in page
    assert "pears &amp; &lt;apples&gt;" in page
    assert "cannot be decoded" in page
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)


def test_a_label_that_the_classifier_hardly_met_is_not_accused() -> None:
    blobs = MemoryBlobs()
    dataset = Dataset.of([*plain(blobs), *(Example(blobs.put(png(90 + at)), ("c",), f"c{at}.png") for at in range(3))])
    column = {"a": 0, "b": 1, "c": 2}
    probabilities = np.full((27, 3), 0.05, np.float32)
    for row, example in enumerate(dataset):
        probabilities[row, column[example.labels[0]]] = 0.9
    probabilities[-3:] = 0.98, 0.01, 0.01  # out of fold, the three c look like a
    assert kinds(audit(dataset, blobs, probabilities=probabilities)) == {("too-few", ("c",))}
    unsure = np.array([[0.96, 0.04] if at else [0.99, 0.01] for at in range(24)], np.float32)  # b is never recognized
    assert audit(Dataset.of(plain(blobs)), blobs, probabilities=unsure) == []


def test_too_few_says_how_many_and_what_cannot_be_told() -> None:
    dataset = Dataset.of(Example(f"{at}", (label,), f"{at}") for at, label in enumerate("abbbbbbb"))
    assert [finding.detail for finding in label_counts(dataset)] == [
        "1 image; with fewer than 10 its accuracy cannot be told; below 5, wrong labels among them are not looked for",
        "7 images; with fewer than 10 its accuracy cannot be told",
    ]


def test_a_label_that_is_in_the_test_part_only_is_named() -> None:
    taught = [Example(f"{at}", ("a",), f"{at}", "train") for at in range(12)]
    (finding,) = label_counts(Dataset.of([*taught, *(Example(f"b{at}", ("b",), f"b{at}", "test") for at in range(4))]))
    assert (finding.kind, finding.severity, finding.where) == ("test-only", "error", ("b",))
    assert finding.detail == "4 images, in the test part only: there is nothing to learn it from"
