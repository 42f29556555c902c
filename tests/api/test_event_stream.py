"""stream=true: an answer that grows, over a fake model that hears whatever the audio spells."""

import asyncio
import json
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient

from medasr_service.api import event_stream
from medasr_service.api.app import create_app
from medasr_service.api.served import Served
from medasr_service.errors import NotReady
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Infer, Transcriber
from tests.conftest import CLIPS, SAMPLE, Service, http_scope
from tests.test_transcriber import GEOMETRY, LONG, LONG_RAW, LONG_TEXT, VOCABULARY, hear, wav

ROUTE = "/v1/audio/transcriptions"
BOUNDARY = "frontier"
FIVE_S = {"chunk_length_s": "5", "stride_length_s": "1"}


def events(body: str) -> list[dict[str, Any]]:
    """The events of a body, which holds nothing but events and comments."""
    blocks = [block for block in body.split("\n\n") if block]
    found = []
    for block in blocks:
        if not block.startswith(": "):
            named, data = block.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert named == f"event: {found[-1]['type']}"
    return found


STATUS: ContextVar[int] = ContextVar("status", default=0)


class Call:
    """One request of the ASGI kind, whose reader does what the test says."""

    def __init__(self, **fields: str) -> None:
        parts = [
            f'name="{key}"\r\n\r\n{value}'.encode() for key, value in {"stream": "true", **fields}.items()
        ]
        parts.append(b'name="file"; filename="a.wav"\r\n\r\n' + wav(LONG).getvalue())
        separator = f"--{BOUNDARY}\r\nContent-Disposition: form-data; ".encode()
        self.body = b"".join(separator + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()
        self.hung_up = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.on_send: Callable[[dict[str, Any]], Any] | None = None

    async def run(self, infer: Infer, demo: Checkpoint, **settings: Any) -> Served:
        configured = Settings(normalize=False, **settings)
        app = create_app(configured)
        served = Served(
            demo,
            Transcriber(infer, VOCABULARY, GEOMETRY, configured),
            max_concurrent_requests=1,
            engine="test",
        )
        app.state.served = self.served = served
        content_type = f"multipart/form-data; boundary={BOUNDARY}".encode()
        scope = http_scope(headers=[(b"content-type", content_type)])
        await app(scope, self._receive, self._send)
        return served

    async def _receive(self) -> dict[str, Any]:
        if self.body:
            body, self.body = self.body, b""
            return {"type": "http.request", "body": body}
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.start":
            STATUS.set(message["status"])
        elif not message.get("more_body"):
            assert STATUS.get() == self.status  # as BentoML's metrics do
        if self.on_send:
            await self.on_send(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    @property
    def events(self) -> list[dict[str, Any]]:
        return events(self.text)


async def hear_at_once(waveforms: list[Waveform]) -> list[Emission]:
    return [hear(waveform) for waveform in waveforms]


async def test_the_deltas_join_to_the_text_of_done(demo: Checkpoint) -> None:
    call = Call(**FIVE_S)
    await call.run(hear_at_once, demo)
    *deltas, done = call.events
    assert call.status == 200
    assert [set(delta) for delta in deltas] == [{"type", "delta"}] * 25
    assert {delta["type"] for delta in deltas} == {"transcript.text.delta"}
    assert (done["type"], done["text"]) == ("transcript.text.done", LONG_TEXT)
    assert "".join(delta["delta"] for delta in deltas) == LONG_TEXT
    assert set(done) == {"type", "text", "usage"}


async def test_usage_counts_frames_and_pieces(demo: Checkpoint) -> None:
    call = Call()
    await call.run(hear_at_once, demo)
    usage = call.events[-1]["usage"]
    audio = round(len(LONG) / GEOMETRY.frame_samples)
    pieces = len(LONG_RAW.split())
    assert usage == {
        "type": "tokens",
        "input_tokens": audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
        "output_tokens": pieces,
        "total_tokens": audio + pieces,
    }


async def test_no_proxy_is_let_to_hold_the_events_back(demo: Checkpoint) -> None:
    call = Call()
    await call.run(hear_at_once, demo)
    headers = {key.decode(): value.decode() for key, value in call.sent[0]["headers"]}
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-store"
    assert "content-length" not in headers


async def test_verbose_json_tells_of_each_segment_and_of_the_progress(demo: Checkpoint) -> None:
    call = Call(response_format="verbose_json", **{"timestamp_granularities[]": "word"}, **FIVE_S)
    await call.run(hear_at_once, demo)
    *deltas, done = call.events
    assert [delta["segment"]["text"] for delta in deltas] == [delta["delta"] for delta in deltas]
    assert "".join(delta["segment"]["raw_text"] for delta in deltas) == done["raw_text"] == LONG_RAW
    words = [word for delta in deltas for word in delta["words"]]
    assert words == done["words"]
    assert all({"word", "start", "end", "probability"} <= set(word) for word in words)
    seconds = [delta["progress"]["seconds"] for delta in deltas]
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[-1] == pytest.approx(deltas[0]["progress"]["duration"])
    assert done["notice"]


async def test_logprobs_come_with_their_delta(demo: Checkpoint) -> None:
    call = Call(**{"include[]": "logprobs"})
    await call.run(hear_at_once, demo)
    *deltas, done = call.events
    assert [len(delta["logprobs"]) for delta in deltas] == [5] * 25
    assert done["logprobs"] == [token for delta in deltas for token in delta["logprobs"]]


async def test_the_first_delta_comes_with_the_second_window(demo: Checkpoint) -> None:
    calls = 0
    first_at: list[int] = []
    call = Call(**FIVE_S)

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        nonlocal calls
        calls += 1
        return await hear_at_once(waveforms)

    async def note(message: dict[str, Any]) -> None:
        if b"delta" in message.get("body", b""):
            first_at.append(calls)

    call.on_send = note
    await call.run(infer, demo, chunks_in_flight=1)
    assert first_at[0] == 2
    assert calls > 10


async def test_a_hang_up_ends_the_work_within_a_window(demo: Checkpoint) -> None:
    calls = 0
    call = Call(**FIVE_S)

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        nonlocal calls
        calls += 1
        if call.hung_up.is_set():
            await asyncio.Event().wait()
        return await hear_at_once(waveforms)

    heard: list[int] = []

    async def hang_up(message: dict[str, Any]) -> None:
        if b"delta" in message.get("body", b"") and not call.hung_up.is_set():
            call.hung_up.set()
            heard.append(calls)

    call.on_send = hang_up
    served = await call.run(infer, demo)
    assert calls <= heard[0] + 1
    with served.admitted():  # its place is free again
        pass


async def test_a_reader_that_takes_nothing_is_left(demo: Checkpoint) -> None:
    calls = 0
    call = Call(**FIVE_S)

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        nonlocal calls
        calls += 1
        return await hear_at_once(waveforms)

    async def stall(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    call.on_send = stall
    served = await call.run(infer, demo, send_timeout_s=0.05)
    assert calls <= 4
    assert len(call.sent) == 2
    with served.admitted():
        pass


async def test_its_place_is_taken_until_the_last_event(demo: Checkpoint) -> None:
    call = Call()
    active: list[int] = []

    async def note(message: dict[str, Any]) -> None:
        active.append(call.served._active)

    call.on_send = note
    served = await call.run(hear_at_once, demo)
    assert set(active) == {1}
    assert served._active == 0


async def test_an_error_at_once_has_its_status(demo: Checkpoint) -> None:
    async def infer(_: list[Waveform]) -> list[Emission]:
        raise NotReady("The model cannot be reached.")

    call = Call()
    await call.run(infer, demo)
    assert call.status == 503
    assert json.loads(call.text)["error"]["code"] == "not_ready"


@pytest.mark.parametrize(
    ("error", "message"),
    [(NotReady("The model is gone."), "The model is gone."), (ValueError("secret"), event_stream.FAILED)],
)
async def test_an_error_in_the_middle_is_the_last_event(
    demo: Checkpoint, error: Exception, message: str
) -> None:
    calls = 0

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise error
        return await hear_at_once(waveforms)

    call = Call(**FIVE_S)
    try:
        await call.run(infer, demo)
    except ValueError as raised:  # for the log
        assert raised is error  # noqa: PT017
    first, *_, last = call.events
    assert call.status == 200
    assert first["type"] == "transcript.text.delta"
    assert last["type"] == "error"
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert last["error"]["message"] == message
    assert "secret" not in call.text
    assert call.served._active == 0
    assert call.sent[-1]["more_body"] is False


async def test_a_comment_says_how_far_it_is_where_nothing_is_said(
    demo: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "COMMENT_S", 0.001)
    commented = asyncio.Event()
    call = Call(**FIVE_S)

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        await commented.wait()
        return await hear_at_once(waveforms)

    async def note(message: dict[str, Any]) -> None:
        if message.get("body", b"").startswith(b": "):
            commented.set()

    call.on_send = note
    await call.run(infer, demo)
    comment = next(block for block in call.text.split("\n\n") if block.startswith(": "))
    assert json.loads(comment[2:]) == {
        "seconds": 0.0,
        "duration": pytest.approx(len(LONG) / 16_000, abs=1e-3),
    }
    assert call.events[-1]["text"] == LONG_TEXT


@pytest.mark.parametrize("name", ["not audio", "empty"])
def test_a_bad_file_is_refused_as_without_stream(client: TestClient, name: str) -> None:
    content = b"not audio at all" if name == "not audio" else b""
    plain, streamed = (
        client.post(ROUTE, files={"file": ("a.wav", content)}, data={"stream": stream})
        for stream in ("false", "true")
    )
    assert streamed.status_code >= 400
    assert (streamed.status_code, streamed.json()) == (plain.status_code, plain.json())


def test_a_stream_says_what_the_plain_answer_says(client: TestClient) -> None:
    for clip in CLIPS[:2]:
        files = {"file": ("a.flac", clip.path.read_bytes())}
        plain = client.post(ROUTE, files=files).json()["text"]
        assert events(client.post(ROUTE, files=files, data={"stream": "true"}).text)[-1]["text"] == plain


def test_silence_gives_an_empty_done(client: TestClient) -> None:
    from tests.audio.test_stream import encode

    silence = encode(LONG[:16_000] * 0)
    [done] = events(client.post(ROUTE, files={"file": ("a.wav", silence)}, data={"stream": "true"}).text)
    assert done["text"] == ""


@pytest.mark.e2e
def test_openai_streams(service: Service) -> None:
    sdk = openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)
    plain = sdk.audio.transcriptions.create(model="medasr-demo", file=SAMPLE).text
    with sdk.audio.transcriptions.create(model="medasr-demo", file=SAMPLE, stream=True) as stream:
        *deltas, done = list(stream)
    assert done.type == "transcript.text.done"
    assert done.text == plain
    assert "".join(delta.delta for delta in deltas if delta.type == "transcript.text.delta") == plain
    assert len(deltas) > 1


@pytest.mark.e2e
async def test_openai_streams_asynchronously_with_logprobs(service: Service) -> None:
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as sdk:
        stream = await sdk.audio.transcriptions.create(
            model="medasr-demo", file=SAMPLE, stream=True, include=["logprobs"]
        )
        *deltas, done = [event async for event in stream]
    assert done.type == "transcript.text.done"
    assert "".join(delta.delta for delta in deltas if delta.type == "transcript.text.delta") == done.text
    assert all(delta.logprobs for delta in deltas if delta.type == "transcript.text.delta")
