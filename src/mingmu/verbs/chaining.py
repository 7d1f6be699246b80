"""Recognizers made of others: a file of a few lines says who finds, what goes on, and who looks at it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mingmu.core.errors import BadRequest, Conflict, MingmuError
from mingmu.core.headers import read_header
from mingmu.core.manifest import Manifest, Origin, PartSpec, WithinSpec, first_complaint
from mingmu.core.pixels import Limits
from mingmu.core.probes import probe_images_of
from mingmu.core.recognizer import Recognizer
from mingmu.registry.library import MOST_DEEP, Library
from mingmu.registry.store import Store, Version, check_name
from mingmu.tasks.within import DETECTOR, EXAMINER
from mingmu.verbs.recognizing import Progress, ensure, silent
from mingmu.verbs.teaching import SHIPPED
from mingmu.zoo.chains import seal_chain

TASKS: Mapping[str, Literal["detect", "text", "plates"]] = {
    "classify": "detect",
    "detect": "detect",
    "read": "text",
    "text": "text",
    "plates": "plates",
}
"""What a chain gives, by what who looks at the pieces gives of each."""
MOST_BYTES = 2**16  # of a file that says what a chain is


class ChainFile(BaseModel):
    """What a chain is made of. Unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    detector: str
    """Who finds: a recognizer whose answers are boxes."""
    labels: list[str] = []
    """Which of its labels go on; none named: all."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """The least score of what goes on; left out: the detector's own."""
    margin: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much more than its box is cut out around a thing, as a share of the box's sides, on each side."""
    then: str
    """Who looks at each piece."""
    probe: str | None = None
    """A photo, from where the file lies, whose answer proves the chain; left out: the pictures that prove the detector."""


def chain(store: Store, file: Path, *, name: str, progress: Progress = silent) -> Version:
    """Seal what a TOML file describes as one recognizer, prove it, and publish it under `name`.

    Raises BadRequest, NotFound, Conflict; whatever the parts, or the photo that proves it, raise.
    """
    said = read(file)
    _check_name(store, name, said)
    library = Library(store)
    parts = {}
    for does, reference in ((DETECTOR, said.detector), (EXAMINER, said.then)):
        progress(f"proving {reference}", 0.0)
        parts[does] = library.open(ensure(store, reference, progress).digest)
    try:
        manifest = _manifest(said, name, parts)
    except BadRequest as error:
        raise BadRequest(f"{file}: {error}") from error
    images = _images(file, said, parts[DETECTOR])
    progress("sealing", 0.5)
    artifact = store.add(partial(seal_chain, manifest=manifest, parts=parts, images=images))
    library.open(artifact.digest)
    progress("done", 1.0)
    return store.publish(name, artifact.digest)


def read(file: Path) -> ChainFile:
    """What a file says. Raises BadRequest with the file, the key and what it should be."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise BadRequest(f"{file} is longer than {MOST_BYTES} bytes; a chain takes some ten lines")
        return ChainFile.model_validate(tomllib.loads(data.decode("utf-8-sig")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadRequest(f"{file} is not TOML: {error}") from error
    except ValidationError as error:
        raise BadRequest(f"{file}: {_complaint(error)}") from error


def _complaint(error: ValidationError) -> str:
    """About the first key that is unknown; else the first that is missing or does not fit."""
    found = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    first, key = found[0], ".".join(map(str, found[0]["loc"]))
    if first["type"] == "extra_forbidden":
        return f"there is no key {key}; {_near(key, [*ChainFile.model_fields])}"
    if first["type"] == "missing":
        return f"it does not say {key}"
    return f"{key} is {first['input']!r}; {first['msg'].replace('Input should', 'it should')}"


def _near(wanted: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(wanted, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known[:20])}" + (", …" if len(known) > 20 else "")


def _check_name(store: Store, name: str, said: ChainFile) -> None:
    check_name(name)
    if name in SHIPPED:
        raise Conflict(f"{name} ships with Mingmu; give the chain a name of its own")
    if name in (each.partition("@")[0] for each in (said.detector, said.then)):
        raise Conflict(f"{name} is a part of the chain; give the chain a name of its own")
    if name in store.names() and store.artifact(store.resolve(name).digest).manifest.kind != "chain":
        raise Conflict(f"{name} is there already, and is no chain; give the chain another name")


def _manifest(said: ChainFile, name: str, parts: Mapping[str, Recognizer]) -> Manifest:
    """What is sealed, but for the files. Raises BadRequest for parts that do not fit together."""
    detector, examiner = parts[DETECTOR].manifest, parts[EXAMINER].manifest
    if detector.task != "detect" or detector.detect is None:
        raise BadRequest(f"detector is {said.detector}, whose task is {detector.task}; it should find boxes, as objects does")
    if examiner.task not in TASKS:
        raise BadRequest(f"then is {said.then}, whose task is {examiner.task}; nothing to be said of a piece comes of it")
    if odd := [label for label in said.labels if label not in detector.labels]:
        raise BadRequest(f"labels: {said.detector} has no label {odd[0]!r}; {_near(odd[0], detector.labels)}")
    if (deep := 1 + max(map(_depth, parts.values()))) > MOST_DEEP:
        raise BadRequest(f"{deep} chains would be within one another; the limit is {MOST_DEEP}")
    threshold = detector.detect.threshold if said.threshold is None else said.threshold
    labels = tuple(dict.fromkeys(said.labels))
    classifies = examiner.task == "classify"
    named = (*examiner.labels, *(label for label in labels or detector.labels if label not in examiner.labels))
    try:
        return Manifest(
            kind="chain",
            name=name,
            task=TASKS[examiner.task],
            pixels=detector.pixels,
            labels=named if classifies else examiner.labels,
            detect=detector.detect.model_copy(update={"threshold": 0.0, "landmarks": 0}) if classifies else examiner.detect,
            plates=examiner.plates,
            within=WithinSpec(labels=labels, threshold=threshold, margin=said.margin),
            parts=tuple(PartSpec(does=does, digest=part.digest) for does, part in parts.items()),
            origin=Origin(source="its parts", licence=", ".join(dict.fromkeys((detector.origin.licence, examiner.origin.licence)))),
            made_by={"how": "mingmu chain"},
        )
    except ValidationError as error:
        raise BadRequest(first_complaint(error)) from error


def _depth(recognizer: Recognizer) -> int:
    return 1 + max(map(_depth, recognizer.parts.values())) if recognizer.parts else 0


def _images(file: Path, said: ChainFile, detector: Recognizer) -> dict[str, bytes]:
    """The pictures whose answers are sealed, by their file names."""
    if said.probe is None:
        return {name.removeprefix("probes/"): image for name, image in probe_images_of(detector.artifact).items()}
    photo = file.parent / said.probe
    try:
        with photo.open("rb") as opened:
            image = opened.read(Limits().max_bytes + 1)
    except OSError as error:
        raise BadRequest(f"{file}: probe is {said.probe!r}, which cannot be read: {error}") from error
    try:
        detector.frame(image)
        return {f"photo.{read_header(image).kind.lower()}": image}
    except MingmuError as error:
        raise BadRequest(f"{file}: probe is {said.probe!r}: {error}") from error
