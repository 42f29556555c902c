"""How much memory this process may count on."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
FILES = ("memory.max", "memory/memory.limit_in_bytes")  # v2, v1; as a container sees its own


def limit_bytes(cgroup: Path = CGROUP) -> int:
    """The cgroup's limit; where it has none, what the machine has."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in FILES:
        try:
            return min(machine, int((cgroup / name).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return machine
