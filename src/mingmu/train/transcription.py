"""What a training of a reader makes small: a network spells a text in columns, and nobody has to say which column is which character."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mingmu.train.augment import Lots, augment
from mingmu.train.feed import PAD, Photos
from mingmu.train.nets.learner import Learner
from mingmu.train.objective import Objective, Portion
from mingmu.train.prediction import predict


class Transcription(Objective):
    """How unlikely a network makes a text, over all ways in which its columns may spell it; class 0 is the blank between characters.

    Connectionist temporal classification: A. Graves and others, ICML 2006, equation 14.
    """

    def __init__(self, frame: tuple[int, int]) -> None:
        """With the width and height of the pixels that the network reads."""
        super().__init__()
        self._frame = frame

    def prepared(self, net: Learner, portion: Portion) -> tuple[Tensor, Tensor]:
        """Changed photos, and texts [N, L]. No two photos are mixed: half of two texts is no text."""
        batch, rows = portion.batch, portion.rows
        lots = Lots(portion.chance, len(batch.truth), rows)
        return augment(batch.pixels[rows], self._frame, portion.recipe.augment, lots, portion.served), batch.truth[rows]

    def forward(self, net: Learner, pixels: Tensor, targets: Tensor) -> Tensor:
        return loss_of(net(pixels), targets)

    def judged(self, net: Learner, held_out: Photos, precision: str) -> tuple[float | None, float]:
        """The loss, and the share of texts that are read without a mistake; each process looks at all of them."""
        logits, texts = predict(net, held_out, precision), torch.from_numpy(held_out.truth)
        right = [found == [c for c in text if c != PAD] for found, text in zip(spelled(logits), texts.tolist(), strict=True)]
        return float(loss_of(logits, texts)), sum(right) / len(right)


def spelling(texts: Sequence[str], alphabet: Sequence[str]) -> NDArray[np.int64]:
    """Texts as the classes of their characters, [N, L], from 1 on, then PAD; a character that is not in the alphabet is 0."""
    number = {character: at for at, character in enumerate(alphabet, start=1)}
    rows = np.full((len(texts), max(map(len, texts), default=0)), PAD, np.int64)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = [number.get(character, 0) for character in text]
    return rows


def loss_of(logits: Tensor, texts: Tensor) -> Tensor:
    """The mean over N of logits [N, T, C] and texts [N, L], by the character; what cannot be spelled in T columns counts nothing."""
    columns = logits.float().log_softmax(dim=2).transpose(0, 1)
    if torch.are_deterministic_algorithms_enabled():
        columns, texts = columns.cpu(), texts.cpu()  # a GPU sums its slopes in any order
    lengths = (texts != PAD).sum(dim=1)
    spans = torch.full_like(lengths, len(columns))
    return functional.ctc_loss(columns, texts.clamp(min=0), spans, lengths, zero_infinity=True).to(logits.device)


def spelled(logits: Tensor) -> Sequence[list[int]]:
    """The classes that logits [N, T, C] spell: the surest of each column, without repetitions, then without blanks."""
    return [[c for c in torch.unique_consecutive(row).tolist() if c] for row in logits.argmax(dim=2)]
