"""How well European plates are found and read: `python -m bench.plates_eu [--folder DIR]` (extra `text` for PP-OCR's reader).

DIR is shared/data/plates-eu beside the repository unless told otherwise: frames of four drives through Romania. Their texts are in
bench/plates-eu.tsv, read off enlarged; plates that cannot be read so are not in the table. The reader never saw a real plate, so all of
them measure it. The detector learned from two of the drives, so it is measured on the two others, and on the frames that were published
as a test, of a drive that taught it.

Then each plate of the two others is looked at from nearer, as phones do: the photo is cut so that the plate fills a tenth, a fifth, … of
its width; turned both ways, looked at from beside and above, darkened, blurred. Intervals allow for the frames of one plate being alike.
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
from PIL import Image, ImageFilter

from mingmu import verbs
from mingmu.core.answers import Answer, Plate, Plates, Wish
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
from mingmu.tasks.rectification import homography
from tools.make_plate_photos import CLIPS, boxes_of

FOLDER = Path(__file__).parents[2] / "shared/data/plates-eu"
TABLE = Path(__file__).with_name("plates-eu.tsv")
Corners = NDArray[np.float64]  # of a box [4]: left, top, right, bottom; or points [N, 2]

SAME = 0.5  # of the union of two boxes
PHOTO = 640, 480  # pixels of a photo that is cut around a plate
AWAY = 2.0  # widths of such a photo that the camera is away from the plate
NOISE = 4.0  # levels of 255, of a dark photo's pixels


@dataclass(frozen=True)
class Pose:
    """How a photo is taken of a plate."""

    share: float = 0.3  # of its width that the plate fills
    roll: float = 0.0  # degrees that the camera is turned
    beside: float = 0.0  # degrees that it looks from aside
    above: float = 0.0
    light: float = 1.0
    blur: float = 0.0  # pixels


POSES: dict[str, tuple[Pose, ...]] = {
    **{f"filling {share:.0%} of the width": (Pose(share),) for share in (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)},
    **{f"turned by {roll} degrees": (Pose(roll=roll), Pose(roll=-roll)) for roll in (5, 10, 20)},
    **{f"from {side} degrees beside and 20 above": (Pose(beside=side, above=20), Pose(beside=-side, above=20)) for side in (20, 40)},
    **{f"in {light:.0%} of the light": (Pose(light=light),) for light in (0.3, 0.1)},
    **{f"blurred by {blur} pixels": (Pose(blur=blur),) for blur in (2, 3)},
}


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
        print(f"{'':44} {'read without a mistake':>27} {'characters that are wrong':>27} {'found':>9}")
        for name in ("plate-reader", "text-reader"):
            try:
                reader = verbs.open_recognizer(settings, name).recognizer
            except MingmuError as error:
                print(f"{name}: {error}")
                continue
            _print(f"{name}, cut out by hand", plates, [_read(reader, plate) for plate in plates])
        chain = verbs.open_recognizer(settings, "plates").recognizer
        _look(chain, "whole frames", [(plate, plate.photo.read_bytes(), plate.box) for plate in plates])
        _look(chain, "whole frames of other drives", [(plate, plate.photo.read_bytes(), plate.box) for plate in others])
        for said, poses in POSES.items():
            _look(chain, said, [(plate, *taken(plate, pose)) for pose in poses for plate in others])


def known_in(folder: Path) -> list[Known]:
    """The plates of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file, delimiter="\t")]
    photos = [folder / row["photo"] for row in rows]
    boxes = [boxes_of(photo.parents[1] / "annots" / f"{photo.stem}.xml")[int(row["box"])] for photo, row in zip(photos, rows, strict=True)]
    return [Known(photo, box, row["text"]) for photo, box, row in zip(photos, boxes, rows, strict=True)]


def taken(plate: Known, pose: Pose) -> tuple[bytes, Corners]:
    """A photo of a plate, a little below the middle as on most photos of cars, and the box that it has there."""
    with Image.open(plate.photo) as opened:
        frame = opened.convert("RGB")
    left, top, right, bottom = plate.box
    middle = np.array([left + right, top + bottom]) / 2
    shape = np.minimum(frame.size, (right - left) / pose.share * np.array([1, PHOTO[1] / PHOTO[0]]))
    start = np.clip(middle - shape * (0.5, 0.6), 0, frame.size - shape)
    zoom = PHOTO[0] / shape[0]
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * PHOTO[0]
    place = (middle - start) * zoom
    there = homography(_seen(square, pose) + place, square / zoom + middle)
    photo = frame.transform(PHOTO, Image.Transform.PERSPECTIVE, there.ravel()[:8].tolist(), Image.Resampling.BICUBIC)
    photo = photo.filter(ImageFilter.GaussianBlur(pose.blur))
    if pose.light < 1:
        noise = np.random.default_rng(0).normal(0, NOISE, (PHOTO[1], PHOTO[0], 3))
        photo = Image.fromarray(np.clip(np.asarray(photo) * pose.light + noise, 0, 255).astype(np.uint8))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=92)
    corners = _seen((plate.box[[[0, 1], [2, 1], [2, 3], [0, 3]]] - middle) * zoom, pose) + place
    return file.getvalue(), np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def _seen(points: Corners, pose: Pose) -> Corners:
    """Points [N, 2] around the middle of a plate, in pixels, as the camera sees them."""
    roll, beside, above = np.radians([pose.roll, pose.beside, pose.above])
    x, y = points.T
    x, z = x * np.cos(beside), x * np.sin(beside)
    y, z = y * np.cos(above) - z * np.sin(above), z * np.cos(above) + y * np.sin(above)
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    seen: Corners = np.stack([x, y], axis=1) / (1 + z / (AWAY * PHOTO[0]))[:, None]
    return seen


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


def _look(chain: Recognizer, said: str, photos: Sequence[tuple[Known, bytes, Corners]]) -> None:
    """Print what the chain reads where plates are, and how many of them it finds at all."""
    read, found = [], []
    for _, photo, box in photos:
        reading = chain.read(chain.frame(photo))
        sure, all_of_them = (chain.interpret(reading, wish) for wish in (Wish(), Wish(threshold=0)))
        read.append(next((each.text for each in _plates(sure) if _shared(each.box, box) > SAME / 2), ""))
        found.append(any(_shared(each.box, box) > SAME for each in _plates(all_of_them)))
    _print(f"plates, {said}", [plate for plate, _, _ in photos], read, f"{percent(sum(found) / len(found)):>9}")


def _plates(answer: Answer) -> tuple[Plate, ...]:
    return answer.plates if isinstance(answer, Plates) else ()


def _shared(found: tuple[float, float, float, float], box: Corners) -> float:
    """What two boxes have in common, as a share of their union."""
    left, top, width, height = found
    sides = np.minimum((left + width, top + height), box[2:]) - np.maximum((left, top), box[:2])
    both = float(np.prod(sides.clip(min=0)))
    return both / (width * height + float(np.prod(box[2:] - box[:2])) - both)


def _print(what: str, plates: Sequence[Known], read: Sequence[str], there: str = "") -> None:
    examples = tuple(Example(plate.photo.name, (plate.text,), plate.photo.name, group=plate.text) for plate in plates)
    found = measure_texts(Transcripts((), examples, tuple(Said(text, 1.0) for text in read)))
    exact, wrong = found.exact, found.character_errors
    print(f"{what:44} {percent(exact.value):>8} ({interval(exact)}) {percent(wrong.value, 2):>9} ({interval(wrong)}) {there}", flush=True)


if __name__ == "__main__":
    main()
