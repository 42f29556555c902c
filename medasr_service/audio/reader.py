"""Who reads recordings: other processes (processes.Decoders), or threads of this one."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, BinaryIO, Protocol, TypeVar

from medasr_service.audio import stream
from medasr_service.audio.stream import AudioInfo
from medasr_service.model.geometry import Waveform

T = TypeVar("T")


class Reader(Protocol):
    """``options`` are those of the functions of the same names in audio.stream."""

    async def inspect(self, file: BinaryIO, **options: Any) -> AudioInfo: ...

    def stream(self, file: BinaryIO, **options: Any) -> AsyncGenerator[Waveform, None]: ...


class InThreads:
    """For recordings that one trusts, in tests and measurements: what breaks a decoder ends this process."""

    async def inspect(self, file: BinaryIO, **options: Any) -> AudioInfo:
        return await in_thread(stream.inspect, file, **options)

    async def stream(self, file: BinaryIO, **options: Any) -> AsyncGenerator[Waveform, None]:
        blocks = stream.stream(file, **options)
        while (block := await in_thread(next, blocks, None)) is not None:
            yield block


async def in_thread(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """asyncio.to_thread, but cancelled it waits for the thread's end: it may be reading the file."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
