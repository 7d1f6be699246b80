"""A small convolutional network, written to be read: docs/training.md explains each of its layers."""

from __future__ import annotations

from torch import nn

from mingmu.train.nets.classifier import Parts, pooling

WIDTHS = (32, 64, 128, 256)  # channels of the blocks, from the pixels up
MIDDLE = (127.5, 127.5, 127.5)


def block(before: int, after: int) -> nn.Sequential:
    """Look around twice (convolution), keep what matters (ReLU), then keep the strongest of each 2x2 places (max pooling)."""
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=2),
    )


def build() -> Parts:
    """Four blocks, each with half the places and twice the channels; then the average over all places. The head is the fully
    connected layer.
    """
    blocks = [block(before, after) for before, after in zip((3, *WIDTHS), WIDTHS, strict=False)]
    return Parts(nn.Sequential(*blocks), pooling(nn.Dropout(0.1)), WIDTHS[-1], pools=True, mean=MIDDLE, deviation=MIDDLE)
