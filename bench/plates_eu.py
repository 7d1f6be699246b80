"""How well European plates are found and read: `python -m bench.plates_eu [--folder DIR]` (extra `text` for PP-OCR's reader).

DIR is ../shared/data/plates-eu unless told otherwise: frames of four drives through Romania. Their texts are in bench/plates-eu.tsv, read
off enlarged; plates that cannot be read so are not in the table. The reader never saw a real plate, so all of them measure it. The detector
learned from two of the drives, so it is measured on the two others, and on the frames that were published as a test, of a drive that
taught it.

Then each plate is looked at from nearer: the photo is cut so that the plate fills a tenth, a fifth, … of its width. Intervals allow for the
frames of one plate being alike.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mingmu import verbs
from mingmu.core.answers import Boxes, Plates
from mingmu.core.errors import MingmuError
from mingmu.core.recognizer import Recognizer
from mingmu.data.dataset import Example
from mingmu.evaluate.report import BoxReport
from mingmu.evaluate.text_measures import measure_texts
from mingmu.evaluate.transcripts import Said, Transcripts
from mingmu.evaluate.words import interval, percent
from mingmu.registry.store import Store
from mingmu.settings import Settings
from mingmu.tasks.plate_rules import PATTERNS, bare, ranked
from mingmu.tasks.read import line_of
from tools.make_plate_photos import CLIPS, boxes_of

FOLDER = Path(__file__).parents[2] / "shared/data/plates-eu"
TABLE = Path(__file__).with_name("plates-eu.tsv")
Corners = NDArray[np.float64]  # [4]: left, top, right, bottom

SHARES = (0.1, 0.2, 0.3, 0.5)  # of a photo's width that a plate fills
SAME = 0.5  # of the union of two boxes
ENLARGED = 640  # pixels that a cut photo is wide


@dataclass(frozen=True)
class Known:
    """A plate whose text is known."""

    photo: Path
    box: Corners  # [4]
    text: str

    @property
    def taught(self) -> bool:
        """Whether the detector learned from this drive."""
        return any(clip in self.photo.name for clip in CLIPS["train"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    report(parser.parse_args().folder)


def report(folder: Path) -> None:
    """Print all of it."""
    plates = known_in(folder)
    others = [plate for plate in plates if not plate.taught]
    print(f"{len(plates)} boxes of {len({plate.text for plate in plates})} European plates whose text is known", flush=True)
    with tempfile.TemporaryDirectory() as data:
        settings = Settings(data_dir=Path(data))
        found = verbs.evaluate(Store.of(settings), "plate-detector", folder / "test")
        if isinstance(found, BoxReport):
            ap = found.measures.ap50
            print(f"detector on the published test: AP50 {percent(ap.value)} ({interval(ap)}), {found.measures.boxes} boxes\n")
        print(f"{'':44} {'read without a mistake':>27} {'characters that are wrong':>27}")
        for name in ("plate-reader", "text-reader"):
            try:
                reader = verbs.open_recognizer(settings, name).recognizer
            except MingmuError as error:
                print(f"{name}: {error}")
                continue
            _print(f"{name}, cut out by hand", plates, [_read(reader, plate) for plate in plates])
        chain = verbs.open_recognizer(settings, "plates").recognizer
        _print("plates, whole frames", plates, [_read_at(chain, *_whole(plate)) for plate in plates])
        _print("plates, whole frames of other drives", others, [_read_at(chain, *_whole(plate)) for plate in others])
        for share in SHARES:
            cuts = [_near(plate, share) for plate in others]
            _print(f"plates, filling {share:.0%} of the width", others, [_read_at(chain, *cut) for cut in cuts])
            there = [_finds(chain.parts["detector"], *cut) for cut in cuts]
            print(f"{'':10} found by the detector: {percent(sum(there) / len(there))}", flush=True)


def known_in(folder: Path) -> list[Known]:
    """The plates of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file, delimiter="\t")]
    photos = [folder / row["photo"] for row in rows]
    boxes = [boxes_of(photo.parents[1] / "annots" / f"{photo.stem}.xml")[int(row["box"])] for photo, row in zip(photos, rows, strict=True)]
    return [Known(photo, box, row["text"]) for photo, box, row in zip(photos, boxes, rows, strict=True)]


def _whole(plate: Known) -> tuple[bytes, Corners]:
    return plate.photo.read_bytes(), plate.box


def _near(plate: Known, share: float) -> tuple[bytes, Corners]:
    """The photo cut around a plate, a little below the middle as on most photos of cars, and where the plate lies then."""
    with Image.open(plate.photo) as opened:
        photo = opened.convert("RGB")
    left, top, right, bottom = plate.box
    shape = np.minimum(photo.size, (right - left) / share * np.array([1, 0.75]))
    start = np.clip(np.array([left + right, top + bottom]) / 2 - shape * (0.5, 0.6), 0, photo.size - shape)
    zoom = ENLARGED / shape[0]
    size = (ENLARGED, round(shape[1] * zoom))
    cut = photo.transform(size, Image.Transform.EXTENT, (*start, *(start + shape)), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    cut.save(file, "JPEG", quality=92)
    return file.getvalue(), (plate.box - np.tile(start, 2)) * zoom


def _read(reader: Recognizer, plate: Known) -> str:
    """A plate's text where a person found it, with the rules of Latin plates."""
    left, top, right, bottom = np.rint(plate.box).tolist()
    with Image.open(plate.photo) as opened:
        cut = opened.convert("RGB").crop((left, top, right, bottom))
    file = io.BytesIO()
    cut.save(file, "PNG")
    labels = reader.manifest.labels
    line = bare(line_of(reader.read(reader.frame(file.getvalue())).rows), labels)
    return ranked(line, labels, PATTERNS["latin"]).text(labels).upper()


def _read_at(chain: Recognizer, photo: bytes, box: Corners) -> str:
    """What the chain reads where a plate is."""
    (answer,) = chain.recognize([photo])
    found = answer.plates if isinstance(answer, Plates) else ()
    return next((each.text for each in found if _shared(each.box, box) > SAME / 2), "")


def _finds(detector: Recognizer, photo: bytes, box: Corners) -> bool:
    (answer,) = detector.recognize([photo])
    found = answer.boxes if isinstance(answer, Boxes) else ()
    return any(_shared((each.x, each.y, each.width, each.height), box) > SAME for each in found)


def _shared(found: tuple[float, float, float, float], box: Corners) -> float:
    """What two boxes have in common, as a share of their union."""
    left, top, width, height = found
    sides = np.minimum((left + width, top + height), box[2:]) - np.maximum((left, top), box[:2])
    both = float(np.prod(sides.clip(min=0)))
    return both / (width * height + float(np.prod(box[2:] - box[:2])) - both)


def _print(what: str, plates: Sequence[Known], read: Sequence[str]) -> None:
    examples = tuple(Example(plate.photo.name, (plate.text,), plate.photo.name, group=plate.text) for plate in plates)
    found = measure_texts(Transcripts((), examples, tuple(Said(text, 1.0) for text in read)))
    exact, wrong = found.exact, found.character_errors
    print(f"{what:44} {percent(exact.value):>8} ({interval(exact)}) {percent(wrong.value, 2):>9} ({interval(wrong)})", flush=True)


if __name__ == "__main__":
    main()
