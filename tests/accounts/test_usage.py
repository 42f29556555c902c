"""Usage for bills: nothing is lost but a minute, nothing is counted twice, whatever ends the service."""

import errno
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from medasr_service.accounts.usage import Usage
from medasr_service.errors import UsageError


class Days:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 28, 23, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def next(self) -> None:
        self.now += timedelta(days=1)


@pytest.fixture
def days() -> Days:
    return Days()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "usage.jsonl"


def opened(file: Path, days: Days) -> Usage:
    usage = Usage(file, days)
    usage.open()
    return usage


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def billed(file: Path) -> dict[tuple[str, str], float]:
    seconds: Counter[tuple[str, str]] = Counter()
    for line in lines(file):
        seconds[line["day"], line["key"]] += line["audio_s"]
    return dict(seconds)


def test_a_day_is_one_line_of_each_key(file: Path, days: Days) -> None:
    usage = opened(file, days)
    for _ in range(3):
        usage.count("ward-3", requests=1)
        usage.count("ward-3", audio_s=1.25)
        usage.save()
    usage.count("ward-4", live_sessions=1, audio_s=60)
    assert lines(file) == []
    days.next()
    usage.save()
    first, second = lines(file)
    assert first.pop("part") == second.pop("part")
    assert first == {
        "day": "2026-11-28",
        "key": "ward-3",
        "requests": 3,
        "live_sessions": 0,
        "audio_s": 3.75,
    }
    assert (second["key"], second["live_sessions"], second["audio_s"]) == ("ward-4", 1, 60)
    usage.count("ward-3", audio_s=1)
    usage.close()
    assert billed(file)["2026-11-29", "ward-3"] == 1
    usage.close()
    assert len(lines(file)) == 3


def test_what_a_killed_service_has_saved_is_there_at_the_next_start(file: Path, days: Days) -> None:
    killed = opened(file, days)
    killed.count("ward-3", audio_s=5)
    killed.save()
    killed.count("ward-3", audio_s=99)  # of the last minute
    days.next()
    opened(file, days).close()
    assert billed(file) == {("2026-11-28", "ward-3"): 5}


def test_two_runs_that_are_alike_are_both_billed(file: Path, days: Days) -> None:
    for _ in range(2):
        usage = opened(file, days)
        usage.count("ward-3", requests=1, audio_s=5)
        usage.close()
    assert billed(file) == {("2026-11-28", "ward-3"): 10}


def test_two_services_that_write_to_one_file_add_up(file: Path, days: Days) -> None:
    old, new = opened(file, days), opened(file, days)
    for usage in (old, new, old):
        usage.count("ward-3", audio_s=1)
        usage.save()
    old.close()
    new.count("ward-3", audio_s=1)
    new.close()
    assert billed(file) == {("2026-11-28", "ward-3"): 4}


def test_a_fold_that_broke_off_is_not_billed_twice(file: Path, days: Days) -> None:
    part = file.with_name("usage.jsonl.part")
    usage = opened(file, days)
    usage.count("ward-3", audio_s=5)
    usage.save()
    saved = part.read_bytes()
    usage.close()
    part.write_bytes(saved)  # as where it was killed before the part was emptied
    opened(file, days)
    assert billed(file) == {("2026-11-28", "ward-3"): 5}
    assert part.read_bytes() == b""


def test_a_line_that_was_cut_off_costs_only_itself(file: Path, days: Days) -> None:
    usage = opened(file, days)
    usage.count("ward-3", audio_s=5)
    usage.save()
    with file.with_name("usage.jsonl.part").open("ab") as part:
        part.write(b'{"day": "2026-11-28", "key": "wa')
    opened(file, days)
    assert billed(file) == {("2026-11-28", "ward-3"): 5}


def test_what_finds_no_room_is_kept_and_told_once(
    file: Path, days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("medasr_service.accounts.usage.log.error", lambda text, *a: said.append(text % a))
    usage = opened(file, days)
    with monkeypatch.context() as full:

        def no_room(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr("medasr_service.accounts.usage.os.fsync", no_room)
        for _ in range(3):
            usage.count("ward-3", audio_s=1)
            usage.save()
    assert file.with_name("usage.jsonl.part").read_bytes() == b""
    assert said == [f"the usage cannot be written to {file}: No space left on device"]
    usage.close()
    assert billed(file) == {("2026-11-28", "ward-3"): 3}


def test_where_it_cannot_be_written_is_said_at_the_start(tmp_path: Path, days: Days) -> None:
    with pytest.raises(UsageError, match=r"the usage cannot be written to .*: No such file or directory"):
        Usage(tmp_path / "nowhere" / "usage.jsonl", days).open()
    with pytest.raises(UsageError, match="Is a directory"):
        Usage(tmp_path, days).open()
