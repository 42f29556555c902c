"""Leaving in order: on SIGTERM, and where the supervisor is gone, what is under way is finished first."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType

log = logging.getLogger("bentoml.medasr")

POLL_S = 0.1
ORPHAN_POLL_S = 0.5
# In the environment of the processes that the supervisor starts: who it is, and on which sockets it listens.
PARENT, SOCKETS = "_MEDASR_SUPERVISOR", "_MEDASR_SOCKETS"


def adopt() -> int | None:
    """In a process of the supervisor's: keeps of the sockets that it has inherited its own alone, so that it
    holds no port that another one may give up. The supervisor's pid; None in any other process.
    """
    parent, inherited = os.environ.pop(PARENT, None), os.environ.pop(SOCKETS, "")
    if parent is None:
        return None
    own = sys.argv[sys.argv.index("--fd") + 1] if "--fd" in sys.argv else ""
    for number in inherited.split():
        if number != own:
            with suppress(OSError):
                os.close(int(number))
    return int(parent)


def defer(
    finish: Callable[[], Awaitable[None]],
    limit_s: float,
    *,
    parent: int | None = None,
    hand_over: bool = False,
) -> None:
    """From now on the first SIGTERM or SIGINT runs ``finish``, and then the server's own handler.

    After ``limit_s``, or at a second signal of the same kind, the server ends at once. Ctrl-C may bring both
    kinds, from the terminal and from the supervisor. Where ``parent`` is gone without a word it is as if the
    signal had come; with ``hand_over`` the port is given up at once then, for whoever is started next.
    Called in the main thread, in the server's running loop.
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

    async def leave_with(parent: int) -> None:
        while os.getppid() == parent:
            await asyncio.sleep(ORPHAN_POLL_S)
        log.error("the supervisor is gone")
        if hand_over:
            for server in _listeners(handlers[signal.SIGTERM]):
                server.close()
        on_signal(signal.SIGTERM, None)

    if parent is not None:
        tasks.add(loop.create_task(leave_with(parent)))


def _listeners(handler: object) -> list[asyncio.Server]:
    """Of uvicorn, whose handler of signals is a method of its server."""
    return list(getattr(getattr(handler, "__self__", None), "servers", []))


async def until_gone(pids: set[int]) -> None:
    """Waits for other processes of this machine to end."""
    while any(map(is_there, pids)):
        await asyncio.sleep(POLL_S)


async def ended(pid: int) -> None:
    """Waits for one other process to end, at once noticed and reaped or not (pidfd_open(2)).

    Where there is no such thing (macOS), until it is reaped.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        return await until_gone({pid})
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process, end.set)
    try:
        await end.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)


def is_there(pid: int) -> bool:
    """Whether the process is; one that has ended and was not reaped yet still is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # there, and somebody else's
        return True
    return True
