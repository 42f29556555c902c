"""The connections of strangers: how many, for how long without a request, and how much of a header.

uvicorn keeps a connection for ever that sends nothing, or half a header, and a header of any size. Here:

- A header is at most ``MAX_HEADER_BYTES`` and ``MAX_HEADERS`` lines, and comes within ``header_timeout_s``.
- A peer that is gone, or takes nothing of its answer for ``send_timeout_s``, is hung up on.
- There are ``max_connections`` at most, and fewer where the process may not open as many files: what requests
  under way may need of those is kept for them. One more takes the place of one without a request, of the
  client that has the most connections. Where all have a request, a few more are let in: to ask whether the
  service lives and is ready, which is always answered.
"""

import asyncio
import json
import logging
import math
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import Any

import httptools
import uvicorn.config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from medasr_service.api.clients import network
from medasr_service.api.keys import PROBES
from medasr_service.api.refusals import error_body
from medasr_service.errors import Busy, InvalidRequest, MedASRError
from medasr_service.settings import Settings
from medasr_service.telemetry import metrics

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MAX_HEADER_BYTES = 64 << 10  # also of what comes behind a body
MAX_HEADERS = 128
LINGER_S = 30.0  # for the rest of an upload that is answered already: a client reads the answer behind it
MOST_FILES = 1 << 16
FILES_FOR_PROCESS, FILES_PER_REQUEST = 128, 4  # kept free of connections; a request's: spool, decoder, model
FOR_PROBES = 32  # connections beyond the limit
SPARE_SOCKETS = 16  # of a client, beyond all live sessions: those that are being closed
LOOK_S = 1.0  # between two looks at all connections
GONE_AFTER = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # a peer that answers nothing: 60 s

log = logging.getLogger("bentoml.medasr")


class Door:
    """All connections of this process, and what they may do."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.header_timeout_s = settings.header_timeout_s
        self.sockets_per_client = settings.max_live_streams + SPARE_SOCKETS
        self._send_timeout_s = settings.send_timeout_s
        self._settings = settings
        self.clock = clock
        self._unsent: dict[
            Any, tuple[int, float]
        ] = {}  # by connection: bytes, and since when they are as many
        self._looking = False

    @cached_property
    def most(self) -> int:
        """Found with the first connection that comes from outside: the model's process has none."""
        return _room(self._settings)

    def let_in(self, new: "Connection", connections: set[Any]) -> None:
        """Makes room, or leaves the new one for probes alone, or hangs up on it."""
        if len(connections) > self.most and not _make_room(new, connections):
            new.only_probes = True
            if len(connections) > self.most + FOR_PROBES:
                new.transport.abort()
        if not self._looking:
            self._looking = True
            new.loop.call_later(LOOK_S, self._look, new.loop, connections)

    def _look(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        now = self.clock()
        self._unsent = {each: self._unsent_by(each, now) for each in connections if each.transport}
        for each in list(connections):
            if each in self._unsent and now - self._unsent[each][1] > self._send_timeout_s:
                each.transport.abort()
            elif isinstance(each, Connection):
                each.look(now)
        self._looking = bool(connections)
        if connections:
            loop.call_later(LOOK_S, self._look, loop, connections)

    def _unsent_by(self, connection: Any, now: float) -> tuple[int, float]:
        """What the peer has not taken: how much, and since when it takes nothing."""
        size = connection.transport.get_write_buffer_size()
        before, since = self._unsent.get(connection, (0, now))
        return size, since if 0 < before <= size else now


class Connection(HttpToolsProtocol):
    """uvicorn's, with limits. A peer without an address is another process of the service."""

    def __init__(self, door: Door, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.only_probes = False
        self._door = door
        self._refusal: MedASRError | None = None
        self.waiting_since = door.clock()  # inf: a request is under way
        self.peer = ""
        self._in_header = self._in_body = False
        self._unread_bytes = 0  # of a header, or of anything else that is no body
        self._progress = 0

    @property
    def is_free(self) -> bool:
        """Whether it may be hung up on without a loss."""
        return self.waiting_since < math.inf and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client:
            self.peer = network(self.client[0])
            _notice_when_gone(transport)
            self._door.let_in(self, self.connections)

    def look(self, now: float) -> None:
        """Hangs up on who has had long enough for a request."""
        if not self.client or not self.is_free:
            return
        limit_s = LINGER_S if self._in_body else self._door.header_timeout_s
        if now - self.waiting_since > limit_s:
            if self._in_header:
                self._refuse(
                    InvalidRequest(
                        f"The header of the request did not come within {limit_s:g} s.",
                        status=408,
                        code="header_timeout",
                    )
                )
            else:
                self.transport.close()

    def data_received(self, data: bytes) -> None:
        progress = self._progress
        super().data_received(data)
        self._unread_bytes = self._unread_bytes + len(data) if progress == self._progress else 0
        if self._unread_bytes > MAX_HEADER_BYTES and self.client and not self.transport.is_closing():
            self._refuse(_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_header, self._header_bytes = True, 0
        if self.is_free:
            self.waiting_since = self._door.clock()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))
        if len(self.headers) > MAX_HEADERS and self.client:
            raise self._refused(_too_large())

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES and self.client:
            raise self._refused(_too_large())

    def on_headers_complete(self) -> None:
        self._in_header, self._in_body = False, True
        self._progress += 1
        if self.only_probes and httptools.parse_url(self.url).path.decode("ascii") not in PROBES:
            raise self._refused(
                Busy("All connections of this service are in use. Try again.", reason="connections")
            )
        self.waiting_since = math.inf
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._progress += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._progress += 1
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.waiting_since = math.inf if self.pipeline else self._door.clock()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """A handshake goes through everything that a request goes through: one client may not have many."""
        self._progress += 1
        if self.client:
            own = [each for each in self.connections if not isinstance(each, Connection)]
            if sum(_peer(each) == self.peer for each in own) >= self._door.sockets_per_client:
                return self._refuse(
                    Busy(
                        f"{self._door.sockets_per_client} sockets of yours are open. Try again.",
                        reason="sockets_of_client",
                    )
                )
        super().handle_websocket_upgrade()

    def _refused(self, error: MedASRError) -> MedASRError:
        """For the parser, which ends by it; send_400_response says it."""
        self._refusal = error
        return error

    def send_400_response(self, msg: str) -> None:
        """Where the parser has ended."""
        self._refuse(self._refusal or InvalidRequest("This is no HTTP request.", code="bad_request"))

    def _refuse(self, error: MedASRError) -> None:
        metrics.REFUSALS.labels(error.reason).inc()
        body = json.dumps(error_body(error)).encode()
        retry = b"" if error.retry_after_s is None else b"retry-after: %d\r\n" % error.retry_after_s
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
        self.transport.write(STATUS_LINE[error.status] + head + retry + b"\r\n" + body)
        self.transport.close()


def _too_large() -> InvalidRequest:
    limit = f"{MAX_HEADER_BYTES >> 10} KiB and {MAX_HEADERS} lines"
    return InvalidRequest(
        f"The header of the request is too large; the limits are {limit}.",
        status=431,
        code="header_too_large",
    )


def _make_room(new: Connection, connections: set[Any]) -> bool:
    """Hangs up on one without a request: who waits longest, of the client with the most connections."""
    free = [each for each in connections if each is not new and _is_free(each)]
    if not free:
        return False
    of = Counter(map(_peer, connections))
    worst = max(free, key=lambda each: (of[_peer(each)], -getattr(each, "waiting_since", 0.0)))
    worst.transport.abort()
    return True


def _is_free(connection: Any) -> bool:
    """Also a WebSocket to which there is no more to say, whatever it may still have to say itself."""
    if isinstance(connection, Connection):
        return connection.is_free
    return connection.close_sent and not connection.transport.is_closing()


def _peer(connection: Any) -> str:
    if isinstance(connection, Connection):
        return connection.peer
    return network(connection.client[0]) if connection.client else ""


def _notice_when_gone(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    with suppress(OSError, AttributeError):  # not every system has all of these
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in GONE_AFTER.items():
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _room(settings: Settings) -> int:
    """How many connections there may be; the process may open as many files as the system lets it."""
    if resource is None:
        return settings.max_connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    kept = FILES_FOR_PROCESS + FILES_PER_REQUEST * settings.max_concurrent_requests + FOR_PROBES
    files = MOST_FILES if soft == resource.RLIM_INFINITY else soft
    room = min(settings.max_connections, max(FOR_PROBES, files - kept))
    if room < settings.max_connections:
        log.warning("%d connections at most: the process may open %d files", room, files)
    return room


def install(settings: Settings) -> None:
    """From now on, uvicorn's connections in this process are these."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = partial(Connection, Door(settings))  # type: ignore[assignment]
