"""How many threads a forward pass may use."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def quota(cgroup: Path = CGROUP) -> int:
    """Whole CPUs that this process may use: its affinity, capped by the cgroup's CPU quota (v2, then v1)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _v2(cgroup) or _v1(cgroup)
    return max(1, min(cpus, math.ceil(limit))) if limit else cpus


def _v2(cgroup: Path) -> float | None:
    try:
        allowed, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if allowed == "max" else int(allowed) / int(period)


def _v1(cgroup: Path) -> float | None:
    try:
        allowed = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period = int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return allowed / period if allowed > 0 else None
