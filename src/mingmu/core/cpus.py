"""How many processors this process may use, as the operating system and its container allow."""

from __future__ import annotations

import math
import os
from pathlib import Path


def cpu_count(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Whole processors: the smaller of the affinity mask and the cgroup's CPU quota, at least one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, _quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """Processors' worth of time the cgroup grants; infinity where there is no limit."""
    v2 = _words(cgroup / "cpu.max")  # "200000 100000" or "max 100000"
    if len(v2) == 2 and v2[0] != "max":
        return int(v2[0]) / int(v2[1])
    quota, period = _words(cgroup / "cpu/cpu.cfs_quota_us"), _words(cgroup / "cpu/cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        return int(quota[0]) / int(period[0])
    return math.inf


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
