"""The terms of the contest, the same for all: which network, on which runtime, with how many workers. Told through the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Runtime = Literal["openvino", "onnxruntime", "eager"]
Precision = Literal["f32", "bf16"]

PREFIX = "RIVAL_"


@dataclass(frozen=True)
class Terms:
    """What a server is given."""

    network: Path  # folder made by bench.rivals.networks
    runtime: Runtime = "onnxruntime"  # eager: torch as it is, for the quickstarts
    precision: Precision = "f32"
    workers: int = 2
    batch: int = 8  # most images that go through the network together
    wait_ms: int = 5  # longest that an image may wait for others
    port: int = 0

    @classmethod
    def from_environment(cls) -> Terms:
        """What the benchmark has told this server."""
        given = {key.removeprefix(PREFIX).lower(): value for key, value in os.environ.items() if key.startswith(PREFIX)}
        numbers = {key: int(given.pop(key)) for key in ("workers", "batch", "wait_ms", "port")}
        return cls(Path(given["network"]), given["runtime"], given["precision"], **numbers)  # type: ignore[arg-type]

    def environment(self) -> dict[str, str]:
        return {PREFIX + key.upper(): str(value) for key, value in vars(self).items()}
