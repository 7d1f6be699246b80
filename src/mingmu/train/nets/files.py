"""Weights from a local file."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from mingmu.core.errors import BadModel, BadRequest
from mingmu.train.checkpoint import part_of
from mingmu.train.nets.learner import Learner


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or torch file, by name; no code in it runs. Raises BadModel, BadRequest."""
    if not file.is_file():
        raise BadRequest(f"there is no file {file}; weights are published, none, a .safetensors or .pth file, timm:NAME or hf:OWNER/REPO")
    try:
        return _safetensors(file) if file.suffix == ".safetensors" else _torch(file)
    except Exception as error:  # both libraries raise a dozen unrelated classes for rubbish
        raise BadModel(f"{file} holds no weights that can be read: {error}") from error


def take_up(net: Learner, checkpoint: Path, own: str) -> None:
    """Let a network begin as the best that another training had; layers that are named `own…` may be of another shape, and begin anew.

    Raises BadModel, BadRequest for a file that is no such checkpoint.
    """
    found, ours = read_state(checkpoint), net.state_dict()
    known = part_of(found, "best/") or found  # of a training that was cut short, or is over
    fitting = {key: tensor for key, tensor in known.items() if key in ours and tensor.shape == ours[key].shape}
    if missing := sorted(key for key in ours.keys() - fitting.keys() if not key.startswith(own)):
        raise BadModel(f"{checkpoint} has not the weights of this network: {missing[0]} is missing or of another shape")
    net.load_state_dict(fitting, strict=False)
    net.learned = True


def _safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(file))


def _torch(file: Path) -> dict[str, Tensor]:
    import torch

    found = torch.load(file, map_location="cpu", weights_only=True)
    found = found.get("state_dict", found) if isinstance(found, dict) else {}
    return {key: value for key, value in found.items() if isinstance(value, Tensor)}
