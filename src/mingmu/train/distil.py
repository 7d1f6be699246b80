"""Learning from a teacher: a network that is slower and better shows another what it makes of the same photos.

What it thinks of the wrong labels says more than the right one alone (G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in
a Neural Network", arXiv 1503.02531). Its features may be shown, too, through a projection that learns along (A. Romero and others,
"FitNets: Hints for Thin Deep Nets", arXiv 1412.6550).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mingmu.core.errors import BadRequest
from mingmu.core.recognizer import Recognizer
from mingmu.core.runtime import FEATURES
from mingmu.train.nets.classifier import Classifier
from mingmu.train.nets.learner import Learner
from mingmu.train.objective import CrossEntropy
from mingmu.train.recipe import DistilTable

FAINTEST = 1e-7  # what a score counts at least, so that its logarithm is one


@dataclass(frozen=True, eq=False)
class Shown:
    """What a teacher makes of N photos."""

    scores: Tensor  # [N, C], which sum to 1
    features: Tensor | None  # [N, F]; None: it shows none


@dataclass(frozen=True, eq=False)
class Teacher:
    """A sealed recognizer that looks at the very pixels its student looks at, changed as they are, at its own size.

    That it always sees what the student sees is what makes it a good one (L. Beyer and others, "Knowledge distillation: A good
    teacher is patient and consistent", arXiv 2106.05237).
    """

    recognizer: Recognizer
    columns: list[int]  # of its scores, one for each label of the student
    width: int  # of the features that it shows; 0: it shows none

    @classmethod
    def of(cls, recognizer: Recognizer, labels: Sequence[str], table: DistilTable) -> Teacher:
        """A teacher of so many labels, as a recipe wants it. Raises BadRequest for one that knows others, or shows no features."""
        known, name = {label: at for at, label in enumerate(recognizer.manifest.labels)}, recognizer.manifest.name
        missing = [label for label in labels if label not in known]
        if missing and table.share:
            more = f", and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise BadRequest(f"{name} cannot teach what it does not know: {', '.join(missing[:3])}{more} (recipe: distil.teacher)")
        if recognizer.manifest.multi_label:
            raise BadRequest(f"{name} sees several labels in a photo, and its student would see one (recipe: distil.teacher)")
        if table.features and FEATURES not in recognizer.network.runtime.outputs:
            raise BadRequest(f"{name} is a whole model and shows no features; set distil.features to 0")
        return cls(recognizer, [known.get(label, 0) for label in labels], recognizer.network.width(FEATURES) if table.features else 0)

    def __call__(self, pixels: Tensor) -> Shown:
        """What it makes of pixels [N, 3, H, W], 0..255."""
        width, height = self.recognizer.manifest.pixels.size
        if pixels.shape[2:] != (height, width):
            pixels = functional.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
        frames = pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
        wanted = dict.fromkeys((*self.recognizer.wants, FEATURES) if self.width else self.recognizer.wants)
        outputs = self.recognizer.network.runtime(frames, [*wanted], alone=True)  # the student waits for it
        scores = self.recognizer.scores_from(outputs)[:, self.columns].clip(FAINTEST)
        features = torch.from_numpy(outputs[FEATURES]).to(pixels.device) if self.width else None
        return Shown(torch.from_numpy(scores / scores.sum(axis=1, keepdims=True, dtype=np.float32)).to(pixels.device), features)


class Distilled(CrossEntropy):
    """The cross-entropy with the labels, and with what a teacher thinks; its features are met after a projection."""

    def __init__(self, teacher: Callable[[Tensor], Shown], table: DistilTable, features: int, shown: int) -> None:
        """`features` are the student's, `shown` the teacher's; 0: it shows none."""
        super().__init__()
        self.teacher = teacher
        self.table = table
        self.projection = nn.Linear(features, shown) if shown else None

    def forward(self, net: Learner, pixels: Tensor, targets: Tensor) -> Tensor:
        features = cast(Classifier, net).features(pixels)
        logits = net.get_submodule("head")(features).float()
        shown = self.teacher(pixels)
        share = self.table.share
        loss = (1 - share) * functional.cross_entropy(logits, targets) + share * softened(logits, shown.scores, self.table.temperature)
        if self.projection is not None and shown.features is not None:
            near = functional.cosine_similarity(self.projection(features).float(), shown.features)
            loss = loss + self.table.features * (1 - near).mean()
        return loss


def softened(logits: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """How far logits [N, C] are from a teacher's scores [N, C], both at a temperature T: the mean divergence of the softened
    scores, times T², which keeps the size of its slopes (Hinton and others, section 2.1).
    """
    soft = (scores.log() / temperature).softmax(dim=1)
    apart = functional.kl_div((logits / temperature).log_softmax(dim=1), soft, reduction="batchmean")
    return apart * temperature**2
