"""The 1,000 classes of ImageNet-1k (ILSVRC 2012): WordNet ids and English names, in the order of the scores.

`imagenet1k.tsv` holds one class a line: id, tab, name.

NOTICE. The ids are synsets of WordNet 3.0, Copyright 2006 Princeton University (WordNet licence: free use with this notice); their
order is that of the ILSVRC 2012 challenge, as in timm's `imagenet_synsets.txt` (Apache-2.0). The names are those of torchvision's
`_IMAGENET_CATEGORIES` (BSD-3-Clause, Copyright Soumith Chintala 2016); five are changed so that no two are alike: crane (bird),
crane (machine), Cardigan (dog), cardigan (sweater) and maillot (tank suit).
"""

from __future__ import annotations

from importlib import resources


def ids() -> tuple[str, ...]:
    """The WordNet ids, such as n02123045."""
    return tuple(id for id, _ in _classes())


def labels() -> tuple[str, ...]:
    """The English names, such as tabby; no two are alike."""
    return tuple(label for _, label in _classes())


def _classes() -> list[tuple[str, str]]:
    text = resources.files(__package__).joinpath("imagenet1k.tsv").read_text(encoding="utf-8")
    return [(id, label) for id, _, label in (line.partition("\t") for line in text.splitlines())]
