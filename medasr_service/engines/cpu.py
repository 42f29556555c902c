"""Which CPUs a process may use, how many, and what they can."""

import ctypes
import math
import os
from pathlib import Path

from medasr_service.settings import ARM64_LINUX

CGROUP = Path("/sys/fs/cgroup")
NODES = Path("/sys/devices/system/node")
AT_HWCAP2, HWCAP2_BF16 = 26, 1 << 14


def quota(cgroup: Path = CGROUP) -> int:
    """Whole CPUs that this process may use: its affinity, capped by the cgroup's CPU quota (v2, then v1)."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _v2(cgroup) or _v1(cgroup)
    return max(1, min(cpus, math.ceil(limit))) if limit else cpus


def has_bf16() -> bool:
    """Whether ONNX Runtime can make products in bfloat16: on ARM64 with Linux, where the kernel says that the
    CPU has the instructions (HWCAP2_BF16, Documentation/arch/arm64/elf_hwcaps.rst)."""
    if not ARM64_LINUX:
        return False
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.restype, getauxval.argtypes = ctypes.c_ulong, (ctypes.c_ulong,)
    return bool(getauxval(AT_HWCAP2) & HWCAP2_BF16)


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


def nodes(folder: Path = NODES) -> list[set[int]]:
    """The CPUs of this process by the memory that is near them (NUMA); one set where all are alike."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    allowed = os.sched_getaffinity(0)
    lists = [each.read_text() for each in sorted(folder.glob("node[0-9]*/cpulist"))]
    found = [allowed & _numbers(each) for each in lists]
    return [each for each in found if each] or [allowed]


def stay_near(number: int, threads: int, folder: Path = NODES) -> None:
    """Keeps the process, one of several with as many threads, to the CPUs of one node: the sums of a
    forward pass go from thread to thread, and from node to node they go slowly. Where no node has enough,
    it stays as it is.
    """
    found = nodes(folder)
    if len(found) > 1 and all(len(each) >= threads for each in found):
        os.sched_setaffinity(0, found[number % len(found)])


def _numbers(ranges: str) -> set[int]:
    """Of "0-3,8"."""
    ends = [each.split("-") for each in ranges.strip().split(",") if each]
    return {number for pair in ends for number in range(int(pair[0]), int(pair[-1]) + 1)}
