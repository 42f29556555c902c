"""pipecat's measure: what it counts from, and to."""

import asyncio

import numpy as np
import pytest

from benchmarks import virtual_time
from benchmarks.final_segment import InProcess, heard, speech, summary
from medasr_service.live.session import Session, TurnDetection
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from tests.test_transcriber import GEOMETRY, VOCABULARY, hear, spell

DECODE_S = 0.15
SAID = spell([2, 3, 4], pause_frames=0)


async def infer(waveforms: list[Waveform]) -> list[Emission]:
    await asyncio.sleep(DECODE_S)
    return [hear(waveform) for waveform in waveforms]


async def measured(turns: TurnDetection | None) -> tuple[float, str]:
    session = Session(
        infer,
        VOCABULARY,
        GEOMETRY,
        Settings(normalize=False),
        raw=True,
        turn_detection=turns,
        clock=asyncio.get_running_loop().time,
    )
    return await heard(InProcess(session), np.concatenate((SAID, SAID)), commits=turns is None)


def test_it_is_the_clients_wait_and_the_decode_of_the_last_words() -> None:
    seconds, text = virtual_time.run(measured(None))
    assert text.split() == ["lungs", "are", "clear"] * 2
    assert 0.2 + DECODE_S - 0.02 <= seconds <= 0.2 + 2 * DECODE_S + 0.02


def test_where_the_service_finds_the_end_it_is_the_pause_at_the_least() -> None:
    seconds, text = virtual_time.run(measured(TurnDetection(silence_s=0.5)))
    assert text.split() == ["lungs", "are", "clear"] * 2
    assert 0.4 <= seconds <= 0.5 + 2 * DECODE_S


def test_what_is_30_db_below_the_loudest_is_no_speech() -> None:
    loud, soft = np.full(640, 0.5, np.float32), np.full(320, 0.5 / 40, np.float32)
    assert speech(np.concatenate((soft, loud, soft))).tolist() == [False, True, True, False]


def test_its_figures_are_those_of_the_table() -> None:
    found = summary([(0.2, ""), (0.3, ""), (0.4, "")] * 4 + [(0.3, "")])
    assert (found["ttfs_p50_ms"], found["recordings"]) == (300, 13)
    assert found["ttfs_p95_ms"] == pytest.approx(400)
