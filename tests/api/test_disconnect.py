"""A client that hangs up: nothing is transcribed for nobody."""

import asyncio
from typing import Any

import numpy as np
import pytest
from starlette.types import Message

from medasr_service.api.app import create_app
from medasr_service.api.connection import while_connected
from medasr_service.api.served import Served
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Transcriber
from tests.conftest import SAMPLE, http_scope

BOUNDARY = b"frontier"


async def test_a_hang_up_ends_the_work(demo: Checkpoint) -> None:
    calls = 0
    inferring, hung_up = asyncio.Event(), asyncio.Event()

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        nonlocal calls
        calls += 1
        inferring.set()
        await hung_up.wait()
        frames = demo.geometry.frames(len(waveforms[0]))
        return [np.zeros((frames, 512), np.float32)]

    settings = Settings(chunk_length_s=2, stride_length_s=0.2, chunks_in_flight=2)
    app = create_app(settings)
    transcriber = Transcriber(infer, Vocabulary.load(demo.folder), demo.geometry, settings)
    served = Served(demo, transcriber, max_concurrent_requests=1, engine="test")
    app.state.served = served

    body = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n%b\r\n--%b--\r\n'
    messages = [{"type": "http.request", "body": body % (BOUNDARY, SAMPLE.read_bytes(), BOUNDARY)}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await inferring.wait()
        hung_up.set()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = http_scope(headers=[(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)])
    await app(scope, receive, send)
    assert calls <= settings.chunks_in_flight + 1
    assert sent[0]["status"] == 499
    with served.admitted():  # its place is free again
        pass


async def test_a_work_that_ends_slowly_is_awaited_however_often_it_is_cancelled() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await go_on.wait()
            ended = True

    async def connected() -> Message:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    request = asyncio.create_task(while_connected(connected, work()))
    await begun.wait()
    for _ in range(3):
        request.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not request.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert ended
