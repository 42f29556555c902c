"""A chain of lines: what is written stays as it is, or is seen to be changed."""

import errno
import fcntl
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from medasr_service import cli
from medasr_service.accounts.chain import Chain, Head
from medasr_service.accounts.inspection import Inspected, inspect

Lines = list[bytes]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten lines, and one that says that it ends."""
    chain = Chain(file := tmp_path / "audit.jsonl")
    chain.append([{"event": "opened"}])
    for number in range(9):
        chain.append([{"event": "begun", "id": number}])
    chain.append([{"event": "closed"}])
    return file


def changed(file: Path, lines: Lines) -> Inspected:
    file.write_bytes(b"".join(lines))
    return inspect([file])


def fault(found: Inspected) -> tuple[int, str]:
    assert found.fault
    return found.fault.number, found.fault.said


def test_what_was_written_is_found_as_it_was_written(file: Path) -> None:
    found = inspect([file])
    assert (found.lines, found.fault, found.notices) == (11, None, [])
    first, second = map(json.loads, file.read_bytes().splitlines()[:2])
    assert (first["n"], first["prev"]) == (1, "0" * 64)
    assert second["prev"] == Head().next(file.read_bytes().splitlines()[0]).digest
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("at", range(10))
def test_a_line_that_was_changed_is_named(file: Path, at: int) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    lines[at] = lines[at].replace(b'"event": "', b'"event": "x')
    assert fault(changed(file, lines))[0] == at + 1


def test_lines_that_are_missing_or_moved_or_new_are_named(file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    assert fault(changed(file, lines[:3] + lines[5:])) == (4, "2 lines are missing before it")
    assert fault(changed(file, lines[2:]))[0] == 1
    assert fault(changed(file, [*lines[:3], lines[4], lines[3], *lines[5:]]))[0] == 4
    assert "moved, or there twice" in fault(changed(file, [*lines[:4], lines[2], *lines[4:]]))[1]
    assert fault(changed(file, [*lines[:4], b"hello\n", *lines[4:]])) == (5, "this is no line of an audit")
    assert fault(changed(file, [*lines, b"hello\n"])) == (12, "this is no line of an audit")
    assert "new chain" in fault(changed(file, [*lines, *lines]))[1]


def test_lines_that_are_missing_at_the_end_are_known_by_a_head_that_was_told(file: Path) -> None:
    told = inspect([file]).head
    lines = file.read_bytes().splitlines(keepends=True)
    short = changed(file, lines[:7])
    assert short.fault is None
    assert "no line says that the service has stopped" in short.notices[0].said
    assert "but line 11 was told" in str(inspect([file], heads=[told]).fault)
    other = changed(file, [*lines[:10], lines[10].replace(b"closed", b"opened")])
    assert other.fault is None  # nothing stands behind the last line
    assert "not the line whose head was told" in str(inspect([file], heads=[told]).fault)


def test_a_chain_goes_on_after_a_restart_and_where_another_process_has_written(file: Path) -> None:
    one, other = Chain(file), Chain(file)
    for chain in (one, other, other, one):
        chain.append([{"event": "begun"}, {"event": "ended"}])
    assert (inspect([file]).lines, inspect([file]).fault) == (19, None)
    assert one.head == inspect([file]).head


@pytest.mark.parametrize("cut", [1, 2, 20, 10_000])
def test_a_line_that_was_cut_off_stays_and_is_told(file: Path, cut: int) -> None:
    data = file.read_bytes()
    last = len(data) - data[:-1].rindex(b"\n") - 1
    file.write_bytes(data[: -min(cut, last - 1)])
    found = inspect([file])
    assert found.fault is None
    assert "cut off" in found.notices[0].said
    Chain(file).append([{"event": "opened"}, {"event": "closed"}])
    found = inspect([file])
    assert (found.fault, found.lines) == (None, 14)
    assert [(notice.number, notice.said.split(":")[0]) for notice in found.notices] == [
        (11, "it was cut off when a process was killed; the next one says so")
    ]
    damaged = file.read_bytes().splitlines(keepends=True)
    damaged[10] = damaged[10][:-2] + b"\n"
    assert changed(file, damaged).fault or cut == 10_000


def test_a_file_that_was_renamed_is_followed_by_one_that_goes_on(file: Path) -> None:
    chain, late = Chain(file), Chain(file)
    late.append([{"event": "opened"}])
    chain.append([{"event": "begun"}])
    old = file.rename(file.with_suffix(".1"))
    late.append([{"event": "begun"}])  # it had not seen the last line of the other
    chain.append([{"event": "closed"}])
    found = inspect([old, file])
    assert (found.lines, found.fault) == (15, None)
    assert "name what is before" in fault(inspect([file]))[1]
    assert inspect([file], after=inspect([old]).head).fault is None
    assert inspect([file, old]).fault


def test_a_file_that_is_renamed_just_before_its_lock_is_had_gets_no_line_more(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one waits for it, another has gone on in the new file."""
    one, other, old, flock = Chain(file), Chain(file), file.with_suffix(".1"), fcntl.flock
    for chain in (one, other):
        chain.append([{"event": "begun"}])

    def late(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not old.exists():
            file.rename(old)
            other.append([{"event": "begun"}])
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    one.append([{"event": "closed"}])
    found = inspect([old, file])
    assert (found.fault, found.lines) == (None, 15)


def test_what_cannot_be_written_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, chain = file.read_bytes(), Chain(file)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", full)
        with pytest.raises(OSError, match="No space left"):
            chain.append([{"event": "begun"}])
    assert file.read_bytes() == before
    chain.append([{"event": "closed"}])
    assert inspect([file]).fault is None


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null"), tmp_path / "nowhere" / "a"):
        with pytest.raises(OSError, match=r"ordinary file|directory"):
            Chain(path).append([{"event": "opened"}])


def test_processes_that_are_killed_while_they_write_leave_one_chain(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    program = (
        "import sys; from pathlib import Path; from medasr_service.accounts.chain import Chain\n"
        "chain = Chain(Path(sys.argv[1]))\n"
        "while True: chain.append([{'event': 'begun', 'filler': 'x' * 5000}] * 8)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(file)]) for _ in range(3)]
    seen = 0
    for writer in writers:
        while not file.exists() or file.stat().st_size <= seen + random.randrange(1, 500_000):
            assert writer.poll() is None
        seen = file.stat().st_size
        writer.kill()
        writer.wait()
    Chain(file).append([{"event": "closed"}])
    found = inspect([file])
    assert found.fault is None
    assert found.lines > 8


def test_the_command_says_what_it_finds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = inspect([file]).head
    assert cli.main(["audit", "verify", str(file), "--head", str(head)]) == 0
    assert capsys.readouterr().out == f"11 lines are as they were written; the head is {head}\n"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert cli.main(["audit", "verify", str(file)]) == 1
    assert capsys.readouterr().err == f"medasr: {file}, line 4: 1 lines are missing before it\n"
    assert cli.main(["audit", "verify", str(file), "--head", "x"]) == 2
    assert cli.main(["audit", "verify", f"{file}x"]) == 2
