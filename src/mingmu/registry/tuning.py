"""Which variant of a network is served on which machine, and what was measured before it was chosen.

    tuning/<machine>/<digest of the network>.json

A file is written aside and renamed; without one, or with one that cannot be read, a network runs as it was sealed.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from mingmu.core.machine import Machine, this_machine
from mingmu.core.manifest import Digest, Strict, first_complaint

log = logging.getLogger("mingmu.registry")


class Share(Strict):
    """A share, and its interval, which holds to 95 % at each end."""

    value: float
    low: float
    high: float


class Accuracy(Strict):
    """How often a variant was right, beside the sealed network on the same photos."""

    photos: int
    right: int
    kept: Share  # of the accuracy that the sealed network has

    def __str__(self) -> str:
        return f"{self.right / self.photos:.1%} of {self.photos}"


class BoxAccuracy(Strict):
    """What a variant of a detector found, beside the sealed network on the same photos."""

    photos: int
    boxes: int  # that are there
    ap50: float
    kept: Share  # of the AP50 that the sealed network has

    def __str__(self) -> str:
        return f"AP50 {self.ap50:.1%}, {self.photos} photos"


class Trial(Strict):
    """One way to run a network: what was measured of it, and whether it may serve."""

    what: str  # "openvino bf16"
    passed: bool
    verdict: str  # why
    images_per_second: float | None = None  # from JPEG bytes to outputs, on all processors; None: it was not timed
    ratio: float | None = None  # to the sealed network, in the same rounds
    lone_ms: float | None = None  # one image alone, on all processors
    megabytes: float | None = None  # on disk
    accuracy: Accuracy | BoxAccuracy | None = None  # None: without photos


class Tuning(Strict):
    """What was chosen for a network on a machine, and why."""

    network: Digest
    chosen: Digest  # the network's own, or a variant's
    what: str  # the trial that was chosen
    machine: str  # in words
    trials: tuple[Trial, ...]
    data: str  # the photos, in words
    method: str  # how it was measured, in words
    created: str  # ISO 8601, UTC
    apart: tuple[Digest, ...] = ()  # heads that stay on the network as it was sealed: on what was chosen, they answer otherwise

    def runs(self, digest: str) -> str:
        """The digest of what is to run under a head on the network, or in the place of the network itself."""
        return self.network if digest in self.apart else self.chosen

    @property
    def trial(self) -> Trial:
        """What was measured of the one that was chosen."""
        return next(trial for trial in self.trials if trial.what == self.what)


class Tunings:
    """The tunings in a data folder; those that are read and written by network are of one machine."""

    def __init__(self, data_dir: Path, machine: Machine | None = None) -> None:
        self._folder = data_dir / "tuning"
        self.machine = machine or this_machine()

    def get(self, network: str) -> Tuning | None:
        """What was chosen for a network. Where that cannot be read, nothing was, and a warning says so."""
        return _read(self._file(network))

    def chosen(self, network: str, head: str = "") -> str:
        """The digest of what is to run in a network's place, under a head: a variant, or the network itself."""
        tuning = self.get(network)
        return tuning.runs(head) if tuning else network

    def put(self, tuning: Tuning) -> None:
        """Remember a choice; it counts from the next time that the network is loaded."""
        file = self._file(tuning.network)
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=file.parent, suffix=".aside")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(tuning.model_dump_json(indent=1) + "\n")
            out.flush()
            os.fsync(out.fileno())
        Path(aside).chmod(0o644)  # the service may run as somebody else
        Path(aside).replace(file)

    def forget(self, network: str) -> bool:
        """Let a network run as it was sealed; gives whether anything else was chosen."""
        file = self._file(network)
        there = file.is_file()
        file.unlink(missing_ok=True)
        return there

    def stamp(self) -> int:
        """A number that changes when a choice for this machine does."""
        try:
            return (self._folder / self.machine.key).stat().st_mtime_ns
        except OSError:  # there is none, or none that may be read
            return 0

    def all(self) -> Iterator[Tuning]:
        """Those of every machine that uses the data folder; a warning names each that cannot be read."""
        return filter(None, map(_read, sorted(self._folder.glob("*/*.json"))))

    def _file(self, network: str) -> Path:
        return self._folder / self.machine.key / f"{network}.json"


def _read(file: Path) -> Tuning | None:
    try:
        return Tuning.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problem = first_complaint(error)
    except OSError as error:
        problem = str(error.strerror or error)
    log.warning("%s counts as not there: %s; run `mingmu tune` again, or remove the file", file, problem)
    return None
