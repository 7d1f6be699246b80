"""Photos with boxes as a network learns from them: whole, with the boxes where the frame has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mingmu.core.headers import read_header
from mingmu.core.pixels import PixelSpec
from mingmu.data.dataset import Blobs, Example


def boxed_in_frames(
    examples: Sequence[Example], images: Sequence[str], labels: Sequence[str], pixels: PixelSpec, blobs: Blobs
) -> NDArray[np.float32]:
    """Class, left, top, right and bottom, in pixels of the frame, of each box on images: float32 [N, M, 5]; of none the class is -1."""
    known = {example.image: example for example in examples}
    most = max((len(known[image].regions) for image in images), default=0)
    found = np.zeros((len(images), max(1, most), 5), np.float32)
    found[:, :, 0] = -1
    for row, image in enumerate(images):
        header = read_header(blobs.get(image))
        left, top, right, _ = pixels.box(*(header.size if header.orientation < 5 else header.size[::-1]))
        scale = pixels.size[0] / (right - left)
        for at, box in enumerate(known[image].regions):
            corner, end = (box.x - left, box.y - top), (box.x + box.width - left, box.y + box.height - top)
            found[row, at] = (labels.index(box.label), *(scale * side for side in (*corner, *end)))
    return found
