"""How well faces are told apart: `python -m bench.faces [--quick] [PAIRS]` (weights: `shared/weights` beside the repository).

PAIRS are pairs of photos, as a table or as LFW lists them; without them `shared/data/faces/master.csv` there. Each half of the people is
measured by the threshold that the other sets: accuracy, ROC and equal error rate, with 95 % intervals. Then the same with the faces
alone, grey and cut out tightly, 94x125 and 47x62 pixels, as benchmarks of old have them. Last, every second person is enrolled by one
photo, and all other photos are identified.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mingmu import verbs
from mingmu.core.pipeline import walk
from mingmu.core.pixels import PixelSpec, encode_png, whole
from mingmu.data.pairs import Pair, read_pairs
from mingmu.settings import Settings
from mingmu.tasks.faces import FaceParts, faces_in
from mingmu.tasks.identification import fit_faces, identify
from mingmu.tasks.known import NOBODY

SHARED = Path(__file__).resolve().parents[1] / "../shared"
EYE_DISTANCE, EYES = 42, (47, 43)  # of a cut of 94x125 pixels: how far apart they are, and where the middle between them lies
CUTS = ((94, 125), (47, 62))


def main() -> int:
    parser = argparse.ArgumentParser(description="How well faces are told apart.")
    parser.add_argument("pairs", nargs="?", type=Path, default=SHARED / "data/faces/master.csv", help="pairs of photos")
    parser.add_argument("--quick", action="store_true", help="the photos as they are, and no others")
    parser.add_argument("--data-dir", type=Path, help="where the recognizers are; else a folder that is removed")
    given = parser.parse_args()
    if not (given.pairs.is_file() and (SHARED / "weights").is_dir()):
        print(f"SKIPPED: {given.pairs} or {SHARED / 'weights'} is missing")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        parts = verbs.open_faces(Settings(data_dir=given.data_dir or Path(scratch), mirror=str(SHARED / "weights")))
        pairs = read_pairs(given.pairs)
        show("the photos as they are", parts, pairs)
        for size in () if given.quick else CUTS:
            show(f"faces alone, grey, {size[0]}x{size[1]} pixels", parts, cut(parts, pairs, Path(scratch), size))
        exercise(parts, pairs)
    return 0


def show(what: str, parts: FaceParts, pairs: Sequence[Pair]) -> None:
    print(f"\n== {what}", *verbs.measure_faces(parts, pairs).lines(), sep="\n")


def cut(parts: FaceParts, pairs: Sequence[Pair], folder: Path, size: tuple[int, int]) -> list[Pair]:
    """The same pairs, of the faces alone."""
    photos = {photo: folder / f"{number}-{size[0]}.png" for number, photo in enumerate({*each(pairs)})}
    for photo, file in photos.items():
        file.write_bytes(tight(parts, photo.read_bytes(), size))
    return [replace(pair, a=photos[pair.a], b=photos[pair.b]) for pair in pairs]


def tight(parts: FaceParts, photo: bytes, size: tuple[int, int]) -> bytes:
    """The largest face of a photo, grey, as a PNG without any margin."""
    left, right = np.array(walk(faces_in(parts, photo, most=1)).faces[0].box.landmarks[:2])
    scale = float(np.hypot(*(right - left))) / EYE_DISTANCE
    x, y = ((left + right) / 2 - np.array(EYES) * scale).round().astype(int)
    pixels = whole(photo, most=16_384).pixels[max(0, y) : y + round(CUTS[0][1] * scale), max(0, x) : x + round(CUTS[0][0] * scale)]
    grey = np.repeat(pixels.mean(axis=2, keepdims=True).round(), 3, axis=2).astype(np.uint8)
    return encode_png(PixelSpec(size=size, fit="squash").frame_of(grey).pixels)


def exercise(parts: FaceParts, pairs: Sequence[Pair]) -> None:
    """Enrol one photo of every second person, identify all other photos, and count."""
    people = people_of(pairs)
    enrolled = {person: photos[0].read_bytes() for person, photos in enumerate(people) if person % 2 == 0}
    vectors = np.stack(walk(fit_faces(parts, [*enrolled.values()], force=True)))
    known = NOBODY.later(NOBODY.numbers, np.arange(len(enrolled)), [*map(str, enrolled)], vectors)
    right = wrong = of_known = named = of_others = 0
    for person, photos in enumerate(people):
        for photo in photos[1:] if person in enrolled else photos:
            faces = walk(identify(parts, photo.read_bytes(), known)).faces
            name = faces[0].person if faces else None
            if person in enrolled:
                of_known, right, wrong = of_known + 1, right + (name == str(person)), wrong + (name not in (None, str(person)))
            else:
                of_others, named = of_others + 1, named + (name is not None)
    print(f"\n== {len(enrolled)} people enrolled by one photo each, {len(people) - len(enrolled)} others unknown")
    print(f"{of_known} more photos of those: {right} named rightly, {wrong} wrongly")
    print(f"{of_others} photos of the others: {named} given a name")


def people_of(pairs: Sequence[Pair]) -> list[list[Path]]:
    """The photos of each person, as far as the pairs tell them."""
    found: dict[Path, list[Path]] = {photo: [photo] for photo in each(pairs)}
    for pair in pairs:
        if pair.same and found[pair.a] is not found[pair.b]:
            found[pair.a].extend(found[pair.b])
            found |= dict.fromkeys(found[pair.b], found[pair.a])
    return list({id(photos): photos for photos in found.values()}.values())


def each(pairs: Sequence[Pair]) -> list[Path]:
    return list(dict.fromkeys(photo for pair in pairs for photo in (pair.a, pair.b)))


if __name__ == "__main__":
    sys.exit(main())
