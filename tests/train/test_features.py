from __future__ import annotations

import numpy as np
import pytest
import torch

from mingmu.core.pixels import PixelSpec, encode_png
from mingmu.train.features import seen
from mingmu.train.feed import Photos, roomy, served
from mingmu.train.nets import build
from tests.train import made


@pytest.mark.parametrize("margin", [1.0, 0.5])
def test_a_classical_head_learns_from_what_it_will_be_served(margin: float) -> None:
    across, down = np.meshgrid(np.linspace(0, 6, 240), np.linspace(0, 4, 200))
    waves = np.stack([np.sin(across + 1) * np.cos(down), np.cos(across * down / 3), np.sin(down)], axis=2)
    picture = encode_png((127.5 + 120 * waves).astype(np.uint8))
    view = PixelSpec(size=(32, 32), margin=margin, filter="bicubic")
    net, _ = build(made.recipe(net={"name": "svm_linear", "features": "pixels", "size": 32}).net, 32, 2)
    taught, asked = (
        seen(net, Photos(spec.frame(picture).pixels[None].copy(), np.zeros(1, np.int64), share), 32)
        for spec, share in ((roomy(view), served(view)), (view, 1.0))
    )
    assert torch.allclose(taught, asked, atol=0.1)  # of features with a deviation of about 1
    if margin < 1:
        whole = seen(net, Photos(roomy(view).frame(picture).pixels[None].copy(), np.zeros(1, np.int64)), 32)
        assert not torch.allclose(whole, asked, atol=0.5)
