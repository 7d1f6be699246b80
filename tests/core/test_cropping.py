from __future__ import annotations

import numpy as np
import pytest

from mingmu.core.cropping import loss, usual_loss
from mingmu.core.errors import NotFound
from mingmu.core.pixels import PixelSpec, encode_png


def test_a_wide_photo_loses_both_its_sides_to_the_crop_and_nothing_to_the_other_fits() -> None:
    crop = PixelSpec(size=(32, 32))
    assert loss(crop, 300, 100) == pytest.approx(2 / 3)
    assert loss(crop, 100, 100) == 0
    assert loss(crop.model_copy(update={"margin": 0.5}), 100, 100) == pytest.approx(3 / 4)
    assert [loss(crop.model_copy(update={"fit": fit}), 300, 100) for fit in ("squash", "letterbox")] == pytest.approx([0, 0])


def test_what_the_usual_photo_loses_is_told_from_the_middle_one_and_what_cannot_be_read_does_not_count() -> None:
    sizes = {"square": (20, 20), "wide": (40, 20), "wider": (80, 20)}
    images = {name: encode_png(np.zeros((height, width, 3), np.uint8)) for name, (width, height) in sizes.items()} | {"broken": b"no image"}

    def get(name: str) -> bytes:
        if name not in images:
            raise NotFound(f"there is no {name}")
        return images[name]

    crop = PixelSpec(size=(32, 32))
    assert usual_loss(crop, [*images, "gone"], get) == pytest.approx(1 / 2)
    assert usual_loss(crop, ["broken"], get) == 0


def test_a_photo_that_lies_on_its_side_is_turned_upright_first() -> None:
    from io import BytesIO

    from PIL import Image

    image, exif = BytesIO(), Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 20)).save(image, "JPEG", exif=exif)
    assert usual_loss(PixelSpec(size=(16, 32)), ["it"], lambda _name: image.getvalue()) == pytest.approx(0)
