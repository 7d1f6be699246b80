"""A dataset: which images, by content, with which labels. Immutable; the same content has the same digest."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

Split = Literal["train", "val", "test"]


class Blobs(Protocol):
    """Where images lie, once each, by the SHA-256 of their bytes."""

    def put(self, data: bytes) -> str:
        """Keep some bytes; gives their SHA-256 in hexadecimal. The same bytes again cost nothing."""
        ...

    def get(self, sha256: str) -> bytes:
        """The bytes with this SHA-256; raises NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Region:
    """A labelled rectangle, in pixels of the upright original."""

    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Example:
    """One image with its labels."""

    image: str  # SHA-256 of the file's bytes
    labels: tuple[str, ...]  # one for most tasks; several where a picture shows several things; none: unlabelled
    name: str  # where it came from: a path inside the folder or archive
    split: Split | None = None  # as given by the source; None: not given
    group: str | None = None  # examples of one group never straddle splits (one patient, one video clip)
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """Examples in a fixed order (by name), and the digest of their content."""

    examples: tuple[Example, ...]

    @classmethod
    def of(cls, examples: Iterable[Example]) -> Dataset:
        return cls(tuple(sorted(examples, key=lambda example: (example.name, example.image))))

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @property
    def digest(self) -> str:
        """SHA-256 over every example's image hash, labels, split, group and regions; names do not count."""
        lines = sorted(
            json.dumps([e.image, e.labels, e.split, e.group, [[r.label, r.x, r.y, r.width, r.height] for r in e.regions]])
            for e in self.examples
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def to_lines(self) -> bytes:
        """One JSON object a line, for each example."""
        return b"".join(json.dumps(asdict(example), ensure_ascii=False).encode() + b"\n" for example in self.examples)

    @classmethod
    def from_lines(cls, data: bytes) -> Dataset:
        """The dataset that `to_lines` wrote."""
        rows = [json.loads(line) for line in data.splitlines()]
        return cls.of(
            Example(**row | {"labels": tuple(row["labels"]), "regions": tuple(Region(**region) for region in row["regions"])})
            for row in rows
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted({label for example in self.examples for label in example.labels}))

    @property
    def multi_label(self) -> bool:
        return any(len(example.labels) > 1 for example in self.examples)

    @property
    def boxed_labels(self) -> tuple[str, ...]:
        """All labels that a box has, sorted."""
        return tuple(sorted({region.label for example in self.examples for region in example.regions}))

    def with_boxes(self) -> Dataset:
        """The examples that say where things are: those with boxes, and those without a label, in which there is nothing."""
        return Dataset(tuple(example for example in self.examples if example.regions or not example.labels))

    def counts(self) -> Counter[str]:
        """How many examples each label has."""
        return Counter(label for example in self.examples for label in example.labels)
