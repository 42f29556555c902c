"""The engine's process as the service sees it: started, asked, watched, started again."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import medasr_service
from medasr_service.errors import NotReady
from medasr_service.jobs.channel import MAX_LINE, CallFailed, Channel, Closed

KEPT_VARIABLES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "PYTHONHOME",
    "HOME",
)  # no key among them
AGAIN_S = 1.0  # before the next one is started, where one has ended
AWAY_S = 10.0  # for one that is being started, and for each answer
END_S = 5.0
PING_S = 5.0  # between two questions whether it is there
HANGS_S = 30.0  # without an answer to one

log = logging.getLogger("bentoml.medasr")


class Worker:
    """``answer`` does the steps that it calls for; ``lost`` is told whenever it has ended."""

    def __init__(
        self,
        start: tuple[Any, ...],
        answer: Callable[[str, list[Any]], Awaitable[Any]],
        lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._start = start
        self._answer = answer
        self._lost = lost
        self._there = asyncio.Event()
        self._channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def call(self, name: str, *arguments: Any) -> Any:
        """Raises NotReady where it is away, or cannot reach its database."""
        try:
            async with asyncio.timeout(AWAY_S):
                await self._there.wait()
                assert self._channel
                return await self._channel.call(name, *arguments)
        except (TimeoutError, Closed, CallFailed) as error:
            if isinstance(error, CallFailed):
                log.error("the engine of jobs failed at %s (%s)", name, error.reason)
            raise NotReady("The jobs cannot be reached for now. Try again.") from None

    async def keep(self) -> None:
        """Whatever happens to it, sees that there is one, until cancelled."""
        try:
            while True:
                await self._run()
                log.error("the process of jobs has ended: it is started again")
                await asyncio.sleep(AGAIN_S)
        finally:
            self.close()

    def close(self) -> None:
        """It leaves at once: what it has not written down is done again by the next one."""
        self._there.clear()
        if self._channel:
            self._channel.close()
        if process := self._process:
            self._process = None
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def _run(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _spawn(theirs.fileno())
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE)
        self._channel = channel = Channel(reader, writer, self._answer)
        serving = asyncio.create_task(channel.serve())
        watching = asyncio.create_task(self._watch(channel, self._process))
        try:
            await channel.call("start", *self._start)
            self._there.set()
            log.info("jobs are taken")
            await asyncio.shield(serving)
        except CallFailed as error:
            log.error("the process of jobs cannot start (%s)", error.reason)
        except Closed:
            pass
        finally:
            watching.cancel()
            await asyncio.to_thread(self.close)
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            await self._lost()

    async def _watch(self, channel: Channel, process: "subprocess.Popen[bytes]") -> None:
        """Ends one that hangs; a database that is away is no such thing."""
        with suppress(Closed):
            while True:
                await asyncio.sleep(PING_S)
                try:
                    async with asyncio.timeout(HANGS_S):
                        await channel.call("ping")
                except TimeoutError:
                    log.error("the process of jobs has not answered for %g s: it is replaced", HANGS_S)
                    return process.kill()


def _spawn(descriptor: int) -> "subprocess.Popen[bytes]":
    root = str(Path(medasr_service.__file__).parent.parent)
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # its parent ends it, not Ctrl-C
    try:
        return subprocess.Popen(  # noqa: S603  # this very program
            [sys.executable, "-P", "-m", "medasr_service.jobs.engine", str(descriptor)],
            env={**kept, "PYTHONPATH": root, "MALLOC_ARENA_MAX": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[descriptor],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
