"""The audit: a line before work begins, one where it ends, and no work without where it is required."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from medasr_service.accounts import audit as audit_module
from medasr_service.accounts.audit import Audit
from medasr_service.accounts.chain import Chain
from medasr_service.accounts.inspection import inspect
from medasr_service.errors import AuditUnavailable, UsageError
from medasr_service.telemetry.account import Account

ROUTE = "/v1/audio/transcriptions"


@asynccontextmanager
async def kept(file: Path, **settings: Any) -> AsyncIterator[Audit]:
    audit = Audit(file, **{"required": False, **settings})
    task = asyncio.create_task(audit.keep())
    await asyncio.sleep(0)
    yield audit
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    audit.close()


def lines(file: Path) -> list[dict[str, Any]]:
    written = file.read_text()
    return [json.loads(line) for line in written[: written.rfind("\n") + 1].splitlines()]


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fact():
            await asyncio.sleep(0.01)


def asked(key: str = "ward-3") -> Account:
    return Account(ROUTE, method="POST", address="10.0.0.7", key=key, request_id="a-name-of-the-client")


async def test_what_becomes_of_a_job_is_a_line_with_the_id_of_the_request_that_brought_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "audit.jsonl"
    async with kept(file) as audit:
        account = asked()
        await audit.begin(account)
        audit.job("ward-3", account.audit_id, "ok", 12.3456)
        await until(lambda: file.exists() and "job" in [each["event"] for each in lines(file)])
    [begun, job] = [each for each in lines(file) if each["event"] in ("begun", "job")]
    assert (job["id"], job["key"], job["outcome"], job["audio_s"]) == (begun["id"], "ward-3", "ok", 12.346)
    assert inspect([file]).fault is None


async def test_work_is_two_lines_and_a_refusal_is_one(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    async with kept(file, required=True) as audit:
        account = asked()
        await audit.begin(account)
        assert lines(file)[-1]["event"] == "begun"  # on the disk, before anything is done
        account.audio_s, account.status, account.whole_s = 12.3456, 200, 1.5
        audit.end(account)
        refused = asked("-")
        refused.status, refused.code = 401, "invalid_api_key"
        audit.end(refused)
        looked = asked()
        looked.status = 200
        audit.end(looked)  # who only looks is not told
    opened, begun, ended, refusal, closed = lines(file)
    assert (opened["event"], closed["event"]) == ("opened", "closed")
    who = {"key": "ward-3", "address": "10.0.0.7", "route": ROUTE, "method": "POST"}
    assert begun.items() >= {"event": "begun", **who}.items()
    outcome = {"status": 200, "outcome": "ok", "audio_s": 12.346, "seconds": 1.5, "id": begun["id"]}
    assert ended.items() >= {"event": "ended", **who, **outcome}.items()
    assert refusal.items() >= {**who, "event": "refused", "key": None, "outcome": "invalid_api_key"}.items()
    assert "a-name-of-the-client" not in file.read_text()
    assert inspect([file]).fault is None


async def test_a_flood_of_refusals_is_a_few_lines_and_a_count(tmp_path: Path) -> None:
    file, now = tmp_path / "audit.jsonl", datetime(2026, 11, 28, tzinfo=UTC)
    async with kept(file, clock=lambda: now) as audit:
        for _ in range(1000):
            refused = asked("-")
            refused.status, refused.code = 401, "invalid_api_key"
            audit.end(refused)
        now += timedelta(seconds=61)
        await until(lambda: file.exists() and "count" in file.read_text())
    told = [line for line in lines(file) if line["event"] == "refused"]
    assert len(told) == 21
    assert told[-1]["count"] == 980
    assert told[-1]["since"] == "2026-11-28T00:00:00.000+00:00"


@pytest.fixture
def breakable(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A disk that takes nothing for a while."""
    append, is_full = Chain.append, False

    def maybe(chain: Chain, entries: Any = ()) -> None:
        if is_full:
            raise OSError(28, "No space left on device")
        append(chain, entries)

    monkeypatch.setattr(Chain, "append", maybe)
    monkeypatch.setattr(audit_module, "RETRY_S", 0.05)

    def fill(full: bool) -> None:
        nonlocal is_full
        is_full = full

    return fill


async def test_where_it_is_required_nothing_is_done_without(
    tmp_path: Path, breakable: Callable[[bool], None]
) -> None:
    file = tmp_path / "audit.jsonl"
    async with kept(file, required=True) as audit:
        running = asked()
        await audit.begin(running)
        breakable(True)
        with pytest.raises(AuditUnavailable):
            await audit.begin(asked())
        running.status = 200
        audit.end(running)  # what ended meanwhile is told later
        breakable(False)
        await audit.begin(asked())
    events = [line["event"] for line in lines(file)]
    assert events == ["opened", "begun", "ended", "begun", "closed"]


async def test_where_it_is_not_work_goes_on_and_what_is_lost_is_counted(
    tmp_path: Path,
    breakable: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(audit_module.log, "error", lambda text, *a: said.append(text % a))
    monkeypatch.setattr(audit_module, "MOST_KEPT", 5)
    file = tmp_path / "audit.jsonl"
    async with kept(file) as audit:
        await until(lambda: file.exists() and bool(lines(file)))
        breakable(True)
        for _ in range(8):
            await audit.begin(asked())
        await until(lambda: bool(said))
        breakable(False)
        await until(lambda: len(lines(file)) > 2)
    assert said == [f"the audit cannot be written to {file}: No space left on device: it goes on"]
    assert {"event": "lost", "count": 3}.items() <= lines(file)[1].items()
    assert [line["event"] for line in lines(file)][2:] == ["begun"] * 5 + ["closed"]


def test_where_it_cannot_be_written_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(audit_module.log, "error", lambda text, *a: said.append(text % a))
    nowhere = tmp_path / "nowhere" / "audit.jsonl"
    with pytest.raises(UsageError, match="the audit cannot be written"):
        Audit(nowhere, required=True).check()
    Audit(nowhere, required=False).check()
    assert said == [
        f"the audit cannot be written to {nowhere}: No such file or directory: work goes on without"
    ]
    Audit(tmp_path / "audit.jsonl", required=True).check()
    assert (tmp_path / "audit.jsonl").read_bytes() == b""
