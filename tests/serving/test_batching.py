"""Batches form of what waits already; nothing is held back for what may come."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from bentoml._internal.marshal import dispatcher as dispatching
from bentoml._internal.marshal.dispatcher import CorkDispatcher
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import medasr_service.serving.services  # noqa: F401  # it tells BentoML
from medasr_service.serving import batches
from medasr_service.serving.batching import Prompt, Traced
from medasr_service.serving.model_process import TRAINING_CALLS
from medasr_service.telemetry import traces


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


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Spans of this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "_tracer", provider.get_tracer("test"))
    return exporter


async def test_a_batch_is_a_span_of_the_first_window_and_linked_with_the_others(
    written: InMemorySpanExporter,
) -> None:
    """Each of which is of another trace; one is of none. What runs by itself has a batch, and no link."""
    running, go_on = asyncio.Event(), asyncio.Event()

    async def run(batch: Sequence[list[int]]) -> list[Any]:
        lengths = [length for each in batch for length in each if length]
        with batches.counted(lengths, 16_000):
            if lengths:
                running.set()
                await go_on.wait()
        return list(batch)

    dispatcher: Any = Traced(10_000_000, 16, fallback=lambda: None, get_batch_size=len)
    call = dispatcher(run)
    for _ in range(TRAINING_CALLS):
        await call([0])

    async def ask(name: str, length: int) -> None:
        with traces.served(name):
            await call([length])

    first = asyncio.create_task(ask("first", 16_000))
    await running.wait()
    others = [asyncio.create_task(ask(name, 32_000)) for name in ("second", "third")]
    others.append(asyncio.create_task(call([30_000])))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *others)
    dispatcher.shutdown()

    spans: dict[str, Any] = {each.name: each for each in written.get_finished_spans() if each.name != "batch"}
    found: list[Any] = [each for each in written.get_finished_spans() if each.name == "batch"]
    alone, together = found
    assert alone.parent.span_id == spans["first"].context.span_id
    assert alone.attributes == {"medasr.windows": 1, "medasr.audio_s": 1, "medasr.padding_s": 0}
    assert not alone.links
    assert together.context.trace_id == spans["second"].context.trace_id
    assert together.parent.span_id == spans["second"].context.span_id
    seconds = {"medasr.audio_s": 94_000 / 16_000, "medasr.padding_s": 2_000 / 16_000}
    assert together.attributes == {"medasr.windows": 3, **seconds}
    assert [link.context.span_id for link in together.links] == [spans["third"].context.span_id]
    assert [link.context.span_id for link in spans["third"].links] == [together.context.span_id]
    assert not dispatcher._whose


async def test_what_is_not_sampled_has_no_batch(written: InMemorySpanExporter) -> None:
    with traces.served("unsampled", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"):
        assert traces.here() is None
    assert traces.here() is None
    with batches.counted([16_000], 16_000):
        pass
    assert not written.get_finished_spans()
