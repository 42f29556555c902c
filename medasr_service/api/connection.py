"""A client that may hang up."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from medasr_service.errors import ClientDisconnected

T = TypeVar("T")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, which is given up as soon as nobody waits for it any more.

    Raises ClientDisconnected; the request must have been read to its end.
    """
    task = asyncio.ensure_future(work)
    hang_up = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((task, hang_up), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnected
        return task.result()
    finally:
        for each in (task, hang_up):
            each.cancel()
        await ended(task, hang_up)  # the recording is closed only after the last read of it


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Waits for the end of them all; a cancellation meanwhile is kept until then, not lost.

    asyncio.gather would raise another one, which who cancelled does not know as their own (anyio's scopes).
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen: how a work that nobody waits for ends is not worth a line in the log
    if cancelled:
        raise cancelled


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
