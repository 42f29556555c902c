"""Memory of a service over time: PSS of its whole process tree, or what its container's cgroup holds.

    python -m loadtests.memory --pid 1234 > memory.csv
    python -m loadtests.memory --pid 1234 --processes          # of each, once
    python -m loadtests.memory --cgroup /sys/fs/cgroup/system.slice/docker-....scope > memory.csv

PSS counts a page that several processes share once in all. Of a cgroup, pages of files that the kernel may
drop at any time are left out. Ends with the process, or with the cgroup.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

MIB = 1 << 20
HEADER = "time,mib,processes"


def of_tree(pid: int) -> tuple[float, int]:
    """MiB of PSS, and how many processes have it. Raises psutil.NoSuchProcess once the first has ended."""
    root = psutil.Process(pid)
    total, processes = 0, 0
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
            processes += 1
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            if process == root:
                raise
    return total / MIB, processes


def made_by_tree(pid: int) -> float:
    """MiB of what the processes themselves have written, each page once: without the pages of files.

    A library's pages are shared with whatever else runs from it: PSS grows where a neighbour ends.
    Raises psutil.NoSuchProcess once the first has ended.
    """
    root = psutil.Process(pid)
    kib = 0
    for process in [root, *root.children(recursive=True)]:
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            if process == root:
                raise psutil.NoSuchProcess(pid) from None
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    return kib / 1024


def of_each(pid: int) -> Iterator[tuple[str, float, float]]:
    """Name, MiB of PSS, and MiB that no other process has a part in."""
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        memory = process.memory_full_info()
        words = process.cmdline()
        name = process.name()
        role = words[words.index("--service-name") + 1] if "--service-name" in words else name
        yield role, memory.pss / MIB, memory.uss / MIB


def of_cgroup(folder: Path) -> tuple[float, int]:
    """MiB, and how many processes are in it. Raises FileNotFoundError once it is gone."""
    lines = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    held = int((folder / "memory.current").read_text()) - int(lines.get("inactive_file", 0))
    return held / MIB, len((folder / "cgroup.procs").read_text().split())


def samples(
    measure: Callable[[], tuple[float, int]], interval_s: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[float, float, int]]:
    """Time (as time.time()), MiB and processes, until what is measured is gone."""
    while True:
        try:
            yield time.time(), *measure()
        except (psutil.NoSuchProcess, psutil.ZombieProcess, FileNotFoundError):
            return
        sleep(interval_s)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pid", type=int)
    what.add_argument("--cgroup", type=Path)
    parser.add_argument(
        "--processes", action="store_true", help="of --pid, each once: PSS, and what is its own"
    )
    parser.add_argument("--interval", type=float, default=1.0)
    arguments = parser.parse_args()
    if arguments.processes and arguments.pid:
        for role, pss, own in of_each(arguments.pid):
            print(f"{role:18}{pss:7.1f}{own:7.1f}")
        return
    print(HEADER, flush=True)
    measure = (lambda: of_cgroup(arguments.cgroup)) if arguments.cgroup else (lambda: of_tree(arguments.pid))
    try:
        for at, mib, processes in samples(measure, arguments.interval):
            print(f"{at:.2f},{mib:.1f},{processes}", flush=True)
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
