from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mingmu.core.errors import BadModel
from mingmu.core.runtime import BOXES, SCORES, OnnxRuntime
from mingmu.train.export import detector
from mingmu.train.nets.yolox import VARIANTS, Variant, Yolox, load, places, unfold
from mingmu.train.simota import assigned, loss_of, overlap

TINY = Variant(0.33, 0.0625, depthwise=True)


def _net(classes: int = 2, size: int = 64) -> Yolox:
    torch.manual_seed(0)
    net = Yolox(TINY, classes, size)
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.uniform_(-0.5, 0.5)
    return net


def _folded(net: Yolox) -> bytes:
    """The network's own graph, in which batch normalisation is folded into convolutions, as published ones are."""
    frames = np.zeros((1, 64, 64, 3), np.uint8)
    return detector(net.eval(), frames).graph


def test_a_row_for_each_place_with_a_box_and_scores() -> None:
    boxes, scores = _net().eval()(torch.zeros(3, 3, 64, 64))
    assert boxes.shape == (3, 64 + 16 + 4, 4)
    assert scores.shape == (3, 84, 2)
    assert (boxes[..., 2:] > boxes[..., :2]).all()


def test_published_variants_have_the_published_sizes() -> None:
    counts = {name: sum(p.numel() for p in Yolox(variant, 80, 64).parameters()) / 1e6 for name, variant in VARIANTS.items()}
    assert counts == pytest.approx({"yolox_nano": 0.91, "yolox_tiny": 5.06, "yolox_s": 8.97}, abs=0.01)


def test_statistics_that_were_folded_away_come_back_without_a_change_of_what_is_said() -> None:
    net = _net()
    pixels = torch.rand(4, 3, 64, 64) * 255
    before = net.eval()(pixels)
    unfold(net, pixels)
    after = net.eval()(pixels)
    torch.testing.assert_close(after[1], before[1], rtol=1e-3, atol=1e-5)
    learning = net.train()(pixels)  # with the batch's own statistics, which they now are
    torch.testing.assert_close(learning[1], before[1], rtol=2e-2, atol=1e-3)


def test_the_sealed_graph_says_what_the_network_says() -> None:
    net = _net()
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    exported = detector(net, frames)
    found = OnnxRuntime(exported.graph)(frames, (BOXES, SCORES))
    boxes, scores = net.eval()(torch.from_numpy(frames).permute(0, 3, 1, 2))
    np.testing.assert_allclose(found[BOXES], boxes.detach().numpy(), atol=1e-2)
    np.testing.assert_allclose(found[SCORES], scores.detach().numpy(), atol=1e-5)
    assert exported.difference < 1e-5


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(BadModel, match="convolutions"):
        load(Yolox(VARIANTS["yolox_tiny"], 2, 64), _folded(_net()))


def test_each_thing_gets_places_near_its_middle_and_no_place_has_two() -> None:
    torch.manual_seed(1)
    grid, strides = places(64)
    middles = (grid + 0.5) * strides
    things = torch.tensor([[0.0, 4, 4, 24, 24], [1.0, 30, 30, 60, 62], [0.0, 28, 30, 60, 60]])
    rows = torch.cat([middles, torch.full((len(grid), 2), 20.0), torch.randn(len(grid), 3)], dim=1)
    found, owners = assigned(rows, things, middles, strides[:, 0])
    assert set(owners.tolist()) == {0, 1, 2}
    assert len(set(found.tolist())) == len(found)
    centres = (things[owners, 1:3] + things[owners, 3:5]) / 2
    assert ((centres - middles[found]).abs() < 1.5 * strides[found]).all()


def test_the_loss_is_low_where_all_is_right() -> None:
    grid, strides = places(64)
    thing = torch.tensor([[[1.0, 8, 8, 40, 40]]])
    rows = torch.cat([(grid + 0.5) * strides, torch.full((84, 2), 32.0), torch.full((84, 1), -9.0), torch.full((84, 2), -9.0)], dim=1)[None]
    wrong = float(loss_of(rows, thing, grid, strides))
    good = rows.clone()
    with torch.no_grad():
        chosen, _ = assigned(good[0], thing[0], (grid + 0.5) * strides, strides[:, 0])
        good[0, chosen, :4] = torch.tensor([24.0, 24, 32, 32])
        chosen, _ = assigned(good[0], thing[0], (grid + 0.5) * strides, strides[:, 0])
        good[0, chosen, 4], good[0, chosen, 6] = 9.0, 9.0
    assert float(loss_of(good, thing, grid, strides)) < 0.2 * wrong


def test_a_picture_of_nothing_costs_what_is_said_of_it() -> None:
    grid, strides = places(64)
    nothing = torch.full((1, 3, 5), -1.0)
    silent, loud = (torch.full((1, 84, 7), value) for value in (-9.0, 9.0))
    assert float(loss_of(silent, nothing, grid, strides)) < 1 < float(loss_of(loud, nothing, grid, strides))


def test_overlap_is_intersection_over_union() -> None:
    one, other = torch.tensor([[0.0, 0, 10, 10], [0, 0, 1, 1]]), torch.tensor([[5.0, 0, 15, 10], [2, 2, 3, 3]])
    assert overlap(one, other).tolist() == pytest.approx([1 / 3, 0])


def test_the_published_weights_find_their_places() -> None:
    file = Path(__file__).resolve().parents[2] / "../shared/weights/yolox_nano.onnx"
    if not file.exists():
        pytest.skip(f"{file} is missing: nobody looks whether published weights find their places")
    import onnxruntime

    graph = file.read_bytes()
    net = Yolox(VARIANTS["yolox_nano"], 3, 416)
    load(net, graph)
    pixels = torch.rand(1, 3, 416, 416, generator=torch.Generator().manual_seed(0)) * 255
    (theirs,) = onnxruntime.InferenceSession(graph).run(None, {"images": pixels.flip(1).numpy()})
    with torch.inference_mode():
        ours = net.eval().rows(pixels)
    middles = (torch.from_numpy(theirs[..., :2].copy()) + net.grid) * net.strides
    torch.testing.assert_close(ours[..., :2], middles, rtol=1e-3, atol=0.05)
    torch.testing.assert_close(ours[..., 4].sigmoid(), torch.from_numpy(theirs[..., 4].copy()), rtol=1e-3, atol=1e-4)
