"""What each kind of job does: arguments in JSON, a verb, its result in JSON. Each runs in a child process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mingmu.core.errors import Conflict
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
    """Teach the recognizer `name` the dataset `dataset`, as TeachOptions say; the dataset `test`, if there is one, measures it."""
    from mingmu import verbs
    from mingmu.core.teaching import Asked, TeachOptions
    from mingmu.registry.store import Store

    asked = TeachOptions(**{option: arguments[option] for option in Asked.__annotations__ if option in arguments})
    taught = verbs.teach_dataset(
        Store.of(settings),
        arguments["dataset"],
        name=arguments["name"],
        test=arguments.get("test"),
        backbone=asked.backbone,
        add=asked.add,
        options=verbs.options_of(asked),
        progress=progress,
    )
    measures = taught.report.measures
    return {
        "recognizer": taught.version.name,
        "version": taught.version.version,
        "digest": taught.version.digest,
        "dataset": f"{taught.dataset.name}@{taught.dataset.version}",
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
        again = {"name": recognizer, "dataset": f"{result['dataset']}@{result['version']}", "backbone": recognizer}  # on what it is on
        result |= teach(settings, again, progress)
    return result


def _add(store: Store, recognizer: str, examples: list[Example]) -> Result:
    """A new version of the dataset, with these examples; an image that is in it already takes the new label, and keeps its part."""
    from mingmu.data.dataset import Dataset
    from mingmu.registry.teachable import taught_on

    newest = taught_on(store, recognizer)
    before = Dataset.from_lines(store.datasets.examples(newest))
    part = {example.image: example.split for example in before}
    new = {example.image: replace(example, split=part.get(example.image)) for example in examples}
    dataset = Dataset.of([*(example for example in before if example.image not in new), *new.values()])
    version = store.datasets.add(newest.name, dataset.digest, dataset.to_lines(), newest.digest)
    return {"dataset": version.name, "version": version.version, "digest": version.digest, "images": len(dataset)}


def _findings(findings: tuple[Finding, ...]) -> list[Result]:
    return [asdict(finding) for finding in findings[:MOST_FINDINGS]]
