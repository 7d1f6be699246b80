from __future__ import annotations

import torch

from mingmu.train.nets import build, readers
from mingmu.train.precision import autocast, chosen, spared
from mingmu.train.recipe import Recipe
from mingmu.train.transcription import Transcription


def test_what_is_spared_computes_the_same_and_leaves_no_trace() -> None:
    net, _ = build(Recipe().net.model_copy(update={"name": "mobilenet_v3_small", "size": 32}), 32, 2)
    net.eval()
    pixels = 255 * torch.rand(2, 3, 32, 32)
    plain = net(pixels)
    for precision in ("bf16", "fp32"):
        with spared(net, precision), autocast(torch.device("cpu"), precision):
            near = net(pixels)
            assert torch.is_autocast_enabled("cpu") == (precision == "bf16")
        torch.testing.assert_close(near.float(), plain, rtol=0.05, atol=0.05)
    torch.testing.assert_close(net(pixels), plain, rtol=0, atol=0)


def test_convolutions_of_one_channel_each_compute_in_fp32_and_hand_on_bf16() -> None:
    net, _ = build(Recipe().net.model_copy(update={"name": "mobilenet_v3_small", "size": 32}), 32, 2)
    wide = next(layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d) and layer.groups > 1)
    seen: list[torch.dtype] = []
    with spared(net, "bf16"), autocast(torch.device("cpu"), "bf16"):
        wide.register_forward_hook(lambda _layer, inputs, found: seen.extend((inputs[0].dtype, found.dtype)))
        net(torch.zeros(2, 3, 32, 32))
    assert seen == [torch.float32, torch.bfloat16]


def test_what_has_a_memory_is_timed_as_it_learns_for_a_gpu_knows_no_way_back_otherwise() -> None:
    reader = readers.build("crnn", 3)
    memory = next(layer for layer in reader.modules() if isinstance(layer, torch.nn.LSTM))
    seen: list[tuple[bool, bool]] = []
    memory.register_forward_hook(lambda layer, _inputs, _found: seen.append((layer.training, reader.trunk.training)))
    pixels, texts = torch.zeros(2, 3, 32, 128), torch.tensor([[1], [2]])
    assert chosen(Recipe(), reader, Transcription((128, 32)), pixels, texts) in ("fp32", "bf16")
    assert {*seen} == {(True, False)}
