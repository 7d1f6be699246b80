"""The manifest: everything that makes a file of weights a recognizer.

A manifest is canonical JSON (sorted keys, no spaces, UTF-8, defaults left out, one final newline): the same manifest
always gives the same bytes, so the SHA-256 of those bytes names the whole artifact.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from mingmu.core.errors import BadArtifact
from mingmu.core.pixels import PixelSpec

MAX_MANIFEST_BYTES = 16 * 2**20

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9]+)?(/[a-z0-9][a-z0-9_-]*\.[a-z0-9]+)?$", max_length=100)]
Kind = Literal["backbone", "head", "model", "chain"]
Precision = Literal["fp32", "bf16", "int8"]
Provider = Literal["cpu", "cuda", "tensorrt", "coreml", "directml"]


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HeadSpec(Strict):
    """Which backbone a head sits on, and how its scores are made."""

    backbone: Digest
    taught_on: Digest | None = None  # the variant of the backbone whose features it learned from; None: the backbone itself
    features: tuple[str, ...] = ("features",)  # backbone outputs, concatenated in this order
    activation: Literal["softmax", "sigmoid"] = "softmax"  # sigmoid: each label is a question of its own, and several may be true
    temperature: float = Field(default=1.0, gt=0)  # scores = activation(logits / temperature)
    least_confidence: float = Field(default=0.0, ge=0, le=1)  # a top score below this is no answer
    least_likeness: float | None = Field(default=None, ge=-1, le=1)  # a photo less like the known ones is no answer; None: not looked at


class DetectSpec(Strict):
    """Which boxes of a detector count, unless a request says otherwise."""

    threshold: float = Field(default=0.3, ge=0, le=1)  # the least score
    overlap: float = Field(default=0.45, ge=0, le=1)  # two boxes of a label that share more of their union are one thing
    most: int = Field(default=100, ge=1, le=1000)
    landmarks: int = Field(default=0, ge=0, le=1000)  # points that the network gives beside each box


class EmbedSpec(Strict):
    """How alike the vectors of different things are, as it was measured: what thresholds are made of."""

    mean: float = Field(ge=-1, le=1)  # of the cosines
    deviation: float = Field(gt=0, le=1)
    pairs: int = Field(ge=2)  # so many were looked at
    things: int = Field(ge=2)  # of so many different things


class PartSpec(Strict):
    """A recognizer that a chain is made of."""

    does: str
    digest: Digest


class PlatesSpec(Strict):
    """Which plates a chain reads."""

    rules: Literal["chinese", "latin"]  # how they are written, where several characters are as likely
    threshold: float = Field(default=0.3, ge=0, le=1)  # the least score of a plate's least certain character


class WithinSpec(Strict):
    """Which things that a chain's detector finds another recognizer looks at."""

    labels: tuple[str, ...] = ()  # of the detector; none named: all
    threshold: float = Field(ge=0, le=1)  # the least score
    margin: float = Field(default=0.0, ge=0, le=1)  # what is cut out around a box, as a share of its sides


class Origin(Strict):
    """Where the weights come from, and under which terms."""

    source: str
    licence: str
    provenance: str = ""


class Tolerance(Strict):
    """How far a probe may move before the artifact counts as another one."""

    pixels: float = Field(default=0.5, ge=0, le=2)  # mean absolute difference, in levels of 0..255
    outputs: float = Field(default=2e-3, ge=0, le=0.05)  # largest difference, in units of the output's largest value (at least 1)


class Runs(Strict):
    """What runs a graph, where, and how exactly it computes."""

    runtime: Literal["onnxruntime", "openvino"] = "onnxruntime"
    precision: Precision = "fp32"
    provider: Provider = "cpu"

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}" + ("" if self.provider == "cpu" else f" on {self.provider}")


class Manifest(Strict):
    """What an artifact is: its task, its pixels, its labels, and the SHA-256 of each of its files."""

    format: Literal["mingmu-artifact/1"] = "mingmu-artifact/1"
    kind: Kind
    name: str = Field(min_length=1, max_length=200)
    task: Literal["classify", "detect", "embed", "read", "locate", "text", "plates"]
    pixels: PixelSpec
    labels: tuple[str, ...] = ()
    label_ids: tuple[str, ...] = ()
    head: HeadSpec | None = None
    detect: DetectSpec | None = None
    embed: EmbedSpec | None = None
    plates: PlatesSpec | None = None
    within: WithinSpec | None = None
    parts: tuple[PartSpec, ...] = ()  # of a chain, the one that looks first comes first
    origin: Origin
    runs: Runs = Runs()
    tolerance: Tolerance = Tolerance()
    parent: Digest | None = None  # the artifact this one was made from
    made_by: dict[str, JsonValue] = {}  # how it was made, and with what: free, but part of the digest
    files: dict[FileName, Digest] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.kind == "head") != (self.head is not None):
            raise ValueError(f"a {self.kind} has {'no' if self.head is None else 'a'} head section")
        if self.task == "classify" and len(self.labels) < 2:
            raise ValueError(f"a classifier has at least 2 labels, this one has {len(self.labels)}")
        if (self.task == "detect") != (self.detect is not None):
            raise ValueError(f"a manifest for {self.task} has {'no' if self.detect is None else 'a'} detect section")
        if self.task != "embed" and self.embed is not None:
            raise ValueError(f"a manifest for {self.task} has an embed section")
        chained = self.task in ("text", "plates") or self.within is not None
        if (self.kind == "chain") != bool(self.parts) or (self.kind == "chain") != chained:
            raise ValueError(
                f"a {self.kind} for {self.task} has {len(self.parts)} parts; a chain has some, and reads, or looks within things"
            )
        if self.within is not None and self.task not in ("detect", "text", "plates"):
            raise ValueError(f"what looks within things finds more of them, text or plates; not {self.task}")
        if (self.task == "plates") != (self.plates is not None):
            raise ValueError(f"a manifest for {self.task} has {'no' if self.plates is None else 'a'} plates section")
        if self.task in ("detect", "read") and not self.labels:
            raise ValueError("a detector has at least 1 label" if self.task == "detect" else "a reader has an alphabet, its labels")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels repeat")
        if self.label_ids and len(self.label_ids) != len(self.labels):
            raise ValueError(f"{len(self.labels)} labels but {len(self.label_ids)} label ids")
        if clash := {name.partition("/")[0] for name in self.files if "/" in name} & {*self.files}:
            raise ValueError(f"{min(clash)!r} is both a file and a folder")
        return self

    @property
    def finds(self) -> bool:
        """Whether its answers are places in a picture."""
        return self.task in ("detect", "read", "text", "plates")

    @property
    def beneath(self) -> tuple[Digest, ...]:
        """The artifacts that this one is nothing without: a head's backbone, or a chain's parts."""
        return (self.head.backbone,) if self.head else tuple(part.digest for part in self.parts)

    @property
    def multi_label(self) -> bool:
        """Whether several labels may be true of one picture; each score then stands alone."""
        return self.head is not None and self.head.activation == "sigmoid"

    def to_json(self) -> bytes:
        """The canonical bytes. What is at its default is left out, so that a later Mingmu can add fields; defaults never change."""
        stated = {"format": self.format, **self.model_dump(mode="json", exclude_defaults=True)}
        text = json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Parse canonical bytes; raises BadArtifact for anything else."""
        if len(data) > MAX_MANIFEST_BYTES:
            raise BadArtifact(f"the manifest has {len(data)} bytes; the limit is {MAX_MANIFEST_BYTES}")
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            raise BadArtifact(f"manifest: {first_complaint(error)}") from error
        if manifest.to_json() != data:
            raise BadArtifact("the manifest is not in canonical form; it was written or changed by hand")
        return manifest


def digest_of(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def first_complaint(error: ValidationError) -> str:
    """The first thing that did not fit, and where."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
