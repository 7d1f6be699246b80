"""Questions by which recognizers are taught and followed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from mingmu.client.archive import Archive
from mingmu.client.calls import Call, Page, document_of, error_of, listing
from mingmu.client.images import Image, encoded
from mingmu.client.progress import Progress
from mingmu.client.recognizing import Listed, listed
from mingmu.core.errors import BadRequest, Conflict, Overloaded
from mingmu.core.teaching import Asked, TeachOptions
from mingmu.core.training import AskedOfTraining, TrainOptions


@dataclass(frozen=True, slots=True)
class Job:
    """Something that a service does for longer than a request lasts."""

    id: int
    verb: str
    subject: str  # the dataset or recognizer that it is about
    state: str  # queued, running, done, failed or cancelled
    step: str
    share: float  # of the step, 0 to 1
    result: Mapping[str, Any] | None
    error: Mapping[str, str] | None  # kind and detail
    created: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Taught:
    """A recognizer that was taught, and how often it is right."""

    recognizer: str
    version: int
    digest: str
    accuracy: float  # of a detector AP50, of a reader the share of texts without a mistake
    interval: tuple[float, float]  # that holds the true accuracy with 95 % confidence
    result: Mapping[str, Any]  # all that the service said

    @property
    def reference(self) -> str:
        """This very version, as in `flowers@3`: the name alone means another one as soon as somebody teaches it again."""
        return f"{self.recognizer}@{self.version}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A report that there is of a recognizer."""

    kind: str  # teaching or evaluation
    dataset: str  # digest of what it was measured on
    names: tuple[str, ...]  # of the datasets that are this one, as in flowers@3
    created: str  # ISO 8601, UTC


class Following:
    """Follows one job through as many connections as it takes."""

    def __init__(self, job: int, progress: Progress | None) -> None:
        self._job = job
        self._progress = progress
        self._last = "0"  # event
        self._fields: dict[str, str] = {}
        self._end: Job | None = None

    @property
    def request(self) -> dict[str, Any]:
        """What to ask for next; begins where the last connection broke off."""
        headers = {"Last-Event-ID": self._last, "Accept": "text/event-stream"}
        return {"method": "GET", "url": f"/v1/jobs/{self._job}/events", "headers": headers}

    @property
    def over(self) -> bool:
        return self._end is not None

    def begin(self, response: httpx.Response) -> None:
        """Raise the error that a response stands for."""
        if not response.is_success:
            document_of(response)
        self._fields = {}

    def read(self, line: str) -> None:
        """Take in a line of the stream (HTML Standard, section 9.2.6)."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return
        event, self._fields = self._fields, {}
        self._last = event.get("id", self._last)
        if event.get("event") == "end":
            self._end = _job(json.loads(event["data"]))
        elif event.get("event") == "progress" and self._progress:
            said = json.loads(event["data"])
            self._progress(said["step"], said["share"])

    def ended(self) -> Job:
        """The job as it ended; raises its error."""
        if self._end is None:
            raise Overloaded(f"job {self._job} is not over yet")
        if self._end.state == "cancelled":
            raise Conflict(f"job {self._job} ({self._end.verb} {self._end.subject}) was cancelled")
        if self._end.error:
            raise error_of(self._end.error)
        return self._end

    def pause(self) -> None:
        """Raise Overloaded where the stream came to its end before the job did."""
        if not self.over:
            raise Overloaded(f"the service told no more of job {self._job}; it goes on without us")


def upload(archive: Archive, name: str) -> Call[Job]:
    """Send a dataset, to be read under a name."""
    body = {"content": archive, "headers": {"Content-Type": "application/octet-stream"}}
    return Call({"method": "POST", "url": "/v1/datasets", "params": {"name": name}} | body, accepted)


def checked(options: Asked | AskedOfTraining, known: type[TeachOptions | TrainOptions]) -> dict[str, Any]:
    """The options that were given; raises BadRequest, before anything is sent."""
    try:
        TypeAdapter(known).validate_json(json.dumps(options))  # as the service will
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadRequest(f"{'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}") from None
    return {**options}


def uploaded(job: Job) -> str:
    """The very version of a dataset that a job has read or audited, as in flowers@3."""
    result = job.result or {}
    return f"{result['dataset']}@{result['version']}"


def lesson(name: str, dataset: Job, test: Job | None, options: Mapping[str, Any]) -> Call[Job]:
    """Teach a recognizer the very versions of datasets that jobs have read."""
    tested = {"test": uploaded(test)} if test else {}
    return _call("POST", f"{_path(name)}/teach", accepted, json={"dataset": uploaded(dataset)} | tested | dict(options))


def training(name: str, dataset: Job, options: Mapping[str, Any]) -> Call[Job]:
    """Train a recognizer on the very version of a dataset that a job has read."""
    return _call("POST", f"{_path(name)}/train", accepted, json={"dataset": uploaded(dataset)} | dict(options))


def example(name: str, image: Image, label: str, teach: bool) -> Call[Job]:
    """Say what an image shows."""
    params = {"label": label, "teach": "true" if teach else "false"}
    headers = {"Content-Type": "application/octet-stream"}
    return _call("POST", f"{_path(name)}/examples", accepted, params=params, content=encoded(image), headers=headers)


def evaluation(name: str, dataset: str) -> Call[Job]:
    """Measure a recognizer on a dataset that the service has."""
    return _call("POST", f"{_path(name)}/evaluate", accepted, json={"dataset": dataset})


def evaluated(job: Job) -> Call[dict[str, Any]]:
    """The report that came of an evaluation."""
    result = job.result or {}
    return report(f"{result['recognizer']}@{result['version']}", result["dataset"])


def audit(dataset: str, backbone: str) -> Call[Job]:
    """Find what is wrong with a dataset that the service has."""
    return _call("POST", f"{_dataset_path(dataset)}/audit", accepted, params={"backbone": backbone})


def report(name: str, dataset: str | None) -> Call[dict[str, Any]]:
    return _call("GET", f"{_path(name)}/report", document_of, params={"dataset": dataset} if dataset else {})


def jobs() -> Call[Page[Job]]:
    return listing("/v1/jobs", "jobs", _job)


def datasets() -> Call[Page[Listed]]:
    return listing("/v1/datasets", "datasets", listed)


def dataset(name: str) -> Call[dict[str, Any]]:
    return _call("GET", _dataset_path(name), document_of)


def remove_dataset(name: str, force: bool) -> Call[None]:
    return _call("DELETE", _dataset_path(name), _said, params={"force": force})


def remove(name: str, force: bool) -> Call[None]:
    return _call("DELETE", _path(name), _said, params={"force": force})


def set_alias(name: str, alias: str, version: int) -> Call[Listed]:
    return _call("POST", f"{_path(name)}/aliases", _listed, json={"alias": alias, "version": version})


def rollback(name: str, alias: str) -> Call[Listed]:
    return _call("POST", f"{_path(name)}/rollback", _listed, json={"alias": alias})


def versions(name: str) -> Call[Page[Listed]]:
    return listing(f"{_path(name)}/versions", "versions", listed)


def reports(name: str) -> Call[Page[Measured]]:
    return listing(f"{_path(name)}/reports", "reports", _measured)


def cancel(job: int) -> Call[Job]:
    return _call("DELETE", f"/v1/jobs/{job}", lambda response: _job(document_of(response)))


def taught(job: Job) -> Taught:
    """What came of a lesson."""
    result = job.result or {}
    accuracy = result.get("accuracy") or result.get("ap50") or result["exact"]
    interval = (accuracy["low"], accuracy["high"])
    return Taught(result["recognizer"], result["version"], result["digest"], accuracy["value"], interval, result)


def _call(method: str, url: str, read: Any, **more: Any) -> Call[Any]:
    return Call({"method": method, "url": url} | more, read)


def _said(response: httpx.Response) -> None:
    document_of(response)


def _listed(response: httpx.Response) -> Listed:
    return listed(document_of(response))


def _dataset_path(name: str) -> str:
    return f"/v1/datasets/{quote(name, safe='@')}"


def _path(name: str) -> str:
    return f"/v1/recognizers/{quote(name, safe='@')}"


def _measured(row: Mapping[str, Any]) -> Measured:
    return Measured(row["kind"], row["dataset"], tuple(row["names"]), row["created"])


def accepted(response: httpx.Response) -> Job:
    """The job that will do it."""
    return _job(document_of(response)["job"])


def _job(row: Mapping[str, Any]) -> Job:
    return Job(**{field.name: row[field.name] for field in fields(Job)})
