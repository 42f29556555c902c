"""A recording that is given up anywhere and gone on with: the same segments, each window asked for once."""

import asyncio
import io
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, BinaryIO

import pytest

from medasr_service.errors import NotReady
from medasr_service.jobs.hearing import Forgotten, Hearing
from medasr_service.jobs.record import SEGMENTS, Asked, Heard
from medasr_service.jobs.store import Store, new_place
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.text.transcript import Segment, Transcript
from medasr_service.transcriber import Options, Transcriber
from tests.jobs.kills import long_recording

RECORDING = long_recording(4)
MODEL = ("medasr-demo", "as it is")


class Stopped(Exception): ...


class Model:
    """The demo model, which keeps what it has said, for a test to be quick; stops after ``left`` windows."""

    said: dict[bytes, Emission] = {}  # noqa: RUF012

    def __init__(self, real: Callable[[list[Waveform]], Any]) -> None:
        self._real = real
        self.asked: Counter[bytes] = Counter()
        self.left: float = float("inf")

    async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
        [waveform] = waveforms
        window = waveform.tobytes()
        if self.left <= 0:
            raise Stopped
        self.left -= 1
        if window not in self.said:
            [self.said[window]] = await self._real(waveforms)
        self.asked[window] += 1
        return [self.said[window]]


@pytest.fixture
def model(make_transcriber: Callable[..., Transcriber]) -> Model:
    return Model(make_transcriber().infer)


@pytest.fixture
def transcriber(make_transcriber: Callable[..., Transcriber], model: Model) -> Transcriber:
    return make_transcriber().through(model.infer)


@pytest.fixture
def asked(options: Options) -> Asked:
    return Asked(options=replace(options, chunk_length_s=6.0, stride_length_s=1.0), fields={})


def sound() -> BinaryIO:
    return io.BytesIO(RECORDING)


async def heard(hearing: Hearing, asked: Asked, first: int = 0) -> int:
    """To its end, from that part on; how many parts there are."""
    hearing.begin(asked, await hearing.inspect(asked))
    number = first
    while not (progress := await hearing.part(number))["done"]:
        assert progress["seconds"] <= progress["duration"]
        number += 1
    await hearing.close()
    return int(progress["parts"])


def parts(store: Store, place: str, count: int) -> list[Segment]:
    found = []
    for number in range(count):
        kept = store.load(place, f"part-{number}")
        assert kept is not None
        found += SEGMENTS.validate_json(kept)
    return found


def result(store: Store, place: str) -> Transcript:
    kept = store.load(place, "result")
    assert kept is not None
    return Heard.model_validate_json(kept).transcript


async def test_what_is_kept_is_what_the_request_without_jobs_is_answered_with(
    transcriber: Transcriber, store: Store, asked: Asked
) -> None:
    place = new_place()
    count = await heard(Hearing(transcriber, store, place, MODEL, sound()), asked)
    direct = await transcriber.transcribe(sound(), asked.options)
    assert result(store, place) == direct
    assert count > 2
    assert tuple(parts(store, place, count)) == direct.segments


async def test_wherever_it_stops_it_goes_on_as_if_it_had_not(
    transcriber: Transcriber, model: Model, store: Store, asked: Asked
) -> None:
    direct = await transcriber.transcribe(sound(), asked.options)
    windows = len(model.asked)
    for stop in range(1, windows):
        model.asked.clear()
        place, first = new_place(), 0
        model.left = stop
        hearing = Hearing(transcriber, store, place, MODEL, sound())
        hearing.begin(asked, await hearing.inspect(asked))
        with suppress(Stopped):
            while True:
                await hearing.part(first)
                first += 1
        await hearing.close()
        before = parts(store, place, first)
        model.left = float("inf")
        count = await heard(Hearing(transcriber, store, place, MODEL, sound()), asked, first)
        assert result(store, place) == direct
        assert tuple(parts(store, place, count)) == direct.segments
        assert parts(store, place, first) == before
        assert len(model.asked) == windows
        assert model.asked.total() <= windows + 1  # one more may have been with the model when it stopped


@pytest.mark.parametrize("what", ["cut", "of another model"])
async def test_what_cannot_be_used_of_what_is_kept_is_asked_for_again(
    what: str, transcriber: Transcriber, model: Model, store: Store, asked: Asked
) -> None:
    place, other = new_place(), (MODEL if what == "cut" else ("medasr-demo", "another revision"))
    await heard(Hearing(transcriber, store, place, MODEL, sound()), asked)
    first = Counter(model.asked)
    if what == "cut":
        path = store._path(place, "window-1")
        with open(path, "r+b") as file:  # noqa: PTH123
            file.truncate(100)
    await heard(Hearing(transcriber, store, place, other, sound()), asked)
    again = model.asked - first
    assert len(again) == (1 if what == "cut" else len(first))


async def test_a_part_without_a_word_is_a_part(
    make_transcriber: Callable[..., Transcriber], store: Store, asked: Asked
) -> None:
    silence = io.BytesIO(RECORDING[:44] + bytes(len(RECORDING) - 44))
    place = new_place()
    count = await heard(Hearing(make_transcriber(windows="fixed"), store, place, MODEL, silence), asked)
    assert count > 1
    assert result(store, place).text == "" == "".join(each.text for each in parts(store, place, count))


async def test_who_waits_for_a_part_of_what_is_given_up_is_told(
    transcriber: Transcriber, store: Store, options: Options
) -> None:
    async def never(_: list[Waveform]) -> list[Emission]:
        await asyncio.Event().wait()
        raise NotReady("")

    asked = Asked(options=options, fields={})
    hearing = Hearing(transcriber.through(never), store, new_place(), MODEL, sound())
    hearing.begin(asked, await hearing.inspect(asked))
    waiting = asyncio.create_task(hearing.part(0))
    await asyncio.sleep(0)
    await hearing.close()
    with pytest.raises(Forgotten):
        await waiting
