"""Networks that read a line of text: columns of the picture, from left to right, each with what it may be of the alphabet."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mingmu.core.errors import BadModel, NotFound
from mingmu.core.manifest import Origin
from mingmu.train.checkpoint import part_of
from mingmu.train.nets import net_named
from mingmu.train.nets.classifier import Classifier, Parts
from mingmu.train.nets.files import read_state
from mingmu.train.recipe import HARMLESS, NetTable

MIDDLE = (127.5, 127.5, 127.5)
WIDTH = 192  # channels of each column


def lprnet() -> Parts:
    """Thin convolutions alone: small and quick. After S. Zherzdev, A. Gruzdev, "LPRNet: License Plate Recognition via Deep Neural
    Networks", arXiv 1806.10447: their small blocks (table 2), and all of the picture beside each column (section 3.2).
    """
    trunk = nn.Sequential(
        *_normalised(nn.Conv2d(3, 32, 5, stride=2, padding=2, bias=False), 32),
        *_normalised(_thin(32, 64), 64),
        *_normalised(_thin(64, 96), 96),
        nn.MaxPool2d(2),
        *_normalised(_thin(96, 128), 128),
        *_normalised(_thin(128, WIDTH), WIDTH),
        nn.MaxPool2d((2, 1)),
        *_normalised(_thin(WIDTH, WIDTH), WIDTH),
        nn.MaxPool2d((2, 1)),
        *_normalised(nn.Conv2d(WIDTH, WIDTH, (2, 5), padding=(0, 2), bias=False), WIDTH),
    )
    return Parts(trunk, _Columns(nn.Dropout(0.2)), 2 * WIDTH, pools=False, mean=MIDDLE, deviation=MIDDLE)


def crnn() -> Parts:
    """Convolutions, then a memory that runs along the line both ways: B. Shi, X. Bai, C. Yao, "An End-to-End Trainable Neural Network for
    Image-based Sequence Recognition", arXiv 1507.05717, with fewer channels.
    """
    trunk = nn.Sequential(
        *_normalised(nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False), 32),
        *_normalised(nn.Conv2d(32, 64, 3, padding=1, bias=False), 64),
        nn.MaxPool2d(2),
        *_normalised(nn.Conv2d(64, 128, 3, padding=1, bias=False), 128),
        nn.MaxPool2d((2, 1)),
        *_normalised(nn.Conv2d(128, 128, 3, padding=1, bias=False), 128),
        nn.MaxPool2d((2, 1)),
        *_normalised(nn.Conv2d(128, WIDTH, (2, 3), padding=(0, 1), bias=False), WIDTH),
    )
    return Parts(trunk, _Remembered(WIDTH // 2), WIDTH, pools=False, mean=MIDDLE, deviation=MIDDLE)


READERS = {"lprnet": lprnet, "crnn": crnn}


def build_reader(table: NetTable, characters: int, seed: int = 0) -> tuple[Classifier, Origin]:
    """The reader that a recipe asks for, and where its weights come from: nowhere, or the checkpoint of another training.

    Raises what `build` does.
    """
    checkpoint = None if table.weights in HARMLESS else Path(table.weights)
    reader = build(table.name, characters, seed, checkpoint)
    source = f"fine-tuned from {checkpoint.name}" if checkpoint else "trained from nothing"
    provenance = f"network: {net_named(table.name).source}"
    return reader, Origin(source=source, licence="that of the photos it learned from", provenance=provenance)


def build(name: str, characters: int, seed: int = 0, checkpoint: Path | None = None) -> Classifier:
    """The reader of a name for an alphabet, drawn from the seed: pixels [N, 3, 32, 128] to logits [N, 32, 1 + characters].

    With the checkpoint of another training it begins as the best that one had, but for the head where the alphabet has another
    length. Raises NotFound; BadModel, BadRequest for a file that is no such checkpoint.
    """
    if name not in READERS:
        raise NotFound(f"no network named {name!r} reads; there are {' and '.join(READERS)}")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        reader = Classifier(READERS[name](), 1 + characters)
    if checkpoint is not None:
        reader.learned = _take_up(reader, checkpoint)
    return reader


def _take_up(reader: Classifier, checkpoint: Path) -> bool:
    found, ours = read_state(checkpoint), reader.state_dict()
    known = part_of(found, "best/") or found  # of a training that was cut short, or is over
    fitting = {key: tensor for key, tensor in known.items() if key in ours and tensor.shape == ours[key].shape}
    if missing := sorted(key for key in ours.keys() - fitting.keys() if not key.startswith("head.")):
        raise BadModel(f"{checkpoint} has not the weights of this reader: {missing[0]} is missing or of another shape")
    reader.load_state_dict(fitting, strict=False)
    return True


def _thin(before: int, after: int) -> nn.Sequential:
    """A 3x3 convolution taken apart: few channels, down, across, and all channels again."""
    few = after // 4
    return nn.Sequential(
        nn.Conv2d(before, few, 1),
        nn.ReLU(),
        nn.Conv2d(few, few, (3, 1), padding=(1, 0)),
        nn.ReLU(),
        nn.Conv2d(few, few, (1, 3), padding=(0, 1)),
        nn.ReLU(),
        nn.Conv2d(few, after, 1, bias=False),
    )


def _normalised(layer: nn.Module, channels: int) -> list[nn.Module]:
    return [layer, nn.BatchNorm2d(channels), nn.ReLU()]


class _Columns(nn.Module):
    """Each column, [N, F, 1, T] to [N, T, 2F], beside the mean of all columns."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.last = last

    def forward(self, found: Tensor) -> Tensor:
        columns = found[:, :, 0].transpose(1, 2)
        everywhere = columns.mean(dim=1, keepdim=True).expand_as(columns)
        seen: Tensor = self.last(torch.cat([columns, everywhere], dim=2))
        return seen


class _Remembered(nn.Module):
    """Each column with what was seen before and behind it, [N, F, 1, T] to [N, T, 2H]."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.memory = nn.LSTM(2 * hidden, hidden, batch_first=True, bidirectional=True)

    def forward(self, found: Tensor) -> Tensor:
        seen: Tensor = self.memory(found[:, :, 0].transpose(1, 2))[0]
        return seen
