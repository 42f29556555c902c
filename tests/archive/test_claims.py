"""Who works on what: plans and claims, of several runs on one target."""

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medasr_service.archive import claims, places
from medasr_service.archive.claims import Beating, Claims
from medasr_service.archive.places import Place, SourceFailed
from medasr_service.archive.plan import MOST_BYTES, Plan, shards
from medasr_service.archive.rows import SHARD
from medasr_service.archive.sources import Recording

RECORDINGS = [Recording(f"/in/{at}.wav", f"{1000 + at % 7}-1") for at in range(200)]


@pytest.fixture(params=["folder", "store"])
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return places.place(str(tmp_path / "work") if request.param == "folder" else f"memory://{tmp_path.name}")


@pytest.fixture(params=["folder", "store", "s3", "sftp"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Wherever only one of many may create a file."""
    known = {"folder": str(tmp_path / "work"), "store": f"memory://{tmp_path.name}"}
    return places.place(known.get(request.param) or f"{request.getfixturevalue(request.param)}/work")


def test_of_many_who_claim_a_shard_one_has_it(anywhere: Place) -> None:
    work = anywhere
    with ThreadPoolExecutor(8) as pool:
        runs = [f"run{at}" for at in range(8)]
        for run in runs:
            places.write(work.at(f"run-{run}"), json.dumps({"host": "another", "beats": 1}).encode())
        taken = list(pool.map(lambda run: Claims(work, run).take("s"), runs))
    assert sum(taken) == 1


def test_workers_of_one_run_have_the_same_claims(work: Place) -> None:
    assert Claims(work, "a").take("s")
    assert Claims(work, "a").take("s")


def test_the_claim_of_a_run_that_ended_is_free(work: Place) -> None:
    with Beating(work, "a"):
        assert Claims(work, "a").take("s")
        assert not Claims(work, "b").take("s")
    assert Claims(work, "b").take("s")


def test_the_claim_of_a_process_that_was_killed_is_free_at_once(work: Place) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    told = {"host": socket.gethostname(), "pid": process.pid, "started": claims._started(process.pid)}
    places.write(work.at("run-a"), json.dumps(told).encode())
    assert Claims(work, "a").take("s")
    other = Claims(work, "b")
    assert not other.take("s")
    process.kill()
    process.communicate()
    assert other.take("s")


def test_a_run_elsewhere_that_shows_itself_no_more_loses_its_claims(work: Place) -> None:
    now = [0.0]
    other = Claims(work, "b", clock=lambda: now[0])

    def show(beats: int) -> None:
        places.write(work.at("run-a"), json.dumps({"host": "another", "beats": beats}).encode())

    show(1)
    assert Claims(work, "a").take("s")
    assert not other.take("s")
    now[0] += claims.LEASE_S - 1
    assert not other.take("s")
    show(2)
    assert not other.take("s")
    now[0] += claims.LEASE_S - 1
    assert not other.take("s")
    now[0] += 2
    assert other.take("s")


def test_every_recording_is_in_one_shard_that_is_not_too_large() -> None:
    long = Recording("/in/long.wav", f"{MOST_BYTES + 1}-1")
    found = list(shards([*RECORDINGS, long]))
    urls = [url for shard in found for url in shard.urls]
    assert sorted(urls) == sorted(each.url for each in [*RECORDINGS, long])
    assert found[0].urls == (long.url,)
    assert all(len(shard.urls) <= SHARD for shard in found)
    assert list(shards([*RECORDINGS, long][::-1])) == found


def test_two_runs_that_plan_at_once_mean_the_same_shards(anywhere: Place) -> None:
    work = anywhere
    plans = [Plan(work) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: plans[at].extend(RECORDINGS[at * 10 :]), range(4)))
    whole = Plan(work)
    urls = [url for shard in whole.shards for url in shard.urls]
    assert sorted(urls) == sorted(each.url for each in RECORDINGS)
    for plan in plans:
        assert {shard.id for shard in plan.shards} <= {shard.id for shard in whole.shards}


def test_a_damaged_plan_is_said(work: Place) -> None:
    Plan(work).extend(RECORDINGS)
    file = work.at("plan-000000.jsonl")
    content = places.read(file)
    assert content
    places.write(file, content.replace(b"/in/1.wav", b"/in/2.wav"))
    with pytest.raises(SourceFailed, match="is damaged"):
        Plan(work)


def test_what_is_written_is_whole_or_not_there(tmp_path: Path) -> None:
    place = places.place(str(tmp_path / "a" / "b"))
    places.write(place, b"first")
    assert not places.create(place, b"second")
    assert places.read(place) == b"first"
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["b"]
