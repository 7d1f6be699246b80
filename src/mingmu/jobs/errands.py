"""What each kind of job does: arguments in JSON, a verb, its result in JSON. Each runs in a child process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mingmu.core.errors import Conflict, NotFound
from mingmu.settings import Settings

if TYPE_CHECKING:
    from mingmu.data.dataset import Example
    from mingmu.data.finding import Finding
    from mingmu.registry.store import Store

ERRANDS: Mapping[str, str] = {
    "read": "mingmu.jobs.errands:read",
    "teach": "mingmu.jobs.errands:teach",
    "add": "mingmu.jobs.errands:add",
}
MOST_FINDINGS = 1000  # in a result; all are counted

Arguments = Mapping[str, Any]
Progress = Callable[[str, float], None]
Result = dict[str, Any]


def read(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Read an uploaded archive, `upload`, as the newest version of the dataset `name`; the archive is then removed."""
    from mingmu import verbs
    from mingmu.registry.store import Store

    store, name, upload = Store.of(settings), arguments["name"], Path(arguments["upload"])
    try:
        reading = verbs.read_dataset(store, upload, name=name, progress=progress)
        if not len(reading.dataset):
            raise Conflict(f"nothing in the archive can be used: {reading.summary}")
        findings = _findings(reading.findings)
        version = next(each for each in reversed(store.datasets.versions(name)) if each.digest == reading.dataset.digest)
        store.records.add_report(version.digest, version.digest, json.dumps(findings).encode())
    finally:
        shutil.rmtree(upload.parent, ignore_errors=True)
    about = {"dataset": name, "version": version.version, "digest": version.digest, "summary": reading.summary}
    return about | {"images": reading.images, "kept": len(reading.dataset), "labels": dict(reading.dataset.counts()), "findings": findings}


def teach(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Teach the recognizer `name` the dataset `dataset`."""
    from mingmu import verbs
    from mingmu.registry.store import Store
    from mingmu.teach.teach import Options

    options = Options(effort=arguments.get("effort", "normal"))
    dataset, backbone = arguments["dataset"], arguments.get("backbone", "general")
    taught = verbs.teach_dataset(Store.of(settings), dataset, name=arguments["name"], backbone=backbone, options=options, progress=progress)
    measures = taught.report.measures
    return {
        "recognizer": taught.version.name,
        "version": taught.version.version,
        "digest": taught.version.digest,
        "dataset": dataset,
        "labels": [each.label for each in measures.classes],
        "accuracy": asdict(measures.accuracy),
        "measured_on": {"source": measures.source, "examples": measures.examples},
        "findings": _findings(taught.findings),
    }


def add(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Add images, kept as the blobs `images`, with one label to what a recognizer was taught on; with `teach`, teach it again."""
    from mingmu.data.dataset import Example
    from mingmu.registry.store import Store

    store, recognizer, label = Store.of(settings), arguments["recognizer"], arguments["label"]
    examples = [Example(image, (label,), f"added/{label}/{image[:16]}") for image in arguments["images"]]
    with store.lock("examples"):
        result = _add(store, recognizer, examples)
    if arguments.get("teach"):
        again = {"name": recognizer, "dataset": f"{result['dataset']}@{result['version']}"}
        result |= teach(settings, {**arguments, **again}, progress)
    return result


def _add(store: Store, recognizer: str, examples: list[Example]) -> Result:
    """A new version of the dataset, with these examples; an image that is in it already takes the new label, and keeps its part."""
    from mingmu.data.dataset import Dataset

    digest = store.records.lineage(store.resolve(recognizer).digest).dataset
    taught_on = store.datasets.with_digest(digest) if digest else []
    if not taught_on:
        raise NotFound(f"the photos that {recognizer} was taught on are no longer here; teach it anew, with all photos")
    newest = store.datasets.resolve(taught_on[-1].name)  # with what was added since
    before = Dataset.from_lines(store.datasets.examples(newest))
    part = {example.image: example.split for example in before}
    new = {example.image: replace(example, split=part.get(example.image)) for example in examples}
    dataset = Dataset.of([*(example for example in before if example.image not in new), *new.values()])
    version = store.datasets.add(newest.name, dataset.digest, dataset.to_lines(), newest.digest)
    return {"dataset": version.name, "version": version.version, "digest": version.digest, "images": len(dataset)}


def _findings(findings: tuple[Finding, ...]) -> list[Result]:
    return [asdict(finding) for finding in findings[:MOST_FINDINGS]]
