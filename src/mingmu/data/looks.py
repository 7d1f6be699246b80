"""What can be seen of each image without knowing what it shows: can it be decoded, how large, sharp, dark or bright it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mingmu.core.cpus import cpu_count
from mingmu.core.errors import MingmuError
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Blobs, Dataset
from mingmu.data.finding import Finding
from mingmu.data.phash import LUMA, Thumbs, thumb_of

Floats = NDArray[np.float64]

_SPEC = PixelSpec(size=(128, 128), fit="squash")
MAX_DEVIATION = 5.0  # robust standard deviations from the median, on a logarithmic scale
BLURRED = 0.06  # of the median sharpness
DARK, BRIGHT = 40.0, 215.0  # luma that nine tenths of the pixels of a dark image stay below, and of a bright one above


@dataclass(frozen=True, eq=False)
class Looks:
    """One value for each example; NaN, and a black thumbnail, where it cannot be decoded."""

    errors: tuple[str | None, ...]
    thumbs: Thumbs  # uint8 [N, 32, 32]
    sizes: Floats  # [N, 2], upright width and height
    sharpness: Floats  # [N], variance of the Laplacian over the variance of the luma
    low: Floats  # [N], luma that a tenth of the pixels stays below
    high: Floats  # [N], luma that nine tenths stay below

    @property
    def readable(self) -> NDArray[np.bool_]:
        return np.array([error is None for error in self.errors], bool)


def look(dataset: Dataset, blobs: Blobs, progress: Callable[[str, float], None] | None = None) -> Looks:
    """Look at every image of a dataset."""
    rows: list[tuple[str | None, NDArray[np.uint8], tuple[float, ...]]] = []
    with ThreadPoolExecutor(cpu_count()) as pool:
        for row in pool.map(lambda example: _look(example.image, blobs), dataset):
            rows.append(row)
            if progress:
                progress("looking", len(rows) / len(dataset))
    values = np.array([row[2] for row in rows], np.float64).reshape(-1, 5)
    thumbs = np.array([row[1] for row in rows], np.uint8).reshape(-1, 32, 32)
    return Looks(tuple(row[0] for row in rows), thumbs, values[:, :2], values[:, 2], values[:, 3], values[:, 4])


def look_findings(dataset: Dataset, looks: Looks) -> Iterator[Finding]:
    """`unreadable`, and what is unlike the rest: `blurry`, `dark`, `bright`, `odd-size`, `odd-shape`."""
    for at in np.flatnonzero(~looks.readable):
        yield Finding.of("unreadable", dataset.examples[at].name, detail=str(looks.errors[at]))
    if not looks.readable.any():
        return
    width, height = looks.sizes[:, 0], looks.sizes[:, 1]
    with np.errstate(invalid="ignore"):
        area, shape = deviation(np.log(width * height)), deviation(np.log(width / height))
        sharpness, sharper = deviation(np.log(looks.sharpness)), looks.sharpness / np.nanmedian(looks.sharpness)
        strange = {
            "blurry": (sharpness < -MAX_DEVIATION) & (sharper < BLURRED),
            "dark": (looks.high < DARK) & (deviation(looks.high) < -3),
            "bright": (looks.low > BRIGHT) & (deviation(looks.low) > 3),
            "odd-size": np.abs(area) > MAX_DEVIATION,
            "odd-shape": np.abs(shape) > MAX_DEVIATION,
        }
    for kind, marked in strange.items():
        for at in np.flatnonzero(marked):
            yield Finding.of(kind, dataset.examples[at].name, detail=_words(kind, looks, int(at)))


def _words(kind: str, looks: Looks, at: int) -> str:
    match kind:
        case "blurry":
            return f"its sharpness is {looks.sharpness[at] / np.nanmedian(looks.sharpness):.0%} of the median"
        case "dark":
            return f"nine tenths of it are darker than {looks.high[at]:.0f} of 255"
        case "bright":
            return f"nine tenths of it are brighter than {looks.low[at]:.0f} of 255"
    usual = np.nanmedian(looks.sizes, axis=0)
    return f"{looks.sizes[at, 0]:.0f}x{looks.sizes[at, 1]:.0f}; usual is {usual[0]:.0f}x{usual[1]:.0f}"


def deviation(values: Floats, least: float = 0.1) -> Floats:
    """How far each value is from the median, in standard deviations estimated by the median absolute deviation.

    `least` is the smallest standard deviation believed: where all but a few are equal, the rest is not infinitely odd.
    """
    middle = np.nanmedian(values)
    spread = 1.4826 * np.nanmedian(np.abs(values - middle))
    return (values - middle) / max(float(spread), least)


def _look(image: str, blobs: Blobs) -> tuple[str | None, NDArray[np.uint8], tuple[float, ...]]:
    try:
        data = blobs.get(image)
        frame, thumb = _SPEC.frame(data), thumb_of(data)
    except MingmuError as error:
        return str(error), np.zeros((32, 32), np.uint8), (np.nan,) * 5
    luma = frame.pixels @ LUMA
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    low, high = np.percentile(luma, (10, 90))
    return None, thumb, (*frame.original, float(laplacian.var() / (luma.var() + 1.0)) + 1e-6, float(low), float(high))
