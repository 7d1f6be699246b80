from __future__ import annotations

import torch

from mingmu.train.operators import define_missing, nms


def test_torchvision_and_timm_can_be_imported_whatever_torch_is_installed() -> None:
    define_missing()
    import timm
    from torchvision import models

    assert timm.is_model("resnet10t")
    assert "resnet18" in models.list_models()
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    assert torch.ops.torchvision.nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist() == [1, 2]


def test_of_boxes_that_overlap_the_surest_remains() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 4], [50, 50, 60, 60]])
    scores = torch.tensor([0.7, 0.9, 0.8, 0.1])
    assert nms(boxes, scores, 0.5).tolist() == [1, 2, 3]
    assert nms(boxes, scores, 0.95).tolist() == [1, 2, 0, 3]
    assert nms(boxes[:0], scores[:0], 0.5).tolist() == []
