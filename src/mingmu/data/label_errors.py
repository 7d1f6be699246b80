"""Which labels are probably wrong, from what a classifier thinks of examples that it was not taught with.

Confident learning (C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
2021, section 3.1): each label has its own threshold, the mean probability of its own examples, so that a label the
classifier is unsure of is not suspected more than others. An example is suspected where its probability of its own
label is a small share of that threshold, while another label is likely. Where the classifier does not know a label (few
examples, or a mean probability no better than chance), it accuses none of them. bench/audit.py compares this with cleanlab.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mingmu.core.errors import BadRequest
from mingmu.data.dataset import Dataset
from mingmu.data.finding import Finding

MAX_SHARE = 0.1  # of its label's threshold that a suspected example reaches
MIN_OTHER = 0.5  # of the other label's threshold
JUDGED = 5  # examples of a label: with fewer, the classifier hardly met it, and doubts them all


def label_errors(dataset: Dataset, probabilities: NDArray[np.float32], readable: NDArray[np.bool_]) -> Iterator[Finding]:
    """`label-error` with the label that fits better.

    `probabilities` is [N, C], out of fold, columns as `dataset.labels`. Examples that cannot be decoded, and
    those with no label or several, are passed over: the method is for one label each. Raises BadRequest if the shape does not fit.
    """
    names = dataset.labels
    if probabilities.shape != (len(dataset), len(names)):
        raise BadRequest(
            f"probabilities have the shape {probabilities.shape}; {len(dataset)} examples and {len(names)} labels need as many"
        )
    single = np.array([at for at, example in enumerate(dataset) if len(example.labels) == 1 and readable[at]], np.int64)
    if not len(single):
        return
    given = np.array([names.index(dataset.examples[at].labels[0]) for at in single])
    for row, other, share in suspects(probabilities[single], given):
        example = dataset.examples[single[row]]
        # How far below the limit, put so that it is near the share of planted errors among findings as sure as this.
        confidence = round(1 - 5 * share, 3)
        detail = f"labelled {example.labels[0]}, looks like {names[other]}"
        yield Finding.of("label-error", example.name, detail=detail, confidence=confidence, suggestion=names[other])


def suspects(probabilities: NDArray[np.float32], given: NDArray[np.int64]) -> list[tuple[int, int, float]]:
    """Rows whose label is probably wrong: row, better label, and the share of its own label's threshold that it reaches."""
    count = probabilities.shape[1]
    rows = np.arange(len(given))
    own = probabilities[rows, given]
    totals = np.bincount(given, weights=own, minlength=count)
    held = np.bincount(given, minlength=count)
    thresholds = np.maximum(totals / np.maximum(held, 1), 1e-6)
    known = (held >= JUDGED) & (thresholds > 1 / count)
    others = probabilities.copy()
    others[rows, given] = -1
    best = others.argmax(axis=1)
    share = own / thresholds[given]
    suspected = known[given] & (share < MAX_SHARE) & (others[rows, best] > own) & (others[rows, best] >= MIN_OTHER * thresholds[best])
    return [(int(row), int(best[row]), float(share[row])) for row in np.flatnonzero(suspected)]
