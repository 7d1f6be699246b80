"""Looking at images, and looking after recognizers.

Progress is told to a callback as the step and the share of it that is done, 0 to 1.
"""

from __future__ import annotations

import difflib
import glob
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mingmu.core.answers import ANY, Answer, Wish
from mingmu.core.artifact import PROBES, Artifact
from mingmu.core.artifact import verify as verify_files
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadModel, BadRequest, Conflict, MingmuError, NotFound
from mingmu.core.labels import clean_label
from mingmu.core.network import Network
from mingmu.core.pixels import Limits, whole
from mingmu.core.probes import probe_images_of
from mingmu.core.recognizer import Recognizer
from mingmu.core.video import Every
from mingmu.registry import bundle
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version, check_name
from mingmu.settings import Settings
from mingmu.verbs.drawing import Drawings, write
from mingmu.verbs.video import EACH_SECOND, VIDEO_SUFFIXES, Look, holds_video, looks
from mingmu.zoo import catalog

if TYPE_CHECKING:
    from mingmu.core.manifest import Origin
    from mingmu.core.pixels import PixelSpec
    from mingmu.zoo.adopt import Normalisation
    from mingmu.zoo.detectors import Decoding

Progress = Callable[[str, float], None]

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo", ".avif", ".heic", ".heif"))
STDIN = "-"


class Step(str):
    """A step as a log has it, once; a terminal shows `now` in its place, which may change all the while."""

    now: str

    def __new__(cls, said: str, now: str = "") -> Step:
        step = super().__new__(cls, said)
        step.now = now or said
        return step


def silent(_step: str, _share: float) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Opened:
    """A proven recognizer, under the name and version it was asked for."""

    version: Version
    recognizer: Recognizer


@dataclass(frozen=True)
class Stored:
    """What the data folder has under a name; a head comes with its backbone, a chain with its parts and what is beneath these."""

    version: Version
    artifact: Artifact
    beneath: tuple[Artifact, ...]

    @property
    def backbone(self) -> Artifact | None:
        return self.beneath[0] if self.artifact.manifest.head else None

    @property
    def parts(self) -> dict[str, Artifact]:
        """Those of a chain, by what each does."""
        by_digest = {artifact.digest: artifact for artifact in self.beneath}
        return {part.does: by_digest[part.digest] for part in self.artifact.manifest.parts}

    @property
    def size(self) -> int:
        """Bytes on disk, what is beneath included."""
        return sum(artifact.size for artifact in (self.artifact, *self.beneath))


@dataclass(frozen=True)
class Verified:
    """What was checked: every file against its SHA-256, and every probe replayed."""

    stored: Stored
    files: int
    probes: int
    runtime: str


@dataclass(frozen=True)
class Pulled:
    """A recognizer that is ready, or weights whose task is not served yet."""

    entry: catalog.Entry
    version: Version | None
    path: Path | None


def ensure(store: Store, reference: str, progress: Progress = silent) -> Version:
    """The version that `name` or `name@3` means; one that the catalog has ready is made at its first use, from weights that may be fetched.

    Raises NotFound with the names there are, PullFailed, MissingExtra. Processes that ask at the same time make it once.
    """
    from mingmu.zoo.ready import seal_ready

    name = reference.partition("@")[0]
    try:
        return store.resolve(reference)
    except NotFound:
        if reference != name and name in store.names():  # it is the version that is unknown
            raise
    entry = _ready(store, name)
    with store.lock(f"seal-{name}"):
        if name not in store.names():  # nobody else has built it meanwhile
            store.publish(name, seal_ready(store.add, entry, store.weights, store.mirror, progress).digest)
    return store.resolve(reference)


def open_recognizer(settings: Settings, reference: str, progress: Progress = silent) -> Opened:
    """Load a recognizer and prove it; built first if it ships with Mingmu. Raises NotFound, BadArtifact, Unproven."""
    store = Store.of(settings)
    version = ensure(store, reference, progress)
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side)
    return Opened(version, Library(store, limits=limits).open(version.digest))


def recognize(
    recognizer: Recognizer,
    sources: Iterable[str],
    *,
    wish: Wish = ANY,
    threads: int = 0,
    every: Every = EACH_SECOND,
    draw: Path | None = None,
) -> Iterator[tuple[str, Answer | MingmuError]]:
    """Each source with its answer or the error it alone met, in order, while the next ones are already being looked at.

    A source is a path or `-` for standard input. Of a video come the pictures at the times that `every` means, each as a source
    of its own: `clip.mp4#t=1.500`. `threads` 0 takes what the CPU quota grants. Into `draw`, a file or a folder, come the pictures with
    their answers drawn on them. Raises NoCoverage, BadRequest for what the recognizer cannot give.
    """
    recognizer.check(wish)
    drawings = Drawings(draw) if draw else None
    workers = threads or cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        running: deque[tuple[str, Callable[[], Answer | MingmuError]]] = deque()
        try:
            for source, look in _looks(recognizer, sources, wish, workers, every, drawings):
                running.append((source, pool.submit(look).result))
                if len(running) > 2 * workers:
                    name, result = running.popleft()
                    yield name, result()
            for name, result in running:
                yield name, result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def check_classifier(recognizer: Recognizer, verb: str) -> None:
    """Raise Conflict for what gives no labels of whole pictures."""
    if recognizer.manifest.task != "classify":
        raise Conflict(f"{_gives(recognizer)}, it is no classifier; {verb} is for classifiers alone, so far")


def check_judged(recognizer: Recognizer, verb: str) -> None:
    """Raise Conflict for what gives neither labels nor boxes."""
    if recognizer.manifest.task not in ("classify", "detect"):
        raise Conflict(f"{_gives(recognizer)}; {verb} is for what gives labels or boxes, so far")


def _gives(recognizer: Recognizer) -> str:
    gives = {"classify": "gives labels", "detect": "finds boxes", "embed": "gives vectors", "locate": "finds lines"}
    return f"{recognizer.manifest.name} {gives.get(recognizer.manifest.task, 'reads text')}"


def image_sources(arguments: Iterable[str], *, videos: bool = False) -> Iterator[str]:
    """The images that paths, folders, glob patterns and `-` stand for; what stands for none is kept as it is.

    Videos in folders are among them only where they are asked for.
    """
    suffixes = IMAGE_SUFFIXES | VIDEO_SUFFIXES if videos else IMAGE_SUFFIXES
    for argument in arguments:
        try:
            found = _meant_by(argument, suffixes)
        except OSError:  # reading it meets the same error, and reports it
            found = []
        yield from found or [argument]


def listing(store: Store) -> list[tuple[str, Stored | MingmuError]]:
    """Every recognizer of the data folder by name, or what is wrong with it."""
    return [(name, _found(store, name)) for name in store.names()]


def available(store: Store) -> list[catalog.Entry]:
    """What the catalog has and the data folder has not."""
    here = {*store.names(), *(path.name for path in store.weights.iterdir())}
    return [entry for entry in catalog.CATALOG if here.isdisjoint((entry.name,) if entry.ready else (entry.file,))]


def show(store: Store, reference: str, progress: Progress = silent) -> Stored:
    """What a recognizer is. Raises NotFound, BadArtifact."""
    version = ensure(store, reference, progress)
    artifact, *beneath = store.shelf.with_needed(version.digest)
    return Stored(version, artifact, tuple(beneath))


def verify(store: Store, reference: str, progress: Progress = silent) -> Verified:
    """Check every file, and replay the probes, those of what is beneath included. Raises BadArtifact, Unproven."""
    stored = show(store, reference, progress)
    artifacts = [stored.artifact, *stored.beneath]
    for artifact in artifacts:
        verify_files(artifact)
    recognizer = Library(store).open(stored.version.digest)
    probes = sum(map(_probes_in, artifacts))
    return Verified(stored, sum(len(artifact.manifest.files) for artifact in artifacts), probes, recognizer.network.runtime.name)


def _probes_in(artifact: Artifact) -> int:
    if artifact.manifest.kind == "chain":
        return len(probe_images_of(artifact))
    return len(next(iter(artifact.arrays(PROBES).values())))


def pull(settings: Settings, name: str, progress: Progress = silent) -> Pulled:
    """Make something of the catalog available; a chain that can have more parts, with those that can be had by now.

    Raises NotFound, PullFailed, MissingExtra.
    """
    from mingmu.zoo.pull import pull as fetch
    from mingmu.zoo.ready import seal_ready

    store = Store.of(settings)
    entry = catalog.entry(name)
    if isinstance(entry.source, catalog.Chain) and entry.source.more:
        made = seal_ready(store.add, entry, store.weights, store.mirror, progress)
        return Pulled(entry, store.publish(name, made.digest), None)
    if entry.ready:
        return Pulled(entry, ensure(store, name, progress), None)
    path = fetch(entry, store.weights, store.mirror, lambda have, size: progress(f"fetching {entry.file}", have / size))
    return Pulled(entry, None, path)


def import_model(
    store: Store,
    model: bytes,
    labels: str,
    *,
    name: str,
    normalisation: Normalisation,
    pixels: PixelSpec,
    origin: Origin,
    decoding: Decoding | None = None,
) -> Version:
    """Adopt an ONNX classifier; or a detector, where its `decoding` is given. Seal it, prove it, publish it under `name`.

    Raises BadModel, Unproven.

    `labels` has one label a line in the order of the scores, or an id, a tab and a label.
    """
    from mingmu.core.sealing import seal_network
    from mingmu.zoo.adopt import adopt
    from mingmu.zoo.detectors import adopt_detector

    check_name(name)
    texts, ids = _parse_labels(labels)
    adopted = adopt if decoding is None else partial(adopt_detector, decoding=decoding)
    graph, manifest = adopted(model, name=name, labels=texts, label_ids=ids, normalisation=normalisation, pixels=pixels, origin=origin)
    artifact = store.add(lambda folder: Network.open(seal_network(folder, manifest, graph)).prove())
    return store.publish(name, artifact.digest)


def export(store: Store, reference: str, file: Path, progress: Progress = silent) -> Stored:
    """Write a recognizer into one file. Raises NotFound, BadArtifact."""
    stored = show(store, reference, progress)
    bundle.pack(store, stored.version.digest, file)
    return stored


def install(store: Store, file: Path, name: str | None = None) -> Version:
    """Take in a file that `export` wrote, once it has proven itself here. Raises BadArtifact, Unproven."""
    return bundle.unpack(store, file, name)


def _ready(store: Store, name: str) -> catalog.Entry:
    """What the catalog has ready under a name; raises NotFound."""
    ours = {entry.name: entry for entry in catalog.CATALOG if entry.ready}
    if name in ours:
        return ours[name]
    known = sorted({*store.names(), *ours})
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known[:20])}"
    raise NotFound(f"no recognizer named {name!r}; {hint}")


def _found(store: Store, name: str) -> Stored | MingmuError:
    try:
        return show(store, name)
    except MingmuError as error:
        return error


def _looks(
    recognizer: Recognizer, sources: Iterable[str], wish: Wish, threads: int, every: Every, drawings: Drawings | None
) -> Iterator[tuple[str, Look]]:
    """Each picture with the call that looks at it."""
    for source in sources:
        if source != STDIN and holds_video(source):
            yield from looks(recognizer, source, every, wish=wish, threads=threads, drawings=drawings)
        else:
            # Standard input is read here: a thread that waits for a person cannot be stopped by Ctrl-C.
            data = sys.stdin.buffer.read(recognizer.limits.max_bytes + 1) if source == STDIN else None
            yield source, partial(_look, recognizer, source, data, wish, drawings.place(source) if drawings else None)


def _look(recognizer: Recognizer, source: str, data: bytes | None, wish: Wish, place: Path | None) -> Answer | MingmuError:
    try:
        data = _read(source, recognizer.limits.max_bytes) if data is None else data
        answer = recognizer.interpret(recognizer.read(recognizer.frame(data)), wish)
        if place:
            seen = whole(data, recognizer.limits)
            write(place, seen.pixels, answer, seen.original)
        return answer
    except MingmuError as error:
        return error


def _read(source: str, limit: int) -> bytes:
    """At most one byte more than `limit`: enough to be refused, and no memory spent on it."""
    try:
        if Path(source).is_dir():
            os.listdir(source)  # noqa: PTH208 - only to learn whether it can be
            raise NotFound(f"no images in this folder; looked for {', '.join(sorted(IMAGE_SUFFIXES))}")
        with Path(source).open("rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError:
        raise NotFound("no file matches this pattern" if glob.has_magic(source) else "no such file") from None
    except OSError as error:
        raise BadRequest(f"the file cannot be read: {error.strerror or error}") from error


def _meant_by(argument: str, suffixes: frozenset[str]) -> list[str]:
    path = Path(argument)
    if path.is_dir():
        return _images_in(path, suffixes)
    return _matches(argument) if glob.has_magic(argument) and not path.exists() else []


def _images_in(folder: Path, suffixes: frozenset[str]) -> list[str]:
    """The images in a folder and below; folders that cannot be listed are among them, so that they are reported."""
    unlisted: list[OSError] = []
    paths = [Path(place, name) for place, _, names in os.walk(folder, onerror=unlisted.append) for name in names]
    images = [str(path) for path in paths if path.suffix.lower() in suffixes and path.is_file()]
    return sorted([*images, *(error.filename for error in unlisted)])


def _matches(pattern: str) -> list[str]:
    found = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
    return sorted(path for path in found if Path(path).is_file())


def _parse_labels(text: str) -> tuple[Sequence[str], Sequence[str]]:
    rows = [line.rpartition("\t") for line in text.splitlines() if line.strip()]
    ids = [row[0] for row in rows]
    if any(ids) and not all(ids):
        raise BadModel(f"{ids.count('')} of {len(rows)} labels have no id; give each an id and a tab, or none")
    return [clean_label(row[2]) for row in rows], ids if all(ids) else []
