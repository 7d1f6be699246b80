"""Are two pictures the same one? Lay one over the other as well as shifting and stretching allow, and correlate.

B. Lucas and T. Kanade, "An Iterative Image Registration Technique", 1981, in the inverse form of S. Baker and I. Matthews,
"Lucas-Kanade 20 Years On", 2004, section 3.2, for four parameters: shift and stretch along x and along y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pairs = NDArray[np.int64]  # [P, 2]

_ROUNDS = 6
_HOPELESS = 0.8  # after one round; copies cut by 5 % have 0.92 and more by then, and nine tenths of what is proposed has less
_CHUNK = 1024  # pairs at a time: about 50 MB for 32x32 thumbnails


def correlations(thumbs: Floats, pairs: Pairs) -> tuple[Floats, Floats]:
    """The correlation, -1 to 1, of each pair of thumbnails [N, S, S] once aligned, float32 [P]; and how it was aligned, float32 [P, 4].

    The first shows at x what the second shows at x + a + b * c, where c is -1 and 1 at the edges; of the four, a and b along x
    come first, in pixels, then those along y. What is below 0.8 is a first guess: most pairs are no copies, and that shows soon.
    """
    scores, how = np.zeros(len(pairs), np.float32), np.zeros((len(pairs), 4), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        left, right = pairs[start : start + _CHUNK].T
        some, shifts = _aligned(thumbs[left], thumbs[right], 1)
        hopeful = np.flatnonzero(some >= _HOPELESS)
        if len(hopeful):
            some[hopeful], shifts[hopeful] = _aligned(thumbs[left[hopeful]], thumbs[right[hopeful]], _ROUNDS)
        scores[start : start + _CHUNK], how[start : start + _CHUNK] = some, shifts
    return scores, how


def _aligned(fixed: Floats, moving: Floats, rounds: int) -> tuple[Floats, Floats]:
    count, side = len(fixed), fixed.shape[1]
    fixed, moving = _standard(fixed), _standard(moving)
    at = np.arange(side, dtype=np.float32)
    centred = (at - (side - 1) / 2) / (side / 2)
    down, across = (gradient.astype(np.float32) for gradient in np.gradient(fixed, axis=(1, 2)))
    slopes = np.stack((across, across * centred, down, down * centred[:, None]), -1).reshape(count, -1, 4)
    turned = slopes.transpose(0, 2, 1)
    hessian = turned @ slopes + 1e-2 * np.eye(4, dtype=np.float32)
    p = np.zeros((count, 4), np.float32)
    seen, warped = np.ones_like(fixed), moving
    for _ in range(rounds):
        error = ((warped - fixed) * seen).reshape(count, -1, 1)
        p -= np.linalg.solve(hessian, turned @ error)[:, :, 0]
        np.clip(p, -side / 10, side / 10, out=p)  # further, any two ovals become the same
        x = at + p[:, :1] + p[:, 1:2] * centred
        y = at + p[:, 2:3] + p[:, 3:] * centred
        warped, seen = _sampled(moving, x, y)
    return _correlation(fixed, warped, seen), p


def _standard(images: Floats) -> Floats:
    flat = images - images.mean(axis=(1, 2), keepdims=True)
    return np.asarray(flat / (flat.std(axis=(1, 2), keepdims=True) + 1e-3), np.float32)


def _sampled(images: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Bilinear samples at the columns x and the rows y, [P, S] each, and 1 where they lie inside."""
    last = images.shape[1] - 1
    inside = ((y >= 0) & (y <= last))[:, :, None] & ((x >= 0) & (x <= last))[:, None, :]
    left, top = (np.clip(np.floor(v), 0, last - 1).astype(np.intp) for v in (x, y))
    fx, fy = np.clip(x - left, 0, 1)[:, None, :], np.clip(y - top, 0, 1)[:, :, None]
    rows = np.take_along_axis(images, top[:, :, None], 1) * (1 - fy) + np.take_along_axis(images, top[:, :, None] + 1, 1) * fy
    sampled = np.take_along_axis(rows, left[:, None, :], 2) * (1 - fx) + np.take_along_axis(rows, left[:, None, :] + 1, 2) * fx
    return sampled.astype(np.float32), inside.astype(np.float32)


def _correlation(a: Floats, b: Floats, weight: Floats) -> Floats:
    """Pearson's, over the pixels that both show, slightly blurred: compression and resizing differ in the finest detail only."""
    from scipy.ndimage import gaussian_filter

    axes = (1, 2)
    a, b = (gaussian_filter(image, (0, 1, 1)) for image in (a, b))
    total = weight.sum(axes) + 1e-9
    a = (a - ((a * weight).sum(axes) / total)[:, None, None]) * weight
    b = (b - ((b * weight).sum(axes) / total)[:, None, None]) * weight
    return np.asarray((a * b).sum(axes) / np.sqrt((a * a).sum(axes) * (b * b).sum(axes) + 1e-9), np.float32)
