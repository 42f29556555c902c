"""What stands in front of BentoML's proxy, against an application that writes down what reaches it."""

import asyncio
from collections.abc import Iterator
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from medasr_service.serving.front import Front, patient
from tests.conftest import PATIENCE_S, http_scope

Headers = list[tuple[bytes, bytes]]


async def sent_on(*headers: tuple[bytes, bytes], method: str = "POST") -> dict[bytes, list[bytes]]:
    """The headers that the proxy gets."""
    seen: dict[bytes, list[bytes]] = {}

    async def proxy(scope: Scope, _: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            seen.setdefault(name, []).append(value)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    await Front(proxy)(http_scope(headers=headers, method=method), never, nowhere)
    return seen


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def nowhere(_: Message) -> None:
    pass


def body(*parts: bytes) -> Iterator[Message]:
    for left, part in zip(reversed(range(len(parts))), parts, strict=True):
        yield {"type": "http.request", "body": part, "more_body": left > 0}


async def test_what_a_client_says_of_its_address_is_not_believed() -> None:
    seen = await sent_on((b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-for", b"203.0.113.8"))
    assert seen[b"x-forwarded-for"] == [b"test"]  # of the connection itself


async def test_an_upload_waits_until_the_service_asks_for_it() -> None:
    for header in ((b"content-length", b"5"), (b"transfer-encoding", b"chunked")):
        assert (await sent_on(header))[b"expect"] == [b"100-continue"]
    assert b"expect" not in await sent_on((b"content-length", b"0"))
    assert b"expect" not in await sent_on(method="GET")


async def test_what_belongs_to_one_connection_stays_with_it() -> None:
    seen = await sent_on((b"transfer-encoding", b"chunked"), (b"connection", b"keep-alive"), (b"te", b"x"))
    assert b"transfer-encoding" not in seen
    assert seen[b"connection"] == [b"close"]
    assert seen[b"te"] == [b"x"]


async def answered(headers: Headers, *, read: bool) -> Headers:
    """The headers that the client gets; ``read``: the proxy has read the body before."""
    got: Headers = []
    parts = body(b"a", b"b")

    async def receive() -> Message:
        return next(parts, None) or await never()

    async def send(message: Message) -> None:
        got.extend(message.get("headers", []))

    async def proxy(_: Scope, receive: Receive, send: Send) -> None:
        while read and (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    await Front(proxy)(http_scope(), receive, send)
    return got


async def test_a_client_keeps_its_connection_unless_its_upload_was_not_read() -> None:
    headers = [(b"Date", b"today"), (b"connection", b"close"), (b"x-request-id", b"1")]
    assert await answered(headers, read=True) == [(b"x-request-id", b"1")]
    assert await answered(headers, read=False) == headers[1:]


async def test_where_the_client_hangs_up_so_does_the_proxy() -> None:
    parts = body(b"a", b"b")
    read, gone, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        if message := next(parts, None):
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def proxy(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive())["more_body"]:
            pass
        read.set()
        try:
            await asyncio.Event().wait()  # for the service's answer
        finally:
            ended.set()

    front = asyncio.create_task(Front(proxy)(http_scope(), receive, nowhere))
    async with asyncio.timeout(PATIENCE_S):
        await read.wait()
        assert not front.done()
        gone.set()
        await front  # ends without an error
    assert ended.is_set()


async def test_a_time_limit_ends_both() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def proxy(*_: Any) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    front = asyncio.create_task(Front(proxy)(http_scope(), never, nowhere))
    await started.wait()
    front.cancel()
    assert isinstance((await asyncio.gather(front, return_exceptions=True))[0], asyncio.CancelledError)
    assert ended.is_set()


async def test_a_service_that_is_slow_to_answer_at_first_is_waited_for() -> None:
    answers: Iterator[bool | TimeoutError] = iter((TimeoutError(), False, True))

    async def check(_: str) -> bool:
        if isinstance(answer := next(answers), TimeoutError):
            raise answer
        return answer

    assert [await patient(check)("/livez") for _ in range(3)] == [False, False, True]
