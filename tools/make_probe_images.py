"""Draws the probe images that ship in src/mingmu/core/probe_images (needs the `demo` extra).

chelsea.jpg  CC0 photo by Stefan van der Walt, stored sideways (EXIF orientation 6)
coffee.jpg   CC0 photo by Rachel Michetti
shapes.jpg   drawn, 1600x1200: large enough to be decoded at a smaller JPEG scale
alpha.png    drawn, 96x64: smaller than any network's input, and half transparent
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

FOLDER = Path(__file__).parents[1] / "src/mingmu/core/probe_images"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to see it upright
    cat = Image.fromarray(data.chelsea()).resize((360, 240), Image.Resampling.LANCZOS)  # type: ignore[no-untyped-call]
    cat.transpose(Image.Transpose.ROTATE_90).save(FOLDER / "chelsea.jpg", quality=85, exif=exif)
    cup = Image.fromarray(data.coffee()).resize((360, 240), Image.Resampling.LANCZOS)  # type: ignore[no-untyped-call]
    cup.save(FOLDER / "coffee.jpg", quality=85)
    Image.fromarray(shapes(1600, 1200)).save(FOLDER / "shapes.jpg", quality=70)
    alpha = np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None].repeat(64, 0)
    Image.fromarray(np.concatenate([shapes(96, 64), alpha], axis=2), "RGBA").save(FOLDER / "alpha.png", optimize=True)


def shapes(width: int, height: int) -> np.ndarray:
    """A colour ramp with discs and stripes, uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    canvas = np.stack([x / 1.5, y, 1 - y], axis=2)
    for cx, cy, radius, colour in [(0.35, 0.4, 0.25, (1, 0.2, 0.1)), (0.9, 0.6, 0.3, (0.1, 0.7, 0.3)), (0.6, 0.8, 0.15, (1, 0.9, 0))]:
        canvas[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = colour
    canvas[(np.sin((x + y) * 60) > 0.7) & (x > 1)] = (0.1, 0.1, 0.1)
    return (canvas * 255).round().astype(np.uint8)


if __name__ == "__main__":
    main()
