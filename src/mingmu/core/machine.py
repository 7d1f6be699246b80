"""Which machine this is, as far as the speed of a network depends on it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from mingmu.core.cpus import cpu_count
from mingmu.core.manifest import digest_of

X86 = ("avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_bf16", "amx_int8", "amx_fp16")
ARM = ("asimd", "asimddp", "bf16", "i8mm", "sve", "sve2")
TELLING = frozenset((*X86, *ARM))  # what networks profit from


@dataclass(frozen=True)
class Machine:
    """A processor, and how much of it this process may use."""

    processor: str
    instructions: tuple[str, ...]  # those that networks profit from, sorted
    cores: int

    @property
    def key(self) -> str:
        """A short name; machines with the same one are alike."""
        return digest_of(str(self).encode())[:12]

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores" + (f" ({' '.join(self.instructions)})" if self.instructions else "")


def this_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
    """What runs this process. Where the system says little, the processor's family stands for it."""
    try:
        lines = [line.partition(":") for line in cpuinfo.read_text(errors="replace").splitlines()]
    except OSError:
        lines = []
    told = {key.strip(): value.strip() for key, _, value in reversed(lines)}  # the first processor has the last word
    flags = {*told.get("flags", told.get("Features", "")).split()}
    name = told.get("model name") or platform.processor() or platform.machine() or "unknown processor"
    return Machine(name, tuple(sorted(flags & TELLING)), cpu_count())
