"""Networks that read a line of text: columns of the picture, from left to right, each with what it may be of the alphabet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from mingmu.core.errors import BadRequest, NotFound
from mingmu.core.manifest import Origin
from mingmu.train.nets import net_named
from mingmu.train.nets.classifier import Classifier, Parts
from mingmu.train.nets.files import take_up
from mingmu.train.recipe import HARMLESS, NetTable
from mingmu.zoo import catalog

if TYPE_CHECKING:
    import onnx

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


def ppocr() -> Parts:
    """All but the last layer of PP-OCR's reader, as it was published: convolutions, then attention along the line. C. Cui and others,
    "PaddleOCR 3.0 Technical Report", arXiv 2507.05595. Raises MissingExtra, BadModel.
    """
    from mingmu.train.nets.graphs import Graph

    model, last = _published()
    return Parts(_Mirrored(Graph(model, last.input[0])), nn.Identity(), 120, pools=False, mean=MIDDLE, deviation=MIDDLE)


READERS = {"lprnet": lprnet, "crnn": crnn, "ppocr": ppocr}


def build_reader(table: NetTable, alphabet: Sequence[str], seed: int = 0) -> tuple[Classifier, Origin]:
    """The reader that a recipe asks for, and where its weights come from: nowhere, the catalog, or the checkpoint of another training.

    Raises what `build` does; BadRequest for a network that is known by its published weights alone.
    """
    checkpoint = None if table.weights in HARMLESS else Path(table.weights)
    if table.name == "ppocr" and table.weights == "none":
        raise BadRequest("ppocr begins with its published weights, or with a checkpoint; lprnet and crnn can begin with none")
    reader = build(table.name, len(alphabet), seed, checkpoint)
    if table.name == "ppocr" and checkpoint is None:
        entry = catalog.entry("text-reader")
        _know(reader, alphabet)
        return reader, entry.origin(f"fine-tuned from {entry.file} of rapidocr")
    source = f"fine-tuned from {checkpoint.name}" if checkpoint else "trained from nothing"
    provenance = f"network: {net_named(table.name).source}"
    return reader, Origin(source=source, licence="that of the photos it learned from", provenance=provenance)


def build(name: str, characters: int, seed: int = 0, checkpoint: Path | None = None) -> Classifier:
    """The reader of a name for an alphabet, drawn from the seed: pixels [N, 3, 32, 128] to logits [N, 32, 1 + characters]; of
    ppocr, pixels [N, 3, 48, 160] to logits [N, 20, 1 + characters].

    With the checkpoint of another training it begins as the best that one had, but for the head where the alphabet has another
    length. Raises NotFound; BadModel, BadRequest for a file that is no such checkpoint.
    """
    if name not in READERS:
        raise NotFound(f"no network named {name!r} reads; there are {', '.join([*READERS][:-1])} and {[*READERS][-1]}")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        reader = Classifier(READERS[name](), 1 + characters)
    if checkpoint is not None:
        take_up(reader, checkpoint, "head.")
    return reader


def _published() -> tuple[onnx.ModelProto, onnx.NodeProto]:
    """PP-OCR's graph, and the operator in it that gives each character its row."""
    from mingmu.core.graph import parse
    from mingmu.zoo.pull import installed

    entry = catalog.entry("text-reader")
    model = parse(installed(entry, cast(catalog.Package, entry.source)).read_bytes())
    return model, [node for node in model.graph.node if node.op_type == "MatMul"][-1]


def _know(reader: Classifier, alphabet: Sequence[str]) -> None:
    """Let the head begin with what PP-OCR knows of the characters; those that it does not know begin anew."""
    from onnx import numpy_helper

    model, last = _published()
    bias = next(node.input[1] for node in model.graph.node if node.op_type == "Add" and node.input[0] == last.output[0])
    stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer if each.name in (last.input[1], bias)}
    known = next(each.value for each in model.metadata_props if each.key == "character").split("\n")
    rows = [(0, 0), *((at, 1 + known.index(each)) for at, each in enumerate(alphabet, start=1) if each in known)]
    ours, theirs = (list(side) for side in zip(*rows, strict=True))
    with torch.no_grad():
        reader.head.weight[ours] = torch.from_numpy(stored[last.input[1]][:, theirs].T.copy())
        reader.head.bias[ours] = torch.from_numpy(stored[bias][theirs].copy())
    reader.learned = True


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


class _Mirrored(nn.Module):
    """A network that takes blue first."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.inside(pixels.flip(1))
        return found


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
