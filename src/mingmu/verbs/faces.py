"""Comparing faces, and finding people of a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import BadImage, BadRequest, NotFound
from mingmu.core.pipeline import walk
from mingmu.core.pixels import Limits, whole
from mingmu.data.pairs import Pair
from mingmu.evaluate.verification import Compared, FacesReport, measure
from mingmu.registry.galleries import Person, check_embedder
from mingmu.registry.library import Library
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.tasks import identification, verification
from mingmu.tasks.faces import DETECTOR, EMBEDDER, FaceParts, Faces, faces_in, similarity_of
from mingmu.tasks.identification import Identification
from mingmu.tasks.verification import USUAL_RATE, Verdict, check_rate
from mingmu.verbs.drawing import Drawings, write
from mingmu.verbs.recognizing import Progress, ensure, silent


def open_faces(settings: Settings, progress: Progress = silent) -> FaceParts:
    """What finds faces and makes vectors of them, proven; made first of weights that may be fetched. Raises PullFailed, Unproven."""
    store = Store.of(settings)
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_side)
    library = Library(store, limits=limits)
    detector, embedder = (library.open(ensure(store, name, progress).digest) for name in (DETECTOR, EMBEDDER))
    return FaceParts(detector, embedder)


def verify_faces(parts: FaceParts, a: Path, b: Path, rate: float | None = None) -> Verdict:
    """Whether two photos show the same person. Raises UnfitFace, BadImage, NotFound, BadRequest."""
    return walk(verification.verify(parts, _photo(a, parts), _photo(b, parts), rate))


def enrol(store: Store, parts: FaceParts, gallery: str, person: str, photos: Sequence[Path], *, force: bool = False) -> Person:
    """Add the faces of a person to a gallery; all photos, or none. Raises UnfitFace, BadImage, NotFound, BadRequest, Conflict."""
    if gallery in store.galleries.names():
        check_embedder(store.galleries.get(gallery), parts.embedder.digest)
    vectors = walk(identification.fit_faces(parts, [_photo(photo, parts) for photo in photos], force=force))
    return store.galleries.enrol(gallery, parts.embedder.digest, person, vectors)


def identify(
    store: Store, parts: FaceParts, gallery: str, photo: Path, rate: float | None = None, draw: Path | None = None
) -> Identification:
    """Whose faces a photo shows; into `draw`, a file or a folder, comes the photo with their names. Raises BadImage, NotFound, BadRequest,
    Conflict.
    """
    known, data = store.galleries.known(gallery, parts.embedder.digest), _photo(photo, parts)
    found = walk(identification.identify(parts, data, known, rate))
    if draw:
        seen = whole(data, parts.detector.limits)
        write(Drawings(draw).place(str(photo)), seen.pixels, found.boxes(), seen.original)
    return found


def measure_faces(parts: FaceParts, pairs: Sequence[Pair], rate: float | None = None, progress: Progress = silent) -> FacesReport:
    """How well people are told apart in pairs of photos; each photo is looked at once. Pairs without two faces are left out.

    Raises NotFound, BadImage, BadRequest, Conflict.
    """
    rate = USUAL_RATE if rate is None else rate
    check_rate(rate)
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
    compared = Compared(similar, np.array([same for *_, same in shown], np.bool_), a, b)
    return measure(compared, rate, parts.embedder.manifest.embed, sum(not seen.found for seen in found))


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
