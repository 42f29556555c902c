"""A request of each kind, and what came of it: plain, streamed, BentoML's own API, live, and bad ones."""

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, WebSocketException

from loadtests.recordings import BOUNDARY, CONTENT_TYPE, RATE, Recording, speech

ROUTE = "/v1/audio/transcriptions"
LIVE = "/v1/realtime?intent=transcription"
TIMEOUT_S = 600.0
BLOCK_S = 0.1
PACE = 0.5  # of the time that a live block lasts, until the next: so that a soak of minutes has many sessions


@dataclass(frozen=True)
class Outcome:
    """``status``: of HTTP, 0 where the connection broke; ``code``: of an error; ``text``: a whole one."""

    kind: str
    key: str
    status: int
    text: str | None = None
    code: str = ""
    retry_after: bool = False


Ask = Callable[[httpx.AsyncClient, Recording], Awaitable[Outcome]]


async def plain(client: httpx.AsyncClient, recording: Recording) -> Outcome:
    answer = await client.post(ROUTE, content=recording.body, headers={"Content-Type": CONTENT_TYPE})
    return _outcome("plain", recording, answer, lambda body: str(body["text"]))


async def native(client: httpx.AsyncClient, recording: Recording) -> Outcome:
    answer = await client.post("/transcribe", files={"audio": ("a." + recording.suffix, recording.data)})
    return _outcome("native", recording, answer, lambda body: str(body["raw_text"]))


async def streamed(client: httpx.AsyncClient, recording: Recording) -> Outcome:
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'.encode()
    headers = {"Content-Type": CONTENT_TYPE}
    async with client.stream("POST", ROUTE, content=field + recording.body, headers=headers) as answer:
        if answer.status_code != 200:
            await answer.aread()
            return _outcome("streamed", recording, answer, lambda body: "")
        last: dict[str, object] = {}
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                last = json.loads(line.removeprefix("data: "))
    if last.get("type") == "transcript.text.done":
        return Outcome("streamed", recording.key, 200, str(last["text"]))
    if last.get("type") == "error":  # told in the stream, as honestly as by a status
        error = last["error"]
        assert isinstance(error, dict)
        return Outcome("streamed", recording.key, 503, None, str(error["code"]), retry_after=True)
    return Outcome("streamed", recording.key, 200, None, "cut short")


async def live(client: httpx.AsyncClient, recording: Recording) -> Outcome:
    """Spoken twice as fast as in life."""
    url = str(client.base_url).replace("http", "ws").rstrip("/") + LIVE
    samples = (speech(min(recording.seconds, 20)) * 32_767).astype("<i2")
    spoken = samples.tobytes()
    async with connect(url, max_size=None, proxy=None) as socket:
        audio = {"format": {"type": "audio/pcm", "rate": RATE}, "turn_detection": None}
        update = {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio}}}
        with suppress(ConnectionClosed):  # refused: the reason waits to be read
            await socket.send(json.dumps(update))
        speaking = asyncio.create_task(_speak(socket, spoken))
        text, code = "", "cut short"
        try:
            async for message in socket:
                event = json.loads(message)
                if event["type"].endswith("transcription.completed"):
                    text, code = event["transcript"], ""
                    # one that leaves completes what it has heard, and says behind it how far that was
                    with suppress(ConnectionClosed):
                        await socket.send(json.dumps({"type": "input_audio_buffer.clear"}))
                if event["type"] == "error":
                    text, code = "", str(event["error"]["code"])
                if event["type"] == "input_audio_buffer.cleared":
                    break
        except ConnectionClosedError:  # by a code that says no more than the error before it
            if code == "cut short":
                raise
        finally:
            speaking.cancel()
    told = code != "cut short"  # an error event, which is as honest as Retry-After
    return Outcome("live", recording.key, 200 if not code else 503, text or None, code, retry_after=told)


async def _speak(socket: ClientConnection, spoken: bytes) -> None:
    step = 2 * round(BLOCK_S * RATE)
    for at in range(0, len(spoken), step):
        block = base64.b64encode(spoken[at : at + step]).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": block}))
        await asyncio.sleep(BLOCK_S * PACE)
    await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))


async def hung_up(client: httpx.AsyncClient, recording: Recording) -> Outcome:
    with_patience = random.uniform(0.01, 1.0)
    try:
        async with asyncio.timeout(with_patience):
            await plain(client, recording)
    except TimeoutError:
        pass
    return Outcome("hung up", recording.key, 499)


async def bad(client: httpx.AsyncClient, recording: Recording) -> Outcome:
    """A recording with holes in it: answered with a text or a 4xx, with nothing else."""
    noise = bytearray(recording.data[: len(recording.data) // 2])
    for _ in range(8):
        noise[random.randrange(len(noise))] = random.randrange(256)
    answer = await client.post(ROUTE, files={"file": ("a." + recording.suffix, bytes(noise))})
    return _outcome("bad", recording, answer, lambda body: None)


def _outcome(
    kind: str, recording: Recording, answer: httpx.Response, read: Callable[[dict[str, object]], str | None]
) -> Outcome:
    if answer.status_code == 200:
        return Outcome(kind, recording.key, 200, read(answer.json()))
    try:
        code = str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        code = "no error of ours"
    return Outcome(kind, recording.key, answer.status_code, None, code, "retry-after" in answer.headers)


async def asked(ask: Ask, client: httpx.AsyncClient, recording: Recording) -> Outcome:
    try:
        return await ask(client, recording)
    except (httpx.HTTPError, WebSocketException, OSError, EOFError) as error:
        return Outcome(ask.__name__, recording.key, 0, None, type(error).__name__)


ASKED: dict[Ask, int] = {plain: 6, streamed: 3, native: 2, live: 2, hung_up: 2, bad: 2}  # and how often


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url, timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=None), trust_env=False
    )
