"""Tells the operator what happens: metrics at /metrics, and one line of JSON on stderr for each request."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter as Counts
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import Scope

from mingmu.serve.host import Seen, Served

log = logging.getLogger("mingmu.requests")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MAX_NAMES = 200  # recognizers that have metrics of their own
SWITCHED = 101  # the status of a WebSocket
OTHER = "other recognizers"  # no recognizer can be called that
BATCHES = (1, 2, 4, 8, 16, 32, 64)


_PROCESS = os.urandom(4).hex()
_numbers = count()


def count_in(folder: Path, number: int) -> None:
    """Let this process count in files of a folder, under a number that no other one has now. Before any metric is made.

    Who comes later under the same number counts on from there, so that no sum ever falls.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # the library has no other way
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


def new_id() -> str:
    """An id that no other request has, here or elsewhere: a random one of this process, and a number."""
    return f"{_PROCESS}{next(_numbers):08x}"


@dataclass(slots=True)
class Visit:
    """What is known of one request so far; at its end it becomes one log line."""

    id: str
    method: str
    path: str
    arrived: float = field(default_factory=time.monotonic)
    status: int = 0
    kind: str = ""  # of the problem, if there was one
    recognizer: str = ""  # only names that exist get here, so that clients cannot invent metrics
    version: int | None = None
    digest: str = ""
    images: int = 0
    counted: int = 0  # of the images: those whose end is known
    bytes: int = 0
    stages: dict[str, float] = field(default_factory=dict)  # seconds

    @classmethod
    def of(cls, scope: Scope) -> Visit:
        """A visit begins when the head of its request is in; a sane X-Request-Id is kept."""
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        return cls(given if REQUEST_ID.fullmatch(given) else new_id(), scope.get("method", "WS"), scope["path"][:200])

    def meets(self, served: Served) -> None:
        """Note which recognizer answers."""
        self.recognizer, self.version, self.digest = served.version.name, served.version.version, served.version.digest

    def stage(self, name: str, seconds: float) -> None:
        """Note how long a stage took; of several images, the longest counts."""
        self.stages[name] = max(seconds, self.stages.get(name, 0.0))

    def milliseconds(self) -> dict[str, float]:
        """The stages so far, and the time since the head of the request was in."""
        stages = {name: round(seconds * 1e3, 3) for name, seconds in self.stages.items()}
        return stages | {"total": round((time.monotonic() - self.arrived) * 1e3, 3)}


@dataclass(frozen=True, slots=True)
class _Series:
    images: Counter
    remembered: Counter
    batch: Histogram
    stages: dict[str, Histogram]


class Telemetry:
    """The metrics of one service, in a registry of their own."""

    def __init__(self, waiting: Callable[[], Mapping[str, int]]) -> None:
        self._waiting = waiting
        self._names = {""}
        self._by_name: dict[str, _Series] = {}
        self.registry = CollectorRegistry()
        self._process = ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "mingmu_requests", "Requests; kind is empty for answers.", ["recognizer", "status", "kind"], registry=self.registry
        )
        self._images = Counter("mingmu_images", "Images; kind is empty for answers.", ["recognizer", "kind"], registry=self.registry)
        self._remembered = Counter(
            "mingmu_images_remembered", "Images answered from memory (settings: cache_bytes).", ["recognizer"], registry=self.registry
        )
        self._stages = Histogram("mingmu_stage_seconds", "Time by stage.", ["recognizer", "stage"], registry=self.registry, buckets=SECONDS)
        self._batch = Histogram(
            "mingmu_batch_images", "Images that ran together, by image.", ["recognizer"], registry=self.registry, buckets=BATCHES
        )
        self._queue = Gauge(
            "mingmu_queue_images", "Images that wait for a network.", ["recognizer"], registry=self.registry, multiprocess_mode="livesum"
        )
        self._shown = self.registry
        self._own: dict[str, Gauge] = {}  # what the system says of this process, where several are shown together

    def sum_up(self, folder: Path, number: int) -> None:
        """Show the sums of all processes that count in a folder, and of each what the system says of it."""
        self._shown = CollectorRegistry()
        MultiProcessCollector(self._shown, str(folder))  # type: ignore[no-untyped-call]
        for metric in self._process.collect():
            for sample in metric.samples:
                gauge = Gauge(sample.name, metric.documentation, ["worker"], registry=None, multiprocess_mode="livesum")
                self._own[sample.name] = gauge.labels(str(number))

    def saw(self, visit: Visit, seen: Seen) -> None:
        """Count one image that was answered."""
        series = self._series(self._label(visit.recognizer))
        visit.counted += 1
        series.images.inc()
        if seen.frame is None:
            series.remembered.inc()
            return
        series.batch.observe(seen.batch)
        for stage, seconds in (("decode", seen.decoded), ("queue", seen.waited), ("network", seen.ran), *seen.parts.items()):
            visit.stage(stage, seconds)
            if stage not in series.stages:  # only chains have these, and few of them
                series.stages[stage] = self._stages.labels(self._label(visit.recognizer), stage)
            series.stages[stage].observe(seconds)

    def failed(self, visit: Visit, kind: str) -> None:
        """Count one image that has an error of its own."""
        visit.counted += 1
        self._images.labels(self._label(visit.recognizer), kind).inc()

    def end(self, visit: Visit) -> None:
        """Count the request, those of its images that were given up with it, and write its line."""
        stages, name = visit.milliseconds(), self._label(visit.recognizer)
        self._requests.labels(name, str(visit.status), visit.kind).inc()
        if visit.images > visit.counted:
            self._images.labels(name, visit.kind).inc(visit.images - visit.counted)
        if visit.images and visit.status != SWITCHED:  # how long a stream takes is its client's choice
            self._series(name).stages["total"].observe(stages["total"] / 1e3)
        log.info(
            "request",
            extra={
                "request_id": visit.id,
                "method": visit.method,
                "path": visit.path,
                "status": visit.status,
                "kind": visit.kind,
                "recognizer": visit.recognizer,
                "version": visit.version,
                "digest": visit.digest,
                "images": visit.images,
                "bytes": visit.bytes,
                "ms": stages,
            },
        )

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format."""
        self.look()
        return generate_latest(self._shown)

    def look(self) -> None:
        """Note what changes without being counted; processes that are shown together do so every second."""
        waiting: Counts[str] = Counts()
        for name, images in self._waiting().items():
            waiting[self._label(name)] += images
        for name in self._names - {""}:
            self._queue.labels(name).set(waiting[name])
        for metric in self._process.collect() if self._own else ():
            for sample in metric.samples:
                self._own[sample.name].set(sample.value)

    def _series(self, name: str) -> _Series:
        """What is counted for each image, looked up once a name."""
        found = self._by_name.get(name)
        if found is None:
            stages = {stage: self._stages.labels(name, stage) for stage in ("decode", "queue", "network", "total")}
            found = self._by_name[name] = _Series(
                self._images.labels(name, ""), self._remembered.labels(name), self._batch.labels(name), stages
            )
        return found

    def _label(self, name: str) -> str:
        """The label of a recognizer: its name, or `other` once there are very many, for each has some eighty time series."""
        if name not in self._names and len(self._names) > MAX_NAMES:
            name = OTHER
        self._names.add(name)
        return name
