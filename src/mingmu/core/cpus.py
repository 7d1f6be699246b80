"""How many processors this process may use, as the operating system and its container allow."""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager
from pathlib import Path


def cpu_count(cgroup: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Whole processors: the smallest of the affinity mask and the CPU quotas of the process's cgroups, at least one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, *map(_quota, _folders(cgroup, own)))))


def plain_products() -> AbstractContextManager[object]:
    """From the call on, or within a block, numpy's matrix products take one processor each.

    Those of heads are small and run side by side: several threads on one only wait for each other, and take processors from networks.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits


def _folders(cgroup: Path, own: Path) -> set[Path]:
    """The process's cgroups and all above them, for each limits it; in a container that is often the root alone."""
    found = {cgroup, cgroup / "cpu"}
    for line in _text(own).splitlines():  # "0::/system.slice/mingmu.service", or "4:cpu,cpuacct:/docker/1a2b" before version 2
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            root = cgroup / "cpu" if controllers else cgroup
            inner = root / path.strip("/")
            found |= {inner, *(folder for folder in inner.parents if folder.is_relative_to(root))}
    return found


def _quota(folder: Path) -> float:
    """Processors' worth of time that one cgroup grants; infinity where it sets no limit."""
    v2 = _words(folder / "cpu.max")  # "200000 100000" or "max 100000"
    if len(v2) == 2 and v2[0] != "max":
        return int(v2[0]) / int(v2[1])
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        return int(quota[0]) / int(period[0])
    return math.inf


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
