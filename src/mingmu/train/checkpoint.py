"""Where a training stands, in one file that is there as a whole or not at all: tensors in safetensors, the rest as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mingmu.core.errors import Conflict

FILE = "checkpoint.safetensors"


def save(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write aside, then rename: a process that is killed leaves the file before it as it was."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{FILE}.part"
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, part, metadata={"state": json.dumps(state)})
    part.replace(folder / FILE)


def load(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state that were saved last. Raises Conflict where there are none."""
    from safetensors import SafetensorError, safe_open

    file = folder / FILE
    if not file.exists():
        raise Conflict("there is no training that could go on; start one without --resume")
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
            return tensors, json.loads(opened.metadata()["state"])
    except SafetensorError as error:
        raise Conflict(f"{file} is damaged ({error}); start anew, without --resume") from error


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
