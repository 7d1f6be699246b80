"""What a network is to learn from labelled photos: what there is to say, and which photos teach, choose and measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadRequest
from mingmu.data import duplicates, splits
from mingmu.data.dataset import Dataset, Example
from mingmu.data.finding import Finding
from mingmu.registry.store import Store
from mingmu.train.recipe import Task
from mingmu.verbs import parting
from mingmu.verbs.measuring import UNREAD
from mingmu.verbs.recognizing import Progress

TEST_SHARE = 0.2
HELD_OUT_SHARE = 0.1  # of the photos, to choose the best epoch by
LONGEST = 16  # characters of a text: a reader has 32 columns, and between two that are the same it needs one more


@dataclass(frozen=True)
class Lesson:
    """Labelled photos and the parts that they play."""

    dataset: Dataset  # with `test`, `val` (held out, to choose the best epoch by) and `train`
    findings: tuple[Finding, ...]
    task: Task = "classify"

    @property
    def labels(self) -> tuple[str, ...]:
        """What the network can say. A character that no text has that teaches is never read, which the measures show."""
        return labels_of(self.dataset if self.task == "read" else Dataset(self.part("train")), self.task)

    def part(self, split: str) -> tuple[Example, ...]:
        """The examples of a part that say what they show; none to learn from that is nearly the same as one of the test part.

        To a detector, a photo without a label says that there is nothing.
        """
        said = Dataset.of(example for example in self.dataset if example.split == split)
        return said.with_boxes().examples if self.task == "detect" else tuple(example for example in said if example.labels)


def labels_of(dataset: Dataset, task: Task) -> tuple[str, ...]:
    """What there is to learn: labels of photos, or of boxes, or the characters of texts."""
    if task == "read":
        return tuple(sorted({character for text in dataset.labels for character in text}))
    return dataset.labels if task == "classify" else dataset.boxed_labels


def check_trainable(dataset: Dataset, findings: Sequence[Finding], task: Task = "classify") -> None:
    """Raise BadRequest for photos that no network is trained on, however they are parted."""
    if task == "detect":
        if not dataset.boxed_labels:
            raise BadRequest("no readable photo has a box to learn from; boxes come from COCO, Pascal VOC and YOLO files")
        return
    if dataset.multi_label:
        raise BadRequest("some photos carry several labels; a network is trained on one each, so teach a head instead (mingmu teach)")
    if task == "read":
        _check_texts(dataset)
    elif len(dataset.labels) < 2:
        unread = sum(len(each.where) for each in findings if each.kind in UNREAD)
        hint = f" ({unread} files cannot be read: mingmu audit)" if unread else ""
        raise BadRequest(f"there are readable photos of {len(dataset.labels)} labels to learn from; training needs at least 2{hint}")


def _check_texts(dataset: Dataset) -> None:
    if long := [example.name for example in dataset if any(len(text) > LONGEST for text in example.labels)]:
        raise BadRequest(f"{long[0]} has more than {LONGEST} characters: more than are read from one line")
    if len(dataset.labels) < 3:
        raise BadRequest(f"there are photos of {len(dataset.labels)} texts; training needs at least 3, as some only measure")


def lesson_of(
    store: Store, dataset: Dataset, findings: Sequence[Finding], seed: int, progress: Progress, task: Task = "classify"
) -> Lesson:
    """The photos, in parts that cannot leak. Raises BadRequest where they cannot be trained on."""
    if task == "read":
        dataset = Dataset(tuple(example for example in dataset if example.labels))
        bare = Dataset(tuple(replace(example, labels=()) for example in dataset))  # a text is on one side, so no part can have its share
        groups = duplicates.groups_of(dataset, _of_one_text(dataset))
        parts = splits.split(bare, groups, test=TEST_SHARE, calibration=HELD_OUT_SHARE, seed=seed)
        held_out = parts.calibration.tolist()
    else:
        groups = parting.groups_of(dataset, store, progress)
        parts = splits.split(dataset, groups, test=TEST_SHARE, calibration=HELD_OUT_SHARE, seed=seed)
        held_out = [*parting.of_each_label(dataset, groups, parts)]
    tested = {int(groups[at]) for at in parts.test}
    side: dict[int, str] = {int(at): "test" for at in parts.test} | {int(at): "val" for at in held_out}
    examples = []
    for at, example in enumerate(dataset):
        leaks = at not in side and int(groups[at]) in tested
        examples.append(replace(example, split=None if leaks else side.get(at, "train")))  # type: ignore[arg-type]
    lesson = Lesson(Dataset.of(examples), (*findings, *parts.findings), task)
    _check(lesson)
    return lesson


def _of_one_text(dataset: Dataset) -> NDArray[np.int64]:
    """Pairs of examples, int64 [P, 2]: each with the first of its text."""
    first: dict[str, int] = {}
    return np.array([(first.setdefault(example.labels[0], at), at) for at, example in enumerate(dataset)], np.int64).reshape(-1, 2)


def _check(lesson: Lesson) -> None:
    if not lesson.part("test"):
        raise BadRequest("there are too few photos to set some aside to measure with; a head needs less (mingmu teach)")
    missing = sorted({*labels_of(lesson.dataset, lesson.task)} - {*lesson.labels})
    if missing:
        raise BadRequest(f"all photos of {', '.join(missing[:5])} are set aside to measure with; give each label some to learn from")
