"""Comparing faces, and finding people of a gallery."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadImage, BadRequest, NotFound
from mingmu.core.manifest import digest_of
from mingmu.core.network import Network
from mingmu.core.pipeline import walk
from mingmu.core.pixels import Limits, whole
from mingmu.core.recognizer import Recognizer
from mingmu.core.sealing import seal_network
from mingmu.data.pairs import Pair
from mingmu.evaluate.verification import Compared, FacesReport, measure
from mingmu.registry.galleries import Person
from mingmu.registry.library import Library
from mingmu.registry.store import Store, Version, check_name
from mingmu.settings import Settings
from mingmu.tasks import identification, verification
from mingmu.tasks.embed import Embed
from mingmu.tasks.faces import DETECTOR, FaceParts, Faces, faces_in, similarity_of
from mingmu.tasks.identification import Identification
from mingmu.tasks.verification import USUAL_RATE, Verdict, check_rate
from mingmu.verbs.drawing import Drawings, write
from mingmu.verbs.recognizing import Progress, ensure, silent

if TYPE_CHECKING:
    from mingmu.core.manifest import Origin
    from mingmu.core.pixels import PixelSpec
    from mingmu.zoo.adopt import Normalisation

FEWEST_STRANGERS = 50  # pairs of different people that an imported embedding is measured on; a few hundred are better
LEAST_SPREAD = 0.01  # of their similarities: real people differ ten times as much, so thresholds made of less mean nothing


def open_faces(settings: Settings, progress: Progress = silent) -> FaceParts:
    """What finds faces and makes vectors of them, proven; made first of weights that may be fetched. Raises PullFailed, Unproven."""
    store = Store.of(settings)
    library = Library(store, limits=_limits(settings))
    detector, embedder = (library.open(ensure(store, name, progress).digest) for name in (DETECTOR, settings.face_embedder))
    return FaceParts(detector, embedder)


def verify_faces(parts: FaceParts, a: Path, b: Path, rate: float | None = None) -> Verdict:
    """Whether two photos show the same person. Raises UnfitFace, BadImage, NotFound, BadRequest."""
    return walk(verification.verify(parts, _photo(a, parts), _photo(b, parts), rate))


def enrol(store: Store, parts: FaceParts, gallery: str, person: str, photos: Sequence[Path], *, force: bool = False) -> Person:
    """Add the faces of a person to a gallery; all photos, or none. Raises UnfitFace, BadImage, NotFound, BadRequest, Conflict."""
    store.galleries.check(gallery, parts.embedder.digest)
    vectors = walk(identification.fit_faces(parts, [_photo(photo, parts) for photo in photos], force=force))
    return store.galleries.enrol(gallery, parts.embedder.digest, person, vectors)


def identify(
    store: Store, parts: FaceParts, gallery: str, photo: Path, rate: float | None = None, draw: Path | None = None
) -> Identification:
    """Whose faces a photo shows; into `draw`, a file or a folder, comes the photo with their names. Raises BadImage, NotFound, BadRequest,
    Conflict.
    """
    drawings = Drawings(draw) if draw else None
    known, data = store.galleries.known(gallery, parts.embedder.digest), _photo(photo, parts)
    found = walk(identification.identify(parts, data, known, rate))
    if drawings:
        seen = whole(data, parts.detector.limits)
        write(drawings.place(str(photo)), seen.pixels, found.boxes(), seen.original)
    return found


def measure_faces(parts: FaceParts, pairs: Sequence[Pair], rate: float | None = None, progress: Progress = silent) -> FacesReport:
    """How well people are told apart in pairs of photos; each photo is looked at once. Pairs without two faces are left out.

    Raises NotFound, BadImage, BadRequest, Conflict.
    """
    rate = USUAL_RATE if rate is None else rate
    check_rate(rate)
    compared, without_face = _compared(parts, pairs, progress)
    return measure(compared, rate, parts.embedder.manifest.embed, without_face)


def import_embedder(
    settings: Settings,
    model: bytes,
    pairs: Sequence[Pair],
    *,
    name: str,
    normalisation: Normalisation,
    pixels: PixelSpec,
    origin: Origin,
    progress: Progress = silent,
) -> Version:
    """Adopt an ONNX network that makes vectors of aligned faces, and publish it under `name`.

    How alike strangers look to it, which its thresholds are made of, is measured on pairs of photos and sealed with it.
    Raises BadModel, Unproven, NotFound, BadImage, BadRequest, PullFailed.
    """
    from mingmu.zoo.embedded import seal_proven
    from mingmu.zoo.embedders import adopt_embedder

    check_name(name)
    graph, manifest = adopt_embedder(model, name=name, normalisation=normalisation, pixels=pixels, origin=origin)
    store, limits = Store.of(settings), _limits(settings)
    detector = Library(store, limits=limits).open(ensure(store, DETECTOR, progress).digest)
    with tempfile.TemporaryDirectory() as folder:
        network = Network.open(seal_network(Path(folder), manifest, graph))
        parts = FaceParts(detector, Recognizer(network.artifact, network, Embed(), limits=limits))
        compared, _ = _compared(parts, _distinct(pairs, parts), progress)
    strangers = compared.similarity[~compared.same]
    if len(strangers) < FEWEST_STRANGERS:
        raise BadRequest(f"{len(strangers)} distinct pairs of different people; at least {FEWEST_STRANGERS} are needed to set thresholds")
    if (spread := float(strangers.std())) < LEAST_SPREAD:
        raise BadRequest(f"different people are all alike to the network: {spread:.2g} of deviation; at least {LEAST_SPREAD} is needed")
    measured = manifest.model_copy(update={"embed": compared.strangers()})
    return store.publish(name, seal_proven(store.add, measured, graph).digest)


def _distinct(pairs: Sequence[Pair], parts: FaceParts) -> list[Pair]:
    """Each pair once, however its photos are called: copies of a photo are one."""
    photos = {photo for pair in pairs for photo in (pair.a, pair.b)}
    digests = {photo: digest_of(_photo(photo, parts)) for photo in photos}
    return [*{frozenset((digests[pair.a], digests[pair.b])): pair for pair in pairs}.values()]


def _compared(parts: FaceParts, pairs: Sequence[Pair], progress: Progress) -> tuple[Compared, int]:
    """What the pairs look like to the networks, and in how many photos no face was found; pairs with such photos are left out."""
    photos = {photo: number for number, photo in enumerate(dict.fromkeys(photo for pair in pairs for photo in (pair.a, pair.b)))}
    found: list[Faces] = []
    with ThreadPoolExecutor(cpu_count()) as pool:
        for seen in pool.map(lambda photo: _largest(parts, photo), photos):
            found.append(seen)
            progress("looking at faces", len(found) / len(photos))
    numbered = [(photos[pair.a], photos[pair.b], pair.same) for pair in pairs]
    shown = [(a, b, same) for a, b, same in numbered if found[a].found and found[b].found]
    similar = np.array([similarity_of(found[a].faces[0].vector, found[b].faces[0].vector) for a, b, _ in shown])
    a, b = (np.array([row[side] for row in shown], np.int64) for side in (0, 1))
    return Compared(similar, np.array([same for *_, same in shown], np.bool_), a, b), sum(not seen.found for seen in found)


def _limits(settings: Settings) -> Limits:
    return Limits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side)


def _largest(parts: FaceParts, photo: Path) -> Faces:
    """The largest face of a photo; an error names the photo."""
    try:
        return walk(faces_in(parts, _photo(photo, parts), most=1))
    except BadImage as error:
        raise type(error)(f"{photo}: {error}") from error


def galleries(store: Store, after: str = "") -> Iterator[dict[str, Any]]:
    """The galleries by name, with the numbers of their people and faces; read a page at a time."""
    while page := store.galleries.listing(after):
        for gallery in page:
            people, faces = store.galleries.size(gallery.name)
            yield {"name": gallery.name, "people": people, "faces": faces, "created": gallery.created}
        after = page[-1].name


def people(store: Store, gallery: str, after: str = "") -> Iterator[Person]:
    """Who is in a gallery, by name; read a page at a time. Raises NotFound at once."""
    store.galleries.get(gallery)

    def every(after: str) -> Iterator[Person]:
        while page := store.galleries.people(gallery, after):
            yield from page
            after = page[-1].person

    return every(after)


def _photo(path: Path, parts: FaceParts) -> bytes:
    """At most one byte more than the limit: enough to be refused."""
    try:
        with path.open("rb") as file:
            return file.read(parts.detector.limits.max_bytes + 1)
    except FileNotFoundError:
        raise NotFound(f"{path}: no such file") from None
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror or error}") from error
