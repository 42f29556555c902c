"""How long a request may take, and that nothing of it is kept behind its end."""

import asyncio
import gc
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
import uvloop
from starlette.types import Message, Receive, Scope, Send

from medasr_service.api.time_limit import TimeLimit

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"done"}


class Context:
    """What a request carries along, as a trace does."""


TRACE: ContextVar[Context] = ContextVar("TRACE")


async def receive() -> Message:
    return {"type": "http.request"}


async def ask(app: Any, timeout_s: float, kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await TimeLimit(app, timeout_s)({"type": kind, "method": "GET"}, receive, send)
    return sent


def test_no_answer_in_time_is_504_in_openais_shape() -> None:
    cancelled = False

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        finally:
            cancelled = True

    start, body = asyncio.run(ask(never, 0.01))
    assert start["status"] == 504
    assert b'"code":"timeout"' in body["body"]
    assert cancelled


def test_what_is_sent_in_the_course_of_the_cancellation_is_not_a_second_answer() -> None:
    async def confesses(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await send(START)

    start, _ = asyncio.run(ask(confesses, 0.01))
    assert start["status"] == 504


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_answer_that_has_begun_is_not_cut_off(kind: str) -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(0.05)
        await send(END)

    assert asyncio.run(ask(slow, 0.01, kind)) == [START, END]


def test_an_error_of_the_application_is_not_taken_for_the_limit() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        asyncio.run(ask(fails, 60))


def test_nothing_of_a_request_is_kept_until_its_limit() -> None:
    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(END)

    async def run() -> bool:
        context = Context()
        kept = weakref.ref(context)

        async def traced(context: Context) -> None:
            TRACE.set(context)
            await ask(answers, 7200)

        await asyncio.create_task(traced(context))
        await asyncio.sleep(0)  # a timer is closed in the loop's next round
        del context
        gc.collect()
        return kept() is not None

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the service's
        assert not runner.run(run())


def test_bentoml_takes_this_limit_and_not_its_own() -> None:
    from bentoml._internal.server.base_app import BaseAppFactory

    from medasr_service.serving import middleware, services  # noqa: F401  # that installs it

    class Factory(BaseAppFactory):
        name = "any"

    [found] = Factory(timeout=5).middlewares
    assert vars(found)["cls"] is middleware.time_limit
