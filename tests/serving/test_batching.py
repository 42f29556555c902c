"""Batches form of what waits already; nothing is held back for what may come."""

import asyncio
from collections.abc import Sequence
from typing import Any

from bentoml._internal.marshal import dispatcher as dispatching
from bentoml._internal.marshal.dispatcher import CorkDispatcher

import medasr_service.serving.services  # noqa: F401  # it tells BentoML
from medasr_service.serving.batching import Prompt
from medasr_service.serving.model_process import TRAINING_CALLS


def test_bentoml_batches_by_this_and_not_by_its_own() -> None:
    assert dispatching.Optimizer is Prompt
    assert isinstance(CorkDispatcher(1000, 16, fallback=lambda: None).optimizer, Prompt)


def test_nothing_waits_for_company_after_a_burst_of_calls_that_waited() -> None:
    optimizer = Prompt(1000)
    for _ in range(50):
        optimizer.log_outbound(n=4, wait=0.3, duration=0.4)
    optimizer.trigger_refresh()
    assert optimizer.wait == 0


async def test_calls_that_come_while_a_batch_runs_are_one_batch() -> None:
    sizes: list[int] = []
    running = asyncio.Event()
    go_on = asyncio.Event()

    async def run(batch: Sequence[int]) -> list[Any]:
        sizes.append(len(batch))
        if len(sizes) > TRAINING_CALLS:
            running.set()
            await go_on.wait()
        return list(batch)

    dispatcher: Any = CorkDispatcher(10_000_000, 16, fallback=lambda: None, get_batch_size=lambda _: 1)
    call = dispatcher(run)
    for number in range(TRAINING_CALLS):
        await call(number)
    first = asyncio.create_task(call(0))
    await running.wait()
    others = [asyncio.create_task(call(number)) for number in range(1, 6)]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(first, *others) == [0, 1, 2, 3, 4, 5]
    assert sizes[TRAINING_CALLS:] == [1, 5]
    dispatcher.shutdown()
