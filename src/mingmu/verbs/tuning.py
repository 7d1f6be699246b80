"""Choosing how a network runs on this machine, and making smaller versions of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from pydantic import JsonValue

from mingmu.compress.candidates import candidates
from mingmu.compress.contest import METHOD, Contest
from mingmu.compress.contest import Judge as Asked
from mingmu.compress.variants import Maker
from mingmu.core.artifact import MANIFEST, Artifact, seal
from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadRequest, Conflict, MingmuError, NotFound
from mingmu.core.manifest import Manifest, Precision, Runs
from mingmu.core.network import Network
from mingmu.core.pixels import Frame, PixelSpec
from mingmu.core.recognizer import Recognizer
from mingmu.core.sealing import probe_images, seal_head
from mingmu.data.dataset import Dataset
from mingmu.registry.index import now
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version
from mingmu.registry.tuning import Trial, Tuning, Tunings
from mingmu.verbs.judging import Judge, Photos, photos_of
from mingmu.verbs.neighbours import Homes
from mingmu.verbs.recognizing import Progress, Stored, check_judged, ensure, silent
from mingmu.verbs.spotting import Spotter, boxed_photos_of

SECONDS = 2.0
PHOTOS = 1000
TIMED = 32  # photos
PROBES_ONLY = "no photos: only the probes were compared"


@dataclass(frozen=True)
class Tuned:
    """What was chosen, of which recognizer's network."""

    version: Version
    tuning: Tuning


@dataclass(frozen=True)
class Running:
    """How a recognizer runs on this machine."""

    what: str  # "openvino bf16"
    tuning: Tuning | None  # what was chosen for its network, and the evidence
    refused: str = ""  # why what was chosen is not what runs


@dataclass(frozen=True)
class Compressed:
    """A network before and after; `version` is None where the gate refused it, and nothing was published."""

    version: Version | None
    before: Trial
    after: Trial
    data: str


def tune(
    store: Store, reference: str, source: Path | None = None, *, photos: int = PHOTOS, seconds: float = SECONDS, progress: Progress = silent
) -> Tuned:
    """Measure how the network under a recognizer can run on this machine, and let it run the fastest way that passes the gate.

    With labelled photos (at most `photos` of them) answers are judged, and INT8 is tried, too. Every head on the network runs
    on the variant from the next time it is loaded, but for those that answer otherwise there: they stay. Raises BadRequest,
    NotFound, Conflict.
    """
    version = ensure(store, reference, progress)
    recognizer, sealed = opened(store, version)
    given = _photos_of(store, recognizer, source, photos, progress) if source else None
    found = candidates(sealed.artifact.manifest.runs, photos=given is not None)
    homes = Homes(store, sealed)
    others = homes.neighbours(recognizer.digest) if given else {}
    with _contest(store, homes.at_home(recognizer), others, sealed, given, found, seconds, progress) as contest:
        best, trials = contest.best(), contest.trials
        chosen = best.network.artifact if best.network else sealed.artifact
        if chosen is not sealed.artifact:
            store.add(partial(shutil.copytree, chosen.folder, dirs_exist_ok=True))
    tunings = Tunings(store.data_dir)
    tuning = Tuning(
        network=sealed.artifact.digest,
        chosen=chosen.digest,
        what=str(best.runs),
        machine=str(tunings.machine),
        trials=trials,
        data=given.words if given else PROBES_ONLY,
        method=METHOD,
        created=now(),
        apart=tuple(dict.fromkeys(version.digest for version in best.verdict.apart)),
    )
    tunings.put(tuning)
    progress("done", 1.0)
    return Tuned(version, tuning)


def untune(store: Store, reference: str) -> bool:
    """Let the network under a recognizer run as it was sealed; gives whether a way to run it had been chosen."""
    artifact = store.artifact(ensure(store, reference).digest)
    return Tunings(store.data_dir).forget(_network_of(store, artifact).digest)


def running(store: Store, stored: Stored) -> Running:
    """How a recognizer runs on this machine, and why it does not run as was chosen; it is loaded to see that."""
    library = Library(store)
    tuning = library.tunings.get((stored.backbone or stored.artifact).digest)
    try:
        network = library.open(stored.artifact.digest).network
    except MingmuError as error:
        return Running("nothing here", tuning, str(error))
    apart = tuning is not None and stored.artifact.digest in tuning.apart
    refused = ["it answers otherwise there"] if apart else library.refused.values()
    return Running(str(network.artifact.manifest.runs), tuning, "; ".join(refused))


def compress(
    store: Store,
    reference: str,
    source: Path,
    *,
    precision: Precision = "int8",
    photos: int = PHOTOS,
    seconds: float = SECONDS,
    progress: Progress = silent,
) -> Compressed:
    """Make a new version of a recognizer whose network is kept in fewer bits, INT8; published if it passes the gate.

    Its manifest names the version that it was made from, and says what was measured. Raises BadRequest, NotFound, Conflict.
    """
    if precision != "int8":
        raise BadRequest(
            f"{precision} makes nothing smaller, for weights are kept in 32 bits; `mingmu tune` runs a network so where it is faster"
        )
    version = ensure(store, reference, progress)
    recognizer, sealed = opened(store, version)
    given = _photos_of(store, recognizer, source, photos, progress)
    at_home = Homes(store, sealed).at_home(recognizer)
    with _contest(store, at_home, {}, sealed, given, [Runs(precision=precision)], seconds, progress) as contest:
        before, after = contest.trials
        network = contest.entries[1].network
        if network is None or not after.passed:
            return Compressed(None, before, after, given.words)
        evidence: dict[str, JsonValue] = {
            "how": "mingmu compress",
            "before": before.model_dump(mode="json"),
            "after": after.model_dump(mode="json"),
            "data": given.words,
            "machine": str(Tunings(store.data_dir).machine),
        }
        smaller = store.add(partial(resealed, network.artifact, {"made_by": evidence}))
    new = smaller
    if recognizer.head is not None:
        inherit(store, sealed.artifact.digest, smaller.digest, precision)  # what a network has seen, it has seen in fewer bits, too
        changes = {"parent": recognizer.digest, "made_by": {**recognizer.manifest.made_by, "compressed": evidence}}
        new = store.add(partial(head_on, Network.open(smaller), recognizer, changes))
    inherit(store, version.digest, new.digest, precision)
    progress("done", 1.0)
    return Compressed(store.publish(version.name, new.digest), before, after, given.words)


def opened(store: Store, version: Version) -> tuple[Recognizer, Network]:
    """A recognizer, and its network as it was sealed."""
    library = Library(store, threads=cpu_count())
    recognizer = library.open(version.digest)
    return recognizer, library.sealed(_network_of(store, recognizer.artifact))


def _photos_of(store: Store, recognizer: Recognizer, source: Path, most: int, progress: Progress) -> Photos:
    """The photos that answers are judged on. Raises Conflict for what gives neither labels nor boxes."""
    check_judged(recognizer, "judging by photos")
    find = boxed_photos_of if recognizer.manifest.task == "detect" else photos_of
    return find(store, recognizer, source, most, progress)


def _network_of(store: Store, artifact: Artifact) -> Artifact:
    """What a head sits on, or the whole model itself. Raises Conflict for a chain, which has several."""
    if artifact.manifest.parts:
        parts = {part.does: store.artifact(part.digest).manifest.name for part in artifact.manifest.parts}
        said = ", ".join(f"{name} (its {does})" for does, name in parts.items())
        raise Conflict(f"{artifact.manifest.name} is a chain without a network of its own; it gets faster with its parts: {said}")
    head = artifact.manifest.head
    return artifact if head is None else store.artifact(head.backbone)


@contextmanager
def _contest(
    store: Store,
    recognizer: Recognizer,
    others: Mapping[Version, Recognizer],
    sealed: Network,
    given: Photos | None,
    found: Sequence[Runs],
    seconds: float,
    progress: Progress,
) -> Iterator[Contest]:
    """The sealed network beside variants of it, which are there until the block is left."""
    with tempfile.TemporaryDirectory(prefix="mingmu-") as folder:
        variants = Path(folder, "variants")
        variants.mkdir()
        pixels = sealed.artifact.manifest.pixels
        frames = (frame.pixels for _, frame in readable(store, given.calibration, pixels)) if given else ()
        contest = Contest(sealed, Maker(sealed.artifact, frames), variants, partial(_prove_on, recognizer), progress)
        judge = _judge(store, sealed, recognizer, others, given, Path(folder, "features")) if given else None
        timed = [image for image, _ in islice(readable(store, given.judged, pixels), TIMED)] if given else [*probe_images().values()]
        contest.run(found, judge, timed, recognizer.wants, seconds)
        yield contest


def _judge(
    store: Store, sealed: Network, recognizer: Recognizer, others: Mapping[Version, Recognizer], given: Photos, folder: Path
) -> Asked:
    if recognizer.manifest.task == "detect":
        return Spotter(store, recognizer, given)
    return Judge(store, sealed, recognizer, others, given, folder)


def _prove_on(recognizer: Recognizer, network: Network) -> None:
    replace(recognizer, network=network).prove()


def readable(store: Store, dataset: Dataset, pixels: PixelSpec) -> Iterator[tuple[bytes, Frame]]:
    """The photos as the network sees them; what cannot be read is passed over."""
    for example in dataset:
        try:
            image = store.blobs.get(example.image)
            yield image, pixels.frame(image)
        except MingmuError:
            continue


def resealed(artifact: Artifact, changes: Mapping[str, object], folder: Path) -> None:
    """The same graph and probes, with changes to its manifest: what was measured of it, say."""
    shutil.copytree(artifact.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
    seal(folder, artifact.manifest.model_copy(update=changes))


def head_on(network: Network, recognizer: Recognizer, changes: Mapping[str, object], folder: Path) -> None:
    """The recognizer's head, sealed on another network, with changes to its manifest."""
    manifest, head = recognizer.manifest, recognizer.head
    if manifest.head is None or head is None:
        raise TypeError(f"{manifest.name} is no head")
    spec = manifest.head.model_copy(update={"backbone": network.artifact.digest, "taught_on": None})
    new: Manifest = manifest.model_copy(update={"head": spec, "tolerance": network.artifact.manifest.tolerance, **changes})
    seal_head(folder, new, head.weight, head.bias, network, doubt=head.doubt)


def inherit(store: Store, before: str, after: str, precision: Precision) -> None:
    """What the old version was taught on, the new one was, too: it is not measured on those photos either."""
    try:
        known = store.records.lineage(before)
    except NotFound:
        return
    store.records.add_lineage(after, known.dataset, {**known.settings, "compressed": precision})
