"""What each kind of job does: arguments in JSON, a verb, its result in JSON. Each runs in a child process of its own."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mingmu.core.errors import NotFound
from mingmu.settings import Settings

if TYPE_CHECKING:
    from mingmu.batch.sources import Source
    from mingmu.data.dataset import Example
    from mingmu.data.finding import Finding
    from mingmu.evaluate.report import AnyReport
    from mingmu.registry.store import Store
    from mingmu.verbs import Teaching, Trained

ERRANDS: Mapping[str, str] = {
    "read": "mingmu.jobs.errands:read",
    "teach": "mingmu.jobs.errands:teach",
    "train": "mingmu.jobs.errands:train",
    "add": "mingmu.jobs.errands:add",
    "batch": "mingmu.jobs.errands:batch",
    "audit": "mingmu.jobs.errands:audit",
    "evaluate": "mingmu.jobs.errands:evaluate",
}
PAUSE = 0.5  # seconds between looks whether another process has let go
MOST_FINDINGS = 1000  # in a result; all are counted

Arguments = Mapping[str, Any]
Progress = Callable[[str, float], None]
Result = dict[str, Any]


def read(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Read an uploaded archive, `upload`, as the newest version of the dataset `name`."""
    from mingmu import verbs
    from mingmu.registry.store import Store

    store, name, upload = Store.of(settings), arguments["name"], Path(arguments["upload"])
    if not upload.exists():
        raise NotFound("the archive is no longer here; send it again")
    reading = verbs.read_dataset(store, upload, name=name, progress=progress)
    findings = _findings(reading.findings)
    version = next(each for each in reversed(store.datasets.versions(name)) if each.digest == reading.dataset.digest)
    store.records.add_report(version.digest, version.digest, json.dumps(findings).encode())
    about = {"dataset": name, "version": version.version, "digest": version.digest, "summary": reading.summary}
    return about | {"images": reading.images, "kept": len(reading.dataset), "labels": dict(reading.dataset.counts()), "findings": findings}


def audit(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Find what is wrong with the dataset `dataset`, with the eyes of `backbone`; its findings are kept, with those of its reading."""
    from mingmu import verbs
    from mingmu.registry.store import Store

    store = Store.of(settings)
    version = store.datasets.resolve(arguments["dataset"])
    audited = verbs.audit(store, version, backbone=arguments["backbone"], progress=progress)
    findings = _findings(audited.findings)
    store.records.add_report(version.digest, version.digest, json.dumps(findings).encode())
    about = {"dataset": version.name, "version": version.version, "digest": version.digest, "images": len(audited.dataset)}
    return about | {"found": dict(Counter(finding.kind for finding in audited.findings)), "findings": findings}


def evaluate(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Measure the recognizer `recognizer` on what it did not learn from of the dataset `dataset`; the report is kept."""
    from mingmu import verbs
    from mingmu.registry.store import Store

    store = Store.of(settings)
    version, dataset = store.resolve(arguments["recognizer"]), store.datasets.resolve(arguments["dataset"])
    report = verbs.evaluate(store, f"{version.name}@{version.version}", dataset, progress)
    return {
        "recognizer": version.name,
        "version": version.version,
        "digest": version.digest,
        "dataset": f"{dataset.name}@{dataset.version}",
        **_figures(report),
    }


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
    return _taught(taught)


def train(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Train the recognizer `name` on the dataset `dataset`, as TrainOptions say."""
    from mingmu import verbs
    from mingmu.core.training import AskedOfTraining, TrainOptions
    from mingmu.registry.store import Store
    from mingmu.train import recipe

    store, name = Store.of(settings), arguments["name"]
    asked = TrainOptions(**{option: arguments[option] for option in AskedOfTraining.__annotations__ if option in arguments})
    chosen = recipe.sent(asked.recipe).changed(net=asked.net, size=asked.size)
    dataset, seconds = arguments["dataset"], asked.seconds
    return _taught(verbs.train_dataset(store, dataset, name=name, recipe=chosen, epochs=asked.epochs, seconds=seconds, progress=progress))


def _figures(report: AnyReport) -> Result:
    """The one figure that sums a recognizer up: of a classifier its accuracy, of a detector its AP50, of a reader the share of texts that
    it reads without a mistake.
    """
    from mingmu.evaluate.box_measures import BoxMeasures
    from mingmu.evaluate.text_measures import TextMeasures

    measures = report.measures
    measured_on = {"source": measures.source, "examples": measures.examples}
    if isinstance(measures, BoxMeasures):
        return {"ap50": asdict(measures.ap50), "measured_on": measured_on}
    if isinstance(measures, TextMeasures):
        return {"exact": asdict(measures.exact), "measured_on": measured_on}
    return {"accuracy": asdict(measures.accuracy), "measured_on": measured_on}


def _taught(taught: Teaching | Trained) -> Result:
    return {
        "recognizer": taught.version.name,
        "version": taught.version.version,
        "digest": taught.version.digest,
        "dataset": f"{taught.dataset.name}@{taught.dataset.version}",
        "labels": [each.label for each in taught.report.measures.classes],
        **_figures(taught.report),
        "findings": _findings(taught.findings),
    }


def add(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Add images, kept as the blobs `images`, with one label to what a recognizer was taught on; with `teach`, teach it again."""
    from mingmu import verbs
    from mingmu.data.dataset import Example
    from mingmu.registry.store import Store

    store, recognizer, label = Store.of(settings), arguments["recognizer"], arguments["label"]
    examples = [Example(image, (label,), f"added/{label}/{image[:16]}") for image in arguments["images"]]
    with store.lock("examples"):
        result = _add(store, recognizer, examples)
    if arguments.get("teach"):
        result |= _taught(verbs.teach_again(store, recognizer, progress=progress))
    return result


def batch(settings: Settings, arguments: Arguments, progress: Progress) -> Result:
    """Look at all images of an upload, a dataset or a URL, working in `folder`; the rows become a blob.

    A process that dies or fails leaves what it did, and the next one that is given the folder goes on from there: unless another
    network runs by then, whose rows would be others.
    """
    from mingmu import verbs
    from mingmu.core.batching import BatchOptions
    from mingmu.registry.store import Store

    store, folder, format = Store.of(settings), Path(arguments["folder"]), arguments["format"]
    options = BatchOptions(**{each.name: arguments.get(each.name) for each in fields(BatchOptions)})
    kept: dict[str, Any] = {"format": format}

    def wait() -> None:
        progress("waiting for the process that is still at it", 0.0)
        time.sleep(PAUSE)

    def watch(done: int, images: int) -> None:
        os.utime(folder)  # or it would be swept up after a day
        progress(f"looking at {images} images", done / images)

    def deliver(result: Path) -> None:
        with result.open("rb") as rows:
            kept["sha256"] = store.blobs.put_stream(rows)
        kept["bytes"] = result.stat().st_size

    opened = verbs.open_recognizer(settings, arguments["recognizer"], progress)
    work = folder / f"work-{opened.recognizer.runs_on[:16]}"
    with _images(store, arguments) as source:
        done = verbs.run_batch(settings, opened, source, work, options, format, deliver, wait=wait, watch=watch)
    progress("done", 1.0)
    about = {"recognizer": opened.version.name, "version": opened.version.version, "digest": opened.version.digest}
    return about | {"images": done.images, "abstained": done.abstained, "errors": done.errors, "labels": done.labels, "file": kept}


def _images(store: Store, arguments: Arguments) -> AbstractContextManager[Source]:
    from mingmu import verbs
    from mingmu.batch.sources import opened

    return nullcontext(verbs.DatasetImages(store, arguments["dataset"])) if arguments["dataset"] else opened(arguments["source"])


def _add(store: Store, recognizer: str, examples: list[Example]) -> Result:
    """A new version of the dataset, with these examples; an image that is in it already takes the new label, and keeps its part."""
    from mingmu.data.dataset import Dataset
    from mingmu.registry.teachable import taught_on
    from mingmu.verbs.lessons import merged

    newest = taught_on(store, recognizer)
    once = {example.image: example for example in examples}
    dataset = merged(Dataset.from_lines(store.datasets.examples(newest)), Dataset.of(once.values()))
    version = store.datasets.add(newest.name, dataset.digest, dataset.to_lines(), newest.digest)
    return {"dataset": version.name, "version": version.version, "digest": version.digest, "images": len(dataset)}


def _findings(findings: tuple[Finding, ...]) -> list[Result]:
    return [asdict(finding) for finding in findings[:MOST_FINDINGS]]
