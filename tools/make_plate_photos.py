"""Makes photos to train detectors of number plates on: python -m tools.make_plate_photos OUT --count 5000 [--photos DIR]

DIR is a folder with images/ and annots/ (Pascal VOC) of road scenes with their plates boxed, shared/data/plates-eu/train beside the
repository unless told otherwise. OUT gets the parts train, val and test, parted by drive. In val and test the photos are as they are;
those in train are cut around a plate so that it fills 3 to 65 % of the width, often with a drawn plate of another country in its place,
turned, and lit as the real one was. The same seed makes the same photos.
"""

from __future__ import annotations

import argparse
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.plate_art import latin
from tools.plate_camera import jpeg, pasted, taken, turned

PHOTOS = Path(__file__).resolve().parents[1] / "../shared/data/plates-eu/train"
CLIPS = {  # the drives that teach, that choose the epoch, and that measure
    "train": ("dayride_type1_001", "nightride_type3_001"),
    "val": ("dayride_type1_002",),
    "test": ("dayride_type1_003",),
}
SIDE = 320  # pixels of the longer side of what is made
SHARES = (0.035, 0.65)  # of the width that a plate fills
DRAWN = 0.6  # how often a plate gets another in its place
SMALLEST = 30  # pixels; smaller plates are not what a photo is cut around

Boxes = NDArray[np.float64]  # [N, 4]: left, top, right, bottom


@dataclass(frozen=True)
class Scene:
    file: Path
    boxes: Boxes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=SIDE)
    given = parser.parse_args()
    scenes = by_part(given.photos)
    for part in ("val", "test"):
        (given.out / part).mkdir(parents=True, exist_ok=True)
        for scene in scenes[part]:
            shutil.copy(scene.file, given.out / part)
            shutil.copy(_annotation(scene.file), given.out / part)
    (given.out / "train").mkdir(parents=True, exist_ok=True)
    for number in range(given.count):
        rng = np.random.default_rng((given.seed, number))
        photo, boxes = made(scenes["train"][int(rng.integers(len(scenes["train"])))], rng, given.side)
        file = given.out / "train" / f"{number:05}.jpg"
        file.write_bytes(jpeg(photo, rng))
        file.with_suffix(".xml").write_text(_voc(photo, boxes))


def by_part(photos: Path) -> dict[str, list[Scene]]:
    """The scenes of each part: frames of one drive are alike, so they are in the same one."""
    found: dict[str, list[Scene]] = {part: [] for part in CLIPS}
    for file in sorted((photos / "images").glob("*.jpg")):
        clip = re.split(r"[._]mp4", file.name)[0]
        for part, clips in CLIPS.items():
            if clip in clips:
                found[part].append(Scene(file, boxes_of(_annotation(file))))
    return found


def boxes_of(annotation: Path) -> Boxes:
    sides = ("xmin", "ymin", "xmax", "ymax")
    boxes = ElementTree.parse(annotation).getroot().iter("bndbox")
    return np.array([[float(box.findtext(side, "0")) for side in sides] for box in boxes]).reshape(-1, 4)


def made(scene: Scene, rng: np.random.Generator, side: int) -> tuple[Image.Image, Boxes]:
    """A photo of a plate from some distance, and the boxes of the plates in it."""
    with Image.open(scene.file) as opened:
        frame = opened.convert("RGB")
    large = np.flatnonzero(np.ptp(scene.boxes[:, ::2], axis=1) >= SMALLEST)
    wide, high = side, round(side * float(rng.uniform(0.55, 1.0)))
    most = frame.width * min(1.0, frame.height / frame.width / (high / wide))  # pixels of the frame that a photo is wide at most
    if not len(large) or rng.random() < 0.04:
        chosen, share = None, 0.0
        width = float(rng.uniform(0.3, 1.0)) * most
        middle = rng.uniform((0, 0.3 * frame.height), frame.size)
    else:
        chosen = int(rng.choice(large))
        left, top, right, bottom = scene.boxes[chosen]
        share = float(np.exp(rng.uniform(*np.log(SHARES))))
        width = min(most, (right - left) / share)
        share = (right - left) / width
        middle = np.array([(left + right) / 2, (top + bottom) / 2]) + rng.uniform(-0.5, 0.5, 2) * (
            width * (1 - share),
            width * high / wide * 0.8,
        )
    scale = wide / width
    shape = np.array([width, width * high / wide])
    window = np.clip(middle - shape / 2, 0, np.array(frame.size) - shape)
    coarse = max(1, int(0.7 / scale))
    seen = frame.reduce(coarse) if coarse > 1 else frame
    area = [*(window / coarse), *((window + shape) / coarse)]
    photo = _recoloured(seen.transform((wide, high), Image.Transform.EXTENT, area, Image.Resampling.BILINEAR), rng)
    boxes = (scene.boxes - np.tile(window, 2)) * scale
    if chosen is not None and rng.random() < DRAWN:
        photo, boxes[chosen] = _replaced(photo, boxes[chosen], rng)
    kept = np.clip(boxes, 0, np.tile((wide, high), 2))
    areas, before = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (kept, boxes))
    return taken(photo, rng, max(0.6, share * 3)), kept[(areas > 0.4 * before) & (areas > 20)]


def _recoloured(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """With another balance of colours: often grey on the whole, as most cameras have it, and as that of these drives has not."""
    levels = np.asarray(photo, np.float32)
    gains = rng.uniform(0.8, 1.2, 3)
    if rng.random() < 0.7:
        means = levels.mean(axis=(0, 1)) + 1
        gains = rng.uniform(0.9, 1.1, 3) * means.mean() / means
        gains = gains * float(np.clip(rng.uniform(70, 150) / means.mean(), 1.0, 2.5))  # and as bright as by day
    return Image.fromarray(np.clip(levels * gains, 0, 255).astype(np.uint8))


def _replaced(photo: Image.Image, box: Boxes, rng: np.random.Generator) -> tuple[Image.Image, Boxes]:
    """A photo with a drawn plate where a real one was, as bright; and its box."""
    plate = latin(rng).picture
    there = np.asarray(photo.crop(tuple(round(each) for each in box)), np.float32)
    light = float(np.clip(np.percentile(there, 80) / 225, 0.3, 1.15)) if there.size else 0.7
    left, top, right, bottom = box
    corners = turned(plate.size, (right - left) * float(rng.uniform(1.0, 1.12)), rng, 0.8)
    grow = max(1.0, (bottom - top) * 0.95 / float(np.ptp(corners[:, 1])))  # so that nothing of the real one is left
    corners = corners * grow + ((left + right) / 2, (top + bottom) / 2)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return pasted(photo, plate, corners, rng, light), np.array([*low, *high])


def _annotation(photo: Path) -> Path:
    return photo.parents[1] / "annots" / f"{photo.stem}.xml"


def _voc(photo: Image.Image, boxes: Boxes) -> str:
    """Boxes as Pascal VOC has them."""
    root = ElementTree.Element("annotation")
    size = ElementTree.SubElement(root, "size")
    for key, value in (("width", photo.width), ("height", photo.height), ("depth", 3)):
        ElementTree.SubElement(size, key).text = str(value)
    for box in boxes:
        thing = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(thing, "name").text = "license-plate"
        place = ElementTree.SubElement(thing, "bndbox")
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box.tolist(), strict=True):
            ElementTree.SubElement(place, key).text = f"{value:.1f}"
    return ElementTree.tostring(root, encoding="unicode")


if __name__ == "__main__":
    main()
