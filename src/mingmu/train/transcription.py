"""What a training of a reader makes small: a network spells a text in columns, and nobody has to say which column is which character."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from mingmu.train.augment import augment
from mingmu.train.feed import PAD, Batch, Photos
from mingmu.train.nets.classifier import Classifier
from mingmu.train.objective import Objective
from mingmu.train.prediction import predict
from mingmu.train.recipe import Recipe
from mingmu.train.team import Team


class Transcription(Objective):
    """How unlikely a network makes a text, over all ways in which its columns may spell it; class 0 is the blank between characters.

    Connectionist temporal classification: A. Graves and others, ICML 2006, equation 14.
    """

    def __init__(self, frame: tuple[int, int]) -> None:
        """With the width and height of the pixels that the network reads."""
        super().__init__()
        self._frame = frame

    def forward(self, net: Classifier, pixels: Tensor, targets: Tensor) -> Tensor:
        return loss_of(net(pixels), targets)

    def prepared(self, net: Classifier, batch: Batch, size: int, recipe: Recipe, chance: Generator) -> tuple[Tensor, Tensor]:
        """Changed photos, and texts [N, L]. No two photos are mixed: half of two texts is no text."""
        return augment(batch.pixels, self._frame, recipe.augment, chance), batch.classes

    def judged(self, net: Classifier, photos: Photos, precision: str, team: Team) -> tuple[float, float]:
        """The loss, and the share of texts that are read without a mistake; each process looks at all of them."""
        logits, texts = predict(net, photos, precision), torch.from_numpy(photos.classes)
        right = [found == [c for c in text if c != PAD] for found, text in zip(spelled(logits), texts.tolist(), strict=True)]
        return float(loss_of(logits, texts)), sum(right) / len(right)


def loss_of(logits: Tensor, texts: Tensor) -> Tensor:
    """The mean over N of logits [N, T, C] and texts [N, L], by the character; what cannot be spelled in T columns counts nothing."""
    columns = logits.float().log_softmax(dim=2).transpose(0, 1)
    lengths = (texts != PAD).sum(dim=1)
    spans = torch.full_like(lengths, len(columns))
    return functional.ctc_loss(columns, texts.clamp(min=0), spans, lengths, zero_infinity=True)


def spelled(logits: Tensor) -> Sequence[list[int]]:
    """The classes that logits [N, T, C] spell: the surest of each column, without repetitions, then without blanks."""
    return [[c for c in torch.unique_consecutive(row).tolist() if c] for row in logits.argmax(dim=2)]
