"""Connections that bring no request, or too much of one: real sockets against uvicorn with our limits."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from medasr_service.serving import connections
from medasr_service.serving.connections import (
    GONE_AFTER,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    Connection,
    Door,
)
from medasr_service.settings import Settings

LARGE = 64 << 20  # more than the buffers of a socket take
GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
GET_AND_GO = GET.replace(b"a\r\n", b"a\r\nConnection: close\r\n")


class Running:
    """uvicorn with its door, on a port of 127.0.0.1."""

    def __init__(self, port: int, door: Door, server: uvicorn.Server) -> None:
        self.port = port
        self.door = door
        self.server = server
        self.hold = asyncio.Event()  # what GET /hold waits for
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def open(self, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(sent)
        await writer.drain()
        return reader, writer

    async def leave(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer, behind which the connection ends; 0 where it is cut off, as
        it may be while more is being sent."""
        head = body = b""
        with suppress(ConnectionError):
            reader, _ = await self.open(sent)
            async with asyncio.timeout(30):
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractAsyncContextManager[Running]]:
    monkeypatch.setattr(connections, "LOOK_S", 0.02)

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[Running]:
        door = Door(Settings(**settings))
        here: Running

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                websocket = WebSocket(scope, receive, send)
                await websocket.accept()
                while True:
                    await websocket.send_text(await websocket.receive_text())
            path = scope["path"]
            if path == "/hold":
                await here.hold.wait()
            if path == "/read":
                await Request(scope, receive).body()
            await PlainTextResponse("x" * (LARGE if path == "/large" else 1))(scope, receive, send)

        monkeypatch.setitem(
            uvicorn.config.HTTP_PROTOCOLS, "auto", lambda **arguments: Connection(door, **arguments)
        )
        config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_keep_alive=60)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            here = Running(listening.getsockname()[1], door, server)
            task = asyncio.create_task(server._serve([listening]))
            while not server.started:
                await asyncio.sleep(0)
            try:
                yield here
            finally:
                here.hold.set()
                await here.leave()
                server.should_exit = server.force_exit = True
                await task

    return run


Run = Callable[..., AbstractAsyncContextManager[Running]]


def code(answer: tuple[int, bytes]) -> tuple[int, str]:
    error = json.loads(answer[1])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer[0], error["code"]


TOO_LARGE = {
    "one value": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * MAX_HEADER_BYTES + b"\r\n\r\n",
    "a value without an end": b"GET / HTTP/1.1\r\nX: " + b"x" * (8 << 20),
    "an address": b"GET /" + b"x" * MAX_HEADER_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "many values": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    "a name": b"GET / HTTP/1.1\r\n" + b"x" * MAX_HEADER_BYTES + b": y\r\n\r\n",
    "a websocket's": b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    + b"X: y\r\n" * MAX_HEADERS
    + b"\r\n",
    "behind the body": b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\nx\r\n0\r\nX: "
    + b"x" * (8 << 20),
}


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_a_header_is_bounded(running: Run, name: str) -> None:
    async with running() as service:
        answer = await service.ask(TOO_LARGE[name])
        if len(TOO_LARGE[name]) < 1 << 20 or answer[0]:
            assert code(answer) == (431, "header_too_large")
        assert (await service.ask(GET_AND_GO))[0] == 200


async def test_a_header_as_browsers_send_it_passes(running: Run) -> None:
    async with running() as service:
        lines = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 500) for i in range(MAX_HEADERS - 2))
        answer = await service.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + lines + b"\r\n")
        assert answer == (200, b"x")


async def test_what_is_no_request_is_told_so(running: Run) -> None:
    async with running() as service:
        assert code(await service.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")) == (
            400,
            "bad_request",
        )


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"G"])
async def test_half_a_header_is_waited_for_no_longer_than_set(running: Run, sent: bytes) -> None:
    async with running(header_timeout_s=0.2) as service:
        assert code(await service.ask(sent)) == (408, "header_timeout")


async def test_a_header_that_comes_byte_by_byte_has_no_more_time(running: Run) -> None:
    async with running(header_timeout_s=0.3) as service:
        _, writer = await service.open(GET[:-4])
        with suppress(ConnectionError):
            async with asyncio.timeout(30):
                while True:
                    writer.write(b"x")
                    await asyncio.sleep(0.01)
                    await writer.drain()
        assert not service.connections


@pytest.mark.parametrize("sent", [b"", GET, b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"])
async def test_who_asks_nothing_more_is_hung_up_on(
    running: Run, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind an answer, and where the rest of what was announced does not come."""
    monkeypatch.setattr(connections, "LINGER_S", 0.2)
    async with running(header_timeout_s=0.2) as service:
        reader, _ = await service.open(sent)
        async with asyncio.timeout(30):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 " if sent else b"")


async def test_a_request_under_way_is_not_hung_up_on(running: Run) -> None:
    async with running(header_timeout_s=0.1) as service:
        held, _ = await service.open(b"GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        async with connect(f"ws://127.0.0.1:{service.port}/") as live:
            idle, _ = await service.open()
            await idle.read()  # its time is over
            await live.send("still there")
            assert await live.recv() == "still there"
            service.hold.set()
            assert (await held.read()).startswith(b"HTTP/1.1 200 ")


async def test_who_takes_nothing_of_an_answer_is_hung_up_on(running: Run) -> None:
    async with running(send_timeout_s=0.2) as service:
        _, writer = await service.open(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(30):
            while not service.connections:
                await asyncio.sleep(0.01)
            while service.connections:
                await asyncio.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name these otherwise")
async def test_a_peer_whose_machine_is_gone_is_found_by_the_system(running: Run) -> None:
    async with running() as service:
        await service.open()
        while not service.connections:
            await asyncio.sleep(0.01)
        [connection] = service.server.server_state.connections
        peer = connection.transport.get_extra_info("socket")
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        idle_s, every_s, times = (
            peer.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in GONE_AFTER
        )
        assert idle_s + every_s * times <= 60


async def test_connections_without_a_request_make_room(running: Run) -> None:
    """Three times as many as there may be: each that comes is served."""
    async with running(max_connections=10) as service:
        for _ in range(30):
            await service.open()
        assert service.connections <= 10 + 1
        answers = [await service.ask(GET_AND_GO) for _ in range(30)]
        assert [status for status, _ in answers] == [200] * 30


async def test_where_all_are_busy_probes_are_answered_and_others_told(running: Run) -> None:
    async with running(max_connections=5) as service:
        held = [await service.open(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(5)]
        async with asyncio.timeout(30):
            while sum(not each.is_free for each in service.server.server_state.connections) < 5:  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
        for path in ("/livez", "/readyz", "/health"):
            answer = await service.ask(
                f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
            )
            assert answer == (200, b"x")
        assert code(await service.ask(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")) == (429, "busy")
        service.hold.set()
        for reader, _ in held:
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")


def test_files_are_kept_for_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    door = Door(Settings(max_connections=5000, max_concurrent_requests=64))
    assert door.most == 1024 - connections.FILES_FOR_PROCESS - 4 * 64 - connections.FOR_PROBES


async def test_a_client_opens_only_so_many_sockets_at_a_time(running: Run) -> None:
    async with running(max_live_streams=2) as service, AsyncExitStack() as stack:
        for _ in range(service.door.sockets_per_client):
            await stack.enter_async_context(connect(f"ws://127.0.0.1:{service.port}/"))
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{service.port}/")
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["retry-after"] == "1"
