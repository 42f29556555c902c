"""The memory of a process tree, and of a cgroup."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from loadtests import memory

HOLDS = "import sys; held = b'x' * (int(sys.argv[1]) << 20); print('ready', flush=True); sys.stdin.read()"
PARENT = (
    "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]]);"
    "child.wait()"
)


@pytest.mark.parametrize("mib", [1, 60])
def test_a_child_counts(mib: int) -> None:
    command = [sys.executable, "-c", PARENT, str(mib), HOLDS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        held, processes = memory.of_tree(process.pid)
        process.communicate()
    assert processes == 2
    assert mib < held < mib + 60


def test_a_page_that_two_processes_share_counts_once() -> None:
    forked = (
        "import os, sys; held = b'x' * (60 << 20); os.fork(); print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", forked], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.readline()
        held, processes = memory.of_tree(process.pid)
        process.communicate()
    assert processes == 2
    assert 60 < held < 110


def test_pages_of_a_file_are_not_made_by_the_processes(tmp_path: Path) -> None:
    (tmp_path / "read").write_bytes(b"x" * (60 << 20))
    reads = (
        "import mmap, sys; file = open(sys.argv[1], 'rb'); held = b'x' * (20 << 20)\n"
        "seen = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ); sum(seen[::4096])\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", reads, str(tmp_path / "read")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        made, held = memory.made_by_tree(process.pid), memory.of_tree(process.pid)[0]
        process.communicate()
    assert 20 < made < 50
    assert held > 80
    with pytest.raises(psutil.NoSuchProcess):
        memory.made_by_tree(process.pid)


def test_sampling_ends_with_the_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        naps = 0

        def sleep(_: float) -> None:
            nonlocal naps
            naps += 1
            if naps == 3:
                process.communicate(b"\n")

        found = list(memory.samples(lambda: memory.of_tree(process.pid), 1.0, sleep))
    assert len(found) == 3
    assert [at for at, _, _ in found] == sorted(at for at, _, _ in found)
    with pytest.raises(psutil.NoSuchProcess):
        memory.of_tree(process.pid)


def test_a_cgroup_counts_what_the_kernel_cannot_drop(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text(f"{300 << 20}\n")
    (tmp_path / "memory.stat").write_text(f"anon {150 << 20}\ninactive_file {100 << 20}\n")
    (tmp_path / "cgroup.procs").write_text("12\n13\n")
    assert memory.of_cgroup(tmp_path) == (200, 2)
    assert len(list(memory.samples(lambda: memory.of_cgroup(tmp_path / "gone"), 1.0))) == 0


def test_it_is_a_program_that_writes_csv() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        command = [sys.executable, "-m", "loadtests.memory", "--pid", str(process.pid), "--interval", "0.05"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sampler:
            assert sampler.stdout
            assert sampler.stdout.readline() == f"{memory.HEADER}\n"
            at, mib, processes = sampler.stdout.readline().strip().split(",")
            process.communicate(b"\n")
            sampler.communicate(timeout=20)
    assert float(at) > 0
    assert float(mib) > 1
    assert processes == "1"
    assert sampler.returncode == 0


def test_each_process_has_its_row() -> None:
    command = [sys.executable, "-c", PARENT, "60", HOLDS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        (_, _, parent), (_, pss, child) = memory.of_each(process.pid)
        process.communicate()
    assert parent + 50 < child <= pss
