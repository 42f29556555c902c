"""Calls between two processes over one socket, both ways: a line of JSON for each call and each answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

MAX_LINE = 1 << 22  # bytes: a list of places, at the most


class CallFailed(Exception):
    """The other side could not do it; ``reason`` is the class of the error, and no word of its text."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Closed(Exception):
    """There is no other side any more."""


class Channel:
    """``answer`` does what the other side calls for: it is given the call's name and its arguments."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[[str, list[Any]], Awaitable[Any]],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = False

    async def call(self, name: str, *arguments: Any) -> Any:
        """What the other side returns. Raises CallFailed or Closed."""
        if self._closed:
            raise Closed
        number = next(self._numbers)
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        try:
            self._send({"call": number, "name": name, "arguments": arguments})
            return await future
        finally:
            del self._waiting[number]

    async def serve(self) -> None:
        """Until the other side is gone; what is under way for it is given up then."""
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (ConnectionError, ValueError):
            pass
        finally:
            self.close()
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)

    def close(self) -> None:
        self._closed = True
        self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Closed())

    def _take(self, message: dict[str, Any]) -> None:
        if "call" in message:
            task = asyncio.create_task(self._do(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif (future := self._waiting.get(message["answer"])) and not future.done():
            if "failed" in message:
                future.set_exception(CallFailed(message["failed"]))
            else:
                future.set_result(message["value"])

    async def _do(self, message: dict[str, Any]) -> None:
        answer = {"answer": message["call"]}
        try:
            self._send({**answer, "value": await self._answer(message["name"], message["arguments"])})
        except Exception as error:
            self._send({**answer, "failed": getattr(error, "reason", None) or type(error).__name__})

    def _send(self, message: dict[str, Any]) -> None:
        if not self._closed:
            self._writer.write(json.dumps(message).encode() + b"\n")
