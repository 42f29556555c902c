"""Which windows go to the model next."""

import asyncio

import numpy as np
import pytest

from medasr_service.errors import NotReady
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.serving import admission as admissions
from medasr_service.serving.admission import JOB_PATIENCE_S, Admission

RATE = 16_000
LIMIT = 30 * RATE


class Model:
    """Answers a call when it is told to; knows in which order calls came, by their length in s."""

    def __init__(self) -> None:
        self.is_there = True
        self.is_lost = False
        self.came: list[float] = []
        self.answers: list[asyncio.Future[None]] = []

    async def attempt(self, waveforms: list[Waveform]) -> list[Emission] | None:
        self.came.append(sum(map(len, waveforms)) / RATE)
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]
        return None if self.is_lost else waveforms


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def call(admission: Admission, seconds: float) -> asyncio.Task[list[Emission]]:
    return asyncio.create_task(admission.infer([np.zeros(int(seconds * RATE), np.float32)]))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_sound_than_the_limit_is_with_the_model() -> None:
    model = Model()
    admission = Admission([model], LIMIT, RATE)
    calls = [call(admission, 20) for _ in range(3)]
    await settle()
    for with_model in (1, 2, 3):
        assert len(model.came) == with_model
        model.answers[with_model - 1].set_result(None)
        await settle()
    assert all(each.done() for each in calls)


async def test_a_call_longer_than_the_limit_goes_alone() -> None:
    model = Model()
    admission = Admission([model], LIMIT, RATE)
    calls = [call(admission, seconds) for seconds in (5, 40, 5)]
    await settle()
    assert model.came == [5, 5]
    for answer in model.answers:
        answer.set_result(None)
    await settle()
    assert model.came == [5, 5, 40]
    model.answers[2].set_result(None)
    await asyncio.gather(*calls)


async def test_a_clip_does_not_wait_for_the_windows_that_came_before_it() -> None:
    model = Model()
    admission = Admission([model], LIMIT, RATE)
    calls = [call(admission, 20) for _ in range(4)]
    await settle()
    calls.append(call(admission, 5))
    await settle()
    assert model.came == [20, 5]
    for each in calls:
        each.cancel()


async def test_a_long_window_does_not_wait_for_ever_behind_short_ones() -> None:
    model, clock = Model(), Clock()
    admission = Admission([model], LIMIT, RATE, clock)
    calls = [call(admission, 30)]
    await settle()
    calls.append(call(admission, 20))
    await settle()
    for _ in range(20):
        clock.now += 1
        calls.append(call(admission, 2))
        await settle()
    model.answers[0].set_result(None)
    await settle()
    assert model.came == [30, 2, 2, 2, 20, 2, 2]
    for each in calls:
        each.cancel()


async def before_a_clip(patience_s: list[float]) -> list[float]:
    """What the model hears from the coming of a clip to its turn, beside recordings of these patiences."""
    model, clock = Model(), Clock()
    admission = Admission([model], LIMIT, RATE, clock)

    async def recording(each_s: float) -> None:
        while True:
            await admission.infer([np.zeros(20 * RATE, np.float32)], patience_s=each_s)

    others = [asyncio.create_task(recording(each)) for each in patience_s for _ in range(2)]  # in flight
    await settle()
    clip = call(admission, 3)
    await settle()
    heard = len(model.came)
    while 3 not in model.came:
        clock.now += 1
        model.answers[len(model.came) - 1].set_result(None)
        await settle()
    for each in (clip, *others):
        each.cancel()
    await asyncio.gather(clip, *others, return_exceptions=True)
    return model.came[:heard]


async def test_a_clip_waits_beside_ten_jobs_for_what_it_waits_for_beside_one_long_file() -> None:
    beside_file = await before_a_clip([0.0])
    assert await before_a_clip([JOB_PATIENCE_S] * 10) == beside_file
    assert await before_a_clip([0.0, *[JOB_PATIENCE_S] * 10]) == beside_file


async def test_however_many_jobs_have_waited_too_long_a_clip_waits_for_one_of_their_windows() -> None:
    """On a slow machine ten jobs have more windows waiting than a minute's worth: all of them are due."""
    model, clock = Model(), Clock()
    admission = Admission([model], LIMIT, RATE, clock)
    window = [np.zeros(20 * RATE, np.float32)]
    jobs = [asyncio.create_task(admission.infer(window, patience_s=JOB_PATIENCE_S)) for _ in range(20)]
    await settle()
    clock.now += 2 * JOB_PATIENCE_S
    clips = [call(admission, seconds) for seconds in (15, 16, 17)]
    await settle()
    for number in range(6):
        model.answers[number].set_result(None)
        await settle()
    assert model.came == [20, 20, 15, 20, 16, 20, 17]  # and the jobs go on
    for each in (*clips, *jobs):
        each.cancel()
    await asyncio.gather(*clips, *jobs, return_exceptions=True)


async def test_jobs_go_behind_long_files_and_come_all_the_same() -> None:
    model, clock = Model(), Clock()
    admission = Admission([model], LIMIT, RATE, clock)
    lengths = iter(range(21, 30))

    async def files() -> None:
        for length in lengths:
            await admission.infer([np.zeros(length * RATE, np.float32)])

    calls = [asyncio.create_task(files()) for _ in range(2)]
    await settle()
    job = asyncio.create_task(admission.infer([np.zeros(20 * RATE, np.float32)], patience_s=JOB_PATIENCE_S))
    for _ in range(6):
        await settle()
        assert 20 not in model.came
        clock.now += JOB_PATIENCE_S / 5
        model.answers[len(model.came) - 1].set_result(None)
    await settle()
    assert 20 in model.came  # although others wait still
    for each in (*calls, job):
        each.cancel()
    await asyncio.gather(*calls, job, return_exceptions=True)


@pytest.mark.parametrize("which", ["waiting", "with the model"])
async def test_who_leaves_gives_the_place_to_the_next(which: str) -> None:
    model = Model()
    admission = Admission([model], LIMIT, RATE)
    calls = [call(admission, 20) for _ in range(3)]
    await settle()
    gone = calls[1] if which == "waiting" else calls[0]
    gone.cancel()
    await settle()
    if which == "waiting":
        assert len(model.came) == 1
        model.answers[0].set_result(None)
        await settle()
    assert len(model.came) == 2
    for each in calls:
        each.cancel()


async def test_a_call_that_fails_gives_its_place_to_the_next() -> None:
    model = Model()
    admission = Admission([model], LIMIT, RATE)
    calls = [call(admission, 20), call(admission, 20)]
    await settle()
    model.answers[0].set_exception(RuntimeError("away"))
    await settle()
    assert len(model.came) == 2
    with pytest.raises(RuntimeError, match="away"):
        await calls[0]
    calls[1].cancel()


async def test_each_worker_has_work_before_any_has_two() -> None:
    """And no more than the limit, each of them."""
    models = [Model(), Model(), Model()]
    admission = Admission(models, LIMIT, RATE)
    calls = [call(admission, seconds) for seconds in (20, 20, 20, 5, 20)]
    await settle()
    assert [model.came for model in models] == [[20, 5], [20], [20]]
    models[2].answers[0].set_result(None)
    await settle()
    assert models[2].came == [20, 20]
    for each in calls:
        each.cancel()


async def test_a_worker_that_is_away_gets_nothing_until_it_comes() -> None:
    models = [Model(), Model()]
    models[0].is_there = False
    admission = Admission(models, LIMIT, RATE)
    calls = [call(admission, 20) for _ in range(3)]
    await settle()
    assert [model.came for model in models] == [[], [20]]
    models[0].is_there = True
    admission.look()
    await settle()
    assert [model.came for model in models] == [[20], [20]]
    for each in calls:
        each.cancel()


async def test_what_was_with_a_worker_that_died_is_given_to_another_before_all_that_waits() -> None:
    models, clock = [Model(), Model()], Clock()
    admission = Admission(models, LIMIT, RATE, clock)
    calls = [call(admission, seconds) for seconds in (19, 20)]
    await settle()
    clock.now = 1
    calls += [call(admission, 18) for _ in range(2)]
    await settle()
    assert [model.came for model in models] == [[19], [20]]
    models[0].is_there, models[0].is_lost = False, True
    models[0].answers[0].set_result(None)
    await settle()
    models[1].answers[0].set_result(None)
    await settle()
    assert models[1].came == [20, 19]
    assert calls[1].done()
    for each in calls:
        each.cancel()


async def test_where_no_worker_comes_those_who_wait_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those who come later; and once one is there, they are served."""
    monkeypatch.setattr(admissions, "AWAY_S", 0.02)
    model = Model()
    model.is_there = False
    admission = Admission([model], LIMIT, RATE)
    first = await asyncio.gather(*(call(admission, 5) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in first] == [NotReady, NotReady]
    with pytest.raises(NotReady):
        await call(admission, 5)
    later = call(admission, 5)
    await settle()
    model.is_there = True
    admission.look()
    await settle()
    model.answers[0].set_result(None)
    assert len(await later) == 1
