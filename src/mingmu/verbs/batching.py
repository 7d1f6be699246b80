"""Looking at any number of images, and writing a row about each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from mingmu.batch.look import look
from mingmu.batch.rows import check_format, format_of, write
from mingmu.batch.sources import Item, Source
from mingmu.batch.sources import opened as open_source
from mingmu.batch.work import Wait, Work
from mingmu.core.batching import BatchOptions, Format
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest, Conflict
from mingmu.registry.store import Store, Version
from mingmu.settings import Settings
from mingmu.verbs.recognizing import Opened

Watch = Callable[[int, int], object]  # told how many images are done, of how many


@dataclass(frozen=True)
class Batched:
    """What came of a batch."""

    version: Version
    images: int
    resumed: int  # images that an earlier run, cut short, had done
    abstained: int
    errors: Mapping[str, int]  # images by the kind of what was wrong with them
    labels: Mapping[str, int]  # images by their surest label, the most frequent first


class DatasetImages:
    """The images of a dataset, in its order."""

    remote = False

    def __init__(self, store: Store, reference: str) -> None:
        version = store.datasets.resolve(reference)
        self._store = store
        self._version = version
        self.about = {"input": f"{version.name}@{version.version}", "dataset": version.digest}

    def items(self, aside: Path) -> Iterator[Item]:
        for line in self._store.datasets.examples(self._version).splitlines():
            example = json.loads(line)
            yield Item(example.get("name") or example["image"], example["image"])

    def read(self, key: str, limit: int) -> bytes:
        with self._store.blobs.open(key) as blob:
            return blob.read(limit + 1)


def batch(
    settings: Settings, opened: Opened, source: str, out: Path, options: BatchOptions, *, restart: bool = False, watch: Watch
) -> Batched:
    """Look at all images of a folder, list, archive, pattern or URL, and write a row about each into a file.

    The ending of `out` says the format. A run that was cut short goes on from where it stopped, unless `restart`. Raises Conflict where
    `out` is there already, or what was begun there is another batch.
    """
    format = format_of(out)
    folder = out.with_name(f"{out.name}.part")
    if out.is_dir():
        raise BadRequest(f"{out} is a folder; name the file to write in it")
    if out.exists() and not (folder / "begun").exists() and not restart:
        raise Conflict(f"{out} is there already; give another name, or --restart to write it anew")
    with open_source(source) as images:
        return run_batch(
            settings, opened, images, folder, options, format, lambda result: result.replace(out), restart=restart, watch=watch
        )


def run_batch(
    settings: Settings,
    opened: Opened,
    source: Source,
    folder: Path,
    options: BatchOptions,
    format: Format,
    deliver: Callable[[Path], object],
    *,
    restart: bool = False,
    wait: Wait | None = None,
    watch: Watch,
) -> Batched:
    """The same, with any source, working in `folder`, which is then removed; the file with the rows is given to `deliver`.

    `wait` is called again and again while another process works there; without it, that is a Conflict.
    """
    recognizer = opened.recognizer
    recognizer.check(options.wish)
    check_format(format)
    networks = {"recognizer": recognizer.digest, "network": recognizer.runs_on}
    with Work.open(folder, source, {**networks, **source.about, **asdict(options)}, restart, wait) as work:
        done = work.done
        watch(done, work.images)
        looking = look(recognizer, source, work.portions(), options, settings.threads or cpu_count())
        with work.appending() as append, closing(looking):
            for rows in looking:
                append(b"".join(row.line() for row in rows))
                done += len(rows)
                watch(done, work.images)
        tally = write(work.rows, work.result, format)
        deliver(work.result)
        work.remove()
    return Batched(opened.version, tally.images, work.done, tally.abstained, dict(tally.errors), dict(tally.labels.most_common()))
