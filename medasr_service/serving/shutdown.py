"""Leaving in order: on SIGTERM what is under way is finished first."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from types import FrameType

log = logging.getLogger("bentoml.medasr")

POLL_S = 0.1


def defer(finish: Callable[[], Awaitable[None]], limit_s: float) -> None:
    """From now on the first SIGTERM or SIGINT runs ``finish``, and then the server's own handler.

    After ``limit_s``, or at a second signal of the same kind, the server ends at once. Ctrl-C brings both
    kinds, from the terminal and from the supervisor. Called in the main thread, in the server's running loop.
    """
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    seen: set[int] = set()
    tasks: set[asyncio.Task[None]] = set()

    def let(number: signal.Signals) -> None:
        handler = handlers[number]
        if callable(handler):
            handler(number, None)

    def force() -> None:  # uvicorn: SIGTERM ends it when its requests have ended, SIGINT after that at once
        log.warning("leaving before everything is finished")
        let(signal.SIGTERM)
        let(signal.SIGINT)

    async def leave() -> None:
        log.info("leaving as soon as what is under way is finished, in %g s at the latest", limit_s)
        loop.call_later(limit_s, force)
        try:
            await finish()
        finally:
            let(signal.SIGTERM)

    def on_signal(number: int, _: FrameType | None) -> None:
        if number in seen:
            loop.call_soon_threadsafe(force)
        elif not seen:
            loop.call_soon_threadsafe(lambda: tasks.add(loop.create_task(leave())))
        seen.add(number)

    for number in handlers:
        signal.signal(number, on_signal)


async def until_gone(pids: set[int]) -> None:
    """Waits for other processes of this machine to end."""
    while any(map(_is_there, pids)):
        await asyncio.sleep(POLL_S)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # there, and somebody else's
        return True
    return True
