"""Where a training stands, in one file that is there as a whole or not at all: tensors in safetensors, the rest as JSON in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mingmu.core.disk import flush
from mingmu.core.errors import Conflict
from mingmu.train.disk import no_room

FILE = "checkpoint.safetensors"


def save(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write aside, then rename: a process that is killed, or a power cut, leaves the file before it as it was.

    Raises OSError where it does not fit on the disk.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{FILE}.part"
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        save_file(plain, part, metadata={"state": json.dumps(state)})
        flush(part)
    except (SafetensorError, OSError) as error:
        part.unlink(missing_ok=True)
        raise no_room("a checkpoint", sum(tensor.nbytes for tensor in plain.values()), folder, error) from error
    part.replace(folder / FILE)
    flush(folder)


def load(folder: Path, *, tensors: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state that were saved last. Raises Conflict where there are none."""
    from safetensors import SafetensorError, safe_open

    file = folder / FILE
    if not file.exists():
        raise Conflict("there is no training that could go on; start one without --resume")
    try:
        with safe_open(file, framework="pt") as opened:
            found = {name: opened.get_tensor(name) for name in (opened.keys() if tensors else ())}
            return found, json.loads(opened.metadata()["state"])
    except SafetensorError as error:
        raise Conflict(f"{file} is damaged ({error}); begin anew (--anew)") from error


def state_of(folder: Path) -> dict[str, Any] | None:
    """The state that was saved last, without its tensors; None where there is none. Raises Conflict for a damaged file."""
    return load(folder, tensors=False)[1] if (folder / FILE).exists() else None


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
