"""The report: what was measured, of which recognizer, on which data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, Self, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from mingmu.core.errors import Conflict
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Dataset
from mingmu.evaluate.box_measures import BoxMeasures
from mingmu.evaluate.cost import Cost
from mingmu.evaluate.learning import LearningCurve
from mingmu.evaluate.measure import Measures
from mingmu.evaluate.text_measures import TextMeasures

M = TypeVar("M", Measures, BoxMeasures, TextMeasures)


@dataclass(frozen=True, slots=True)
class Subject:
    """The recognizer that was measured."""

    name: str
    digest: str
    kind: str
    task: str
    licence: str
    source: str
    backbone: str | None  # the name of the network a head sits on
    backbone_digest: str | None
    backbone_licence: str | None
    backbone_provenance: str | None
    runtime: str


@dataclass(frozen=True, slots=True)
class Data:
    """The dataset it was measured on."""

    digest: str
    examples: int
    labels: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """What a network knew after it had seen the photos so many times."""

    number: int
    loss: float  # on the photos that it learned from
    held_out_loss: float | None  # on photos held out; None: there were none
    held_out_accuracy: float | None  # of a detector AP50; of a reader the share of texts without a mistake


@dataclass(frozen=True, slots=True)
class _Report(Generic[M]):
    """All that was measured; plain data that survives JSON."""

    subject: Subject
    data: Data
    measures: M
    made: str  # ISO 8601, UTC
    cost: Cost | None = None
    training: tuple[Epoch, ...] = ()  # of a network that was trained here

    @classmethod
    def of(cls, recognizer: Recognizer, dataset: Dataset, measures: M, cost: Cost, *, made: datetime | None = None) -> Self:
        """The report of a recognizer that was measured just now, or at `made`."""
        data = Data(dataset.digest, len(dataset), len(dataset.labels))
        return cls(subject_of(recognizer), data, measures, (made or datetime.now(UTC)).isoformat(timespec="seconds"), cost)

    def to_json(self) -> bytes:
        """One JSON document."""
        return TypeAdapter(type(self)).dump_json(self)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class Report(_Report[Measures]):
    """All that was measured of a classifier."""

    learning: LearningCurve | None = None
    schema: Literal["mingmu-report/1"] = "mingmu-report/1"

    @classmethod
    def from_json(cls, data: bytes) -> Report:
        """The report that `to_json` wrote; raises Conflict for anything else."""
        try:
            return TypeAdapter(Report).validate_json(data)
        except ValidationError as error:
            raise Conflict(f"this is not a report of schema mingmu-report/1: {error.errors(include_url=False)[0]['msg']}") from error


@dataclass(frozen=True, slots=True)
class BoxReport(_Report[BoxMeasures]):
    """All that was measured of a detector."""

    schema: Literal["mingmu-box-report/1"] = "mingmu-box-report/1"


@dataclass(frozen=True, slots=True)
class TextReport(_Report[TextMeasures]):
    """All that was measured of a reader."""

    schema: Literal["mingmu-text-report/1"] = "mingmu-text-report/1"


AnyReport = Report | BoxReport | TextReport


def subject_of(recognizer: Recognizer) -> Subject:
    """What a recognizer's manifest, and that of the network under it, say about them."""
    manifest, network = recognizer.manifest, recognizer.network.artifact
    backbone = network.manifest if manifest.head else None
    return Subject(
        name=manifest.name,
        digest=recognizer.digest,
        kind=manifest.kind,
        task=manifest.task,
        licence=manifest.origin.licence,
        source=manifest.origin.source,
        backbone=backbone.name if backbone else None,
        backbone_digest=network.digest if backbone else None,
        backbone_licence=backbone.origin.licence if backbone else None,
        backbone_provenance=backbone.origin.provenance if backbone else None,
        runtime=recognizer.network.runtime.name,
    )
