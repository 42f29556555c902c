"""medasr archive as it is started: killed, twice at once, without room; its texts are the service's."""

import json
import os
import random
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from medasr_service.cli import parse
from medasr_service.cli.archive import _Bar
from tests.archive.conftest import SHORT, Archive, Watcher
from tests.conftest import PATIENCE_S, ROOT, Service

MANY = 24
HEARD = ("text", "raw_text", "duration", "gain", "segments", "words", "unclear", "warnings")


def command(archive: Archive, *more: str, **how: Any) -> "subprocess.Popen[str]":
    arguments = ["archive", str(archive.source), "--output", str(archive.target), "--json", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "medasr_service", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


@pytest.fixture
def many(archive: Archive) -> Archive:
    for at in range(MANY):
        archive.add(f"{at:02}.flac", SHORT[at % len(SHORT)])
    return archive


def has_texts_once(archive: Archive) -> None:
    texts = archive.texts()
    assert len(texts) == MANY
    assert len({texts[f"{at:02}.flac"] for at in range(MANY)}) == len(SHORT)
    assert all(texts[f"{at:02}.flac"] == texts[f"{at % len(SHORT):02}.flac"] for at in range(MANY))


def test_killed_again_and_again_it_goes_on_where_it_was(many: Archive) -> None:
    chance = random.Random(7)
    for kills in range(50):
        with command(many, "--shard", "3") as running:
            if kills < 2:
                before = len(many.parts)
                deadline = time.monotonic() + PATIENCE_S
                while len(many.parts) == before and time.monotonic() < deadline:
                    if running.poll() is not None:
                        break
                    time.sleep(0.01)
                time.sleep(chance.uniform(0, 0.2))
                running.kill()
            told, _ = running.communicate(timeout=PATIENCE_S)
            if running.returncode == 0:
                break
    assert json.loads(told)["done_before"] > 0
    has_texts_once(many)


def test_two_at_once_share_the_work(many: Archive) -> None:
    both = [command(many, "--shard", "3") for _ in range(2)]
    told = [json.loads(each.communicate(timeout=PATIENCE_S)[0]) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum(each["done_now"] for each in told) == MANY
    assert [each["done_now"] + each["done_before"] for each in told] == [MANY, MANY]
    has_texts_once(many)


def test_a_full_disk_is_one_line_and_nothing_half_written(many: Archive) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))  # smaller than a part, larger than the plan

    with command(many, preexec_fn=small) as running:
        _, errors = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 2
    [_, line] = errors.splitlines()  # the first says that it is the demo model
    assert line.endswith("cannot be written: File too large")
    assert not many.parts
    assert not list(many.target.rglob("*.part"))


@pytest.mark.usefixtures("one_engine")
def test_ctrl_c_keeps_what_is_done(many: Archive) -> None:
    class Impatient(Watcher):
        def row(self) -> None:
            super().row()
            if self.rows == 10:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        many.run(Impatient())
    assert 10 <= len(many.texts()) < MANY
    report = many.run()
    assert report.before.recordings >= 10
    has_texts_once(many)


def test_progress_tells_how_much_is_done_and_how_long_the_rest_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = _Bar(shown=True)
    bar.begins(4)
    bar._bar.start_t -= 60  # so long ago
    for _ in range(3):
        bar.row()
    bar._bar.refresh()
    told = capsys.readouterr().err
    assert "75%" in told
    assert re.search(r"3/4 recordings, 00:[12]\d left", told)
    bar.close()


@pytest.mark.e2e
def test_the_rows_are_what_the_service_answers(archive: Archive, service: Service) -> None:
    for clip in SHORT:
        archive.add(clip.name, clip)
    with command(archive) as running:
        running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0
    rows = {Path(row.file).name: row.content for row in archive.rows()}
    for clip in SHORT:
        asked = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
        answer = httpx.post(
            f"{service.url}/v1/audio/transcriptions",
            files={"file": clip.read_bytes()},
            data=asked,
            timeout=PATIENCE_S,
        ).json()
        assert {name: answer.get(name) for name in HEARD} == {
            name: rows[clip.name].get(name) for name in HEARD
        }


def test_the_examples_of_the_page_are_commands(archive: Archive) -> None:
    """Each is read as it stands; the first, the one without extras, is run."""
    page = (ROOT / "docs" / "archive.md").read_text()
    examples = [
        shlex.split(line, comments=True)[1:] for line in page.splitlines() if line.startswith("medasr ")
    ]
    assert len(examples) == 4
    for example in examples:
        parse(example)
    archive.add("a.flac")
    archive.source.rename(archive.source.with_name("dictations"))
    process = subprocess.run(
        [sys.executable, "-m", "medasr_service", *examples[0]],
        cwd=archive.source.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "recordings   1: 1 now, 0 before" in process.stdout
