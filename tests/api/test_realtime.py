"""WS /v1/realtime over a fake model that hears whatever the audio spells, and over the demo model."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import numpy as np
import openai
import pytest
import soxr
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from medasr_service.api.app import create_app
from medasr_service.api.served import Served
from medasr_service.audio.pcm import PCM16
from medasr_service.errors import NotReady
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Infer, Transcriber
from tests.conftest import CLIPS, PATIENCE_S, Service
from tests.test_transcriber import GEOMETRY, SENTENCE, VOCABULARY, hear, spell

URL = "/v1/realtime?intent=transcription"
WEBSOCKET_SCOPE: dict[str, Any] = {
    "type": "websocket",
    "path": "/v1/realtime",
    "query_string": b"",
    "headers": [],
    "subprotocols": [],
}
TEXT = "FINDINGS\nLungs are clear."
PART = "conversation.item.input_audio_transcription"
BUFFER = "input_audio_buffer"
Json = dict[str, Any]


async def hear_at_once(waveforms: list[Waveform]) -> list[Emission]:
    return [hear(waveform) for waveform in waveforms]


def pcm(waveform: Waveform) -> bytes:
    return (np.clip(waveform, -1, 1) * 32_767).round().astype("<i2").tobytes()


def append(data: bytes) -> Json:
    return {"type": f"{BUFFER}.append", "audio": base64.b64encode(data).decode()}


def received(event: Json) -> Json:
    """As a server hands it to an ASGI application."""
    return {"type": "websocket.receive", "text": json.dumps(event)}


def update(**audio_input: Any) -> Json:
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio_input}}}


COMMIT, CLEAR = {"type": f"{BUFFER}.commit"}, {"type": f"{BUFFER}.clear"}
AT_16K = {"format": {"type": "audio/pcm", "rate": 16_000}}
MANUAL = update(**AT_16K, turn_detection=None)
SPEECH = pcm(spell(SENTENCE))
TWO_SENTENCES = pcm(np.concatenate((spell(SENTENCE), np.zeros(16_000, np.float32), spell(SENTENCE))))


class Talk:
    """A WebSocket of the test client, in events."""

    def __init__(self, socket: WebSocketTestSession) -> None:
        self.socket = socket

    def say(self, *events: Json) -> None:
        for event in events:
            self.socket.send_text(json.dumps(event))

    def hear(self) -> Json:
        event: Json = json.loads(self.socket.receive_text())
        return event

    def until(self, kind: str) -> list[Json]:
        """Events up to the first of this type."""
        events = [self.hear()]
        while events[-1]["type"] != kind:
            assert events[-1]["type"] != "error", events[-1]
            events.append(self.hear())
        return events

    def error(self) -> Json:
        event = self.hear()
        assert event["type"] == "error", event
        assert set(event["error"]) == {"type", "code", "message", "param", "event_id"}
        error: Json = event["error"]
        return error


@pytest.fixture
def make_app(demo: Checkpoint) -> Callable[..., TestClient]:
    def make(infer: Infer = hear_at_once, **settings: Any) -> TestClient:
        configured = Settings(**{"normalize": False, **settings})
        app = create_app(configured)
        app.state.served = Served(
            demo,
            Transcriber(infer, VOCABULARY, GEOMETRY, configured),
            max_concurrent_requests=1,
            max_live_streams=configured.max_live_streams,
            engine="test",
        )
        return TestClient(app)

    return make


@pytest.fixture
def talk(make_app: Callable[..., TestClient]) -> Iterator[Talk]:
    with make_app().websocket_connect(URL) as socket:
        talk = Talk(socket)
        assert talk.hear()["type"] == "session.created"
        yield talk


def types(events: Sequence[Json]) -> list[str]:
    return [event["type"] for event in events]


def still_works(talk: Talk) -> None:
    """The session takes a turn, whatever was said before."""
    talk.say(CLEAR, MANUAL, append(SPEECH), COMMIT)
    assert talk.until(f"{PART}.completed")[-1]["transcript"].strip() == TEXT


def test_a_manual_turn_is_transcribed(talk: Talk) -> None:
    talk.say(MANUAL)
    assert talk.hear()["type"] == "session.updated"
    talk.say(append(SPEECH), COMMIT)
    events = talk.until(f"{PART}.completed")
    deltas = [event for event in events if event["type"] == f"{PART}.delta"]
    [committed] = [event for event in events if event["type"] == f"{BUFFER}.committed"]
    [added] = [event for event in events if event["type"] == "conversation.item.added"]
    completed = events[-1]
    assert completed["transcript"] == TEXT == "".join(delta["delta"] for delta in deltas)
    assert completed["usage"] == {
        "type": "duration",
        "seconds": pytest.approx(len(SPEECH) / 32_000, abs=0.01),
    }
    ids = {event["item_id"] for event in (*deltas, committed, completed)}
    assert ids == {added["item"]["id"]}
    assert committed["previous_item_id"] is None
    assert len({event["event_id"] for event in events}) == len(events)
    assert [(word["word"], word["raw"]) for word in completed["words"]] == [
        ("FINDINGS", "[FINDINGS]"),
        ("Lungs", "lungs"),
        ("are", "are"),
        ("clear.", "clear {period}"),
    ]


def test_a_pause_ends_a_turn_with_server_vad(talk: Talk) -> None:
    talk.say(update(**AT_16K), append(TWO_SENTENCES))
    talk.until("session.updated")
    first, second = talk.until(f"{PART}.completed"), talk.until(f"{PART}.completed")
    assert types(first)[0] == types(second)[0] == f"{BUFFER}.speech_started"
    assert types(first)[-4:] == [
        f"{BUFFER}.speech_stopped",
        f"{BUFFER}.committed",
        "conversation.item.added",
        f"{PART}.completed",
    ]
    assert first[-1]["transcript"] + second[-1]["transcript"] == f"{TEXT}\n\n{TEXT}"
    started, stopped = first[0]["audio_start_ms"], first[-4]["audio_end_ms"]
    assert 0 <= started < stopped <= second[0]["audio_start_ms"] + 1
    assert second[-3]["previous_item_id"] == first[-1]["item_id"] != second[-1]["item_id"]


@pytest.mark.parametrize("piece_ms", [7, 40, 1000])
def test_the_pieces_in_which_audio_comes_change_nothing(talk: Talk, piece_ms: int) -> None:
    talk.say(MANUAL)
    talk.hear()
    size = 32 * piece_ms
    talk.say(*(append(TWO_SENTENCES[i : i + size]) for i in range(0, len(TWO_SENTENCES), size)), COMMIT)
    events = talk.until(f"{PART}.completed")
    assert events[-1]["transcript"] == f"{TEXT}\n\n{TEXT}"
    assert "".join(event.get("delta", "") for event in events) == events[-1]["transcript"]


def test_clear_forgets_what_was_not_committed(talk: Talk) -> None:
    talk.say(MANUAL, append(SPEECH), CLEAR, append(SPEECH), COMMIT)
    events = talk.until(f"{PART}.completed")
    assert f"{BUFFER}.cleared" in types(events)
    assert events[-1]["transcript"] == TEXT


def test_the_session_shows_its_configuration(talk: Talk) -> None:
    talk.say(
        update(transcription={"language": "en-US"}, turn_detection={"type": "server_vad", "threshold": 0.7})
    )
    session = talk.hear()["session"]
    assert session["object"] == "realtime.transcription_session"
    assert session["type"] == "transcription"
    found = session["audio"]["input"]
    assert found["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert found["transcription"]["language"] == "en-US"
    assert found["transcription"]["model"] == "medasr-demo"
    assert found["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
    }
    talk.say(update(turn_detection=None))
    kept = talk.hear()["session"]["audio"]["input"]
    assert kept["turn_detection"] is None
    assert kept["transcription"]["language"] == "en-US"


def test_raw_formatting_and_logprobs_are_for_the_asking(talk: Talk) -> None:
    talk.say(MANUAL, update(transcription={"formatting": "raw"}))
    talk.say({"type": "session.update", "session": {"include": [f"{PART.partition('.')[2]}x"]}})
    talk.until("session.updated"), talk.until("session.updated")
    assert talk.error()["param"] == "session.include.0"
    talk.say({"type": "session.update", "session": {"include": ["item.input_audio_transcription.logprobs"]}})
    talk.say(append(SPEECH), COMMIT)
    completed = talk.until(f"{PART}.completed")[-1]
    assert completed["transcript"] == "[FINDINGS] lungs are clear {period}"
    assert "".join(piece["token"] for piece in completed["logprobs"]) == completed["transcript"]


BAD_MESSAGES: dict[str, tuple[str, str | None, str | None]] = {  # what is sent, code, param
    "no JSON": ("{", "invalid_json", None),
    "deep JSON": ("[" * 100_000, "invalid_json", None),
    "half a surrogate": (r'{"type": "nope", "event_id": "\ud800"}', "invalid_value", "type"),
    "a number of 5,000 digits": ("1" * 5000, "invalid_json", None),
    "no object": ("[1]", "invalid_value", None),
    "no type": ("{}", "invalid_value", "type"),
    "an unknown event": ('{"type": "response.create"}', "invalid_value", "type"),
    "an append without audio": ('{"type": "input_audio_buffer.append"}', "invalid_value", "audio"),
    "audio that is a number": ('{"type": "input_audio_buffer.append", "audio": 1}', "invalid_value", "audio"),
    "audio that is not base64": (
        '{"type":"input_audio_buffer.append","audio":"!!"}',
        "invalid_value",
        "audio",
    ),
    "base64 that no padding can mend": (
        '{"type":"input_audio_buffer.append","audio":"AAAAA"}',
        "invalid_value",
        "audio",
    ),
    "an append that tells its rate": (
        '{"type":"input_audio_buffer.append","audio":"AAAA","sample_rate":16000}',
        "unknown_parameter",
        "sample_rate",
    ),
    "an empty commit": (json.dumps(COMMIT), "input_audio_buffer_commit_empty", None),
    "a wrong rate": (
        json.dumps(update(format={"type": "audio/pcm", "rate": 44_100})),
        "invalid_value",
        "session.audio.input.format.rate",
    ),
    "a wrong format": (
        json.dumps(update(format={"type": "audio/opus"})),
        "invalid_value",
        "session.audio.input.format.type",
    ),
    "telephony at 16 kHz": (
        json.dumps(update(format={"type": "audio/pcmu", "rate": 16_000})),
        "invalid_value",
        "session.audio.input.format.rate",
    ),
    "the beta's format": (
        json.dumps({"type": "session.update", "session": {"input_audio_format": "pcm16"}}),
        "unknown_parameter",
        "session.input_audio_format",
    ),
    "the beta's session": (
        json.dumps({"type": "session.update", "session": {"turn_detection": None}}),
        "unknown_parameter",
        "session.turn_detection",
    ),
    "a misspelt key": (
        json.dumps(update(turn_detecton=None)),
        "unknown_parameter",
        "session.audio.input.turn_detecton",
    ),
    "an unknown key of a format": (
        json.dumps(update(format={"type": "audio/pcm", "sample_rate": 16_000})),
        "unknown_parameter",
        "session.audio.input.format.sample_rate",
    ),
    "an unknown key beside a wrong value": (
        json.dumps(update(format={"type": "audio/pcm", "rate": 8000}, transcription={"temperature": 0})),
        "unknown_parameter",
        "session.audio.input.transcription.temperature",
    ),
    "an unknown key of the event": (
        '{"type": "session.update", "session": {}, "rate": 16000}',
        "unknown_parameter",
        "rate",
    ),
    "server_vad's key in semantic_vad": (
        json.dumps(update(turn_detection={"type": "semantic_vad", "threshold": 0.5})),
        "unknown_parameter",
        "session.audio.input.turn_detection.threshold",
    ),
    "noise reduction": (
        json.dumps(update(noise_reduction={"type": "near_field"})),
        "unsupported_parameter",
        "session.audio.input.noise_reduction",
    ),
    "an unknown delay": (
        json.dumps(update(transcription={"delay": "none"})),
        "invalid_value",
        "session.audio.input.transcription.delay",
    ),
    "keywords without the search for them": (
        json.dumps(update(transcription={"keywords": ["lungs"]})),
        "invalid_value",
        "session.audio.input.transcription.keywords",
    ),
    "the beta's event with a key that is unknown": (
        json.dumps({"type": "transcription_session.update", "session": {"input_audio_rate": 16_000}}),
        "unknown_parameter",
        "session.input_audio_rate",
    ),
    "the beta's event with a wrong format": (
        json.dumps({"type": "transcription_session.update", "session": {"input_audio_format": "pcm8"}}),
        "invalid_value",
        "session.input_audio_format",
    ),
    "the beta's event with a wrong value": (
        json.dumps(
            {
                "type": "transcription_session.update",
                "session": {"input_audio_transcription": {"language": "de"}},
            }
        ),
        "invalid_value",
        "session.input_audio_transcription.language",
    ),
    "a threshold beyond 1": (
        json.dumps(update(turn_detection={"type": "server_vad", "threshold": 2})),
        "invalid_value",
        "session.audio.input.turn_detection.threshold",
    ),
    "no such turn detection": (
        json.dumps(update(turn_detection={"type": "client_vad"})),
        "invalid_value",
        "session.audio.input.turn_detection.type",
    ),
    "French among the languages": (
        json.dumps(update(transcription={"languages": ["en", "fr"]})),
        "invalid_value",
        "session.audio.input.transcription.languages.1",
    ),
    "another model": (
        json.dumps(update(transcription={"model": "whisper-1"})),
        "model_not_found",
        "session.audio.input.transcription.model",
    ),
    "German": (
        json.dumps(update(transcription={"language": "de"})),
        "invalid_value",
        "session.audio.input.transcription.language",
    ),
    "a session that converses": (
        '{"type": "session.update", "session": {"type": "realtime"}}',
        "invalid_value",
        "session.type",
    ),
    "a session that is a list": ('{"type": "session.update", "session": []}', "invalid_value", "session"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_bad_message_is_answered_and_the_session_goes_on(talk: Talk, name: str) -> None:
    message, code, param = BAD_MESSAGES[name]
    talk.socket.send_text(message)
    error = talk.error()
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 500
    still_works(talk)


def test_an_error_names_the_event_that_caused_it(talk: Talk) -> None:
    talk.say({**COMMIT, "event_id": "mine"})
    assert talk.error()["event_id"] == "mine"


def test_binary_frames_are_answered(talk: Talk) -> None:
    talk.socket.send_bytes(SPEECH)
    assert "binary" in talk.error()["message"]
    still_works(talk)


def test_a_message_that_is_too_large_is_refused(make_app: Callable[..., TestClient]) -> None:
    with make_app(live_message_mb=0.1).websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        talk.say(append(bytes(1 << 20)))
        assert talk.error()["code"] == "message_too_large"
        still_works(talk)


def test_a_flood_of_tiny_appends_is_audio_like_any_other(talk: Talk) -> None:
    talk.say(MANUAL)
    talk.hear()
    head, rest = SPEECH[:4000], SPEECH[4000:]
    talk.say(*(append(head[i : i + 2]) for i in range(0, len(head), 2)), append(rest), COMMIT)
    assert talk.until(f"{PART}.completed")[-1]["transcript"] == TEXT


def test_a_large_append_is_decoded_beside_the_event_loop(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, beside = PCM16.decode, []

    def watched(pcm: PCM16, data: bytes) -> Waveform:
        beside.append(asyncio._get_running_loop() is None)
        return decode(pcm, data)

    monkeypatch.setattr(PCM16, "decode", watched)
    talk.say(append(bytes(2)), append(bytes(1 << 20)), CLEAR)
    talk.until(f"{BUFFER}.cleared")
    assert beside == [False, True]


def test_a_model_that_fails_fails_the_turn_and_not_the_session(make_app: Callable[..., TestClient]) -> None:
    failing = True

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        if failing:
            raise NotReady("The model cannot be reached.")
        return await hear_at_once(waveforms)

    with make_app(infer).websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        talk.say(MANUAL, append(SPEECH), COMMIT)
        failed = talk.until(f"{PART}.failed")[-1]
        assert failed["error"]["code"] == "not_ready"
        failing = False
        still_works(talk)


def test_a_crash_of_the_model_closes_the_session_and_tells_no_internals(
    make_app: Callable[..., TestClient],
) -> None:
    async def infer(_: list[Waveform]) -> list[Emission]:
        raise ValueError("secret")

    with make_app(infer).websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        talk.say(MANUAL, append(SPEECH), COMMIT)
        events = [talk.hear()]
        while events[-1]["type"] != "error":
            events.append(talk.hear())
        assert events[-1]["error"]["type"] == "server_error"
        assert "secret" not in json.dumps(events)
        with pytest.raises(WebSocketDisconnect) as closed:
            talk.hear()
        assert closed.value.code == 1011


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("intent=conversation", "intent"),
        ("intent=transcription&model=whisper-1", "model"),
        ("intent=transcription&sample_rate=16000", "sample_rate"),
    ],
)
def test_what_is_not_served_is_refused(make_app: Callable[..., TestClient], query: str, param: str) -> None:
    with make_app().websocket_connect(f"/v1/realtime?{query}") as socket:
        assert Talk(socket).error()["param"] == param
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 1008


def test_one_session_too_many_is_told_to_try_again(make_app: Callable[..., TestClient]) -> None:
    app = make_app(max_live_streams=1)
    with app.websocket_connect(URL) as first:
        Talk(first).hear()
        with app.websocket_connect(URL) as second:
            assert Talk(second).error()["code"] == "busy"
            with pytest.raises(WebSocketDisconnect) as closed:
                second.receive_text()
            assert closed.value.code == 1013
        still_works(Talk(first))
    with app.websocket_connect(URL) as third:
        assert Talk(third).hear()["type"] == "session.created"


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"live_idle_timeout_s": 0.05}, "idle_timeout"), ({"max_live_duration_s": 0.05}, "session_expired")],
)
def test_a_session_that_must_end_says_so(
    make_app: Callable[..., TestClient], settings: Json, code: str
) -> None:
    with make_app(**settings).websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        assert talk.error()["code"] == code
        with pytest.raises(WebSocketDisconnect):
            talk.hear()


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"live_idle_timeout_s": 0.05}, "idle_timeout"), ({"max_live_duration_s": 0.05}, "session_expired")],
)
async def test_a_session_that_must_end_transcribes_what_was_said(
    make_app: Callable[..., TestClient], settings: Json, code: str
) -> None:
    said = [{"type": "websocket.connect"}, *map(received, (update(**AT_16K), MANUAL, append(SPEECH)))]
    heard: list[Json] = []

    async def receive() -> Json:
        return said.pop(0) if said else await asyncio.get_running_loop().create_future()

    async def send(sent: Any) -> None:
        heard.extend([json.loads(sent["text"])] if "text" in sent else [])

    app: Any = make_app(**settings).app
    await app(WEBSOCKET_SCOPE, receive, send)
    assert "".join(event.get("transcript", "") for event in heard) == TEXT
    assert heard[-1]["error"]["code"] == code


def test_a_browser_gets_its_protocol_back_and_never_its_key(make_app: Callable[..., TestClient]) -> None:
    offered = ["openai-insecure-api-key.secret", "realtime"]
    with make_app().websocket_connect(URL, subprotocols=offered) as socket:
        assert socket.accepted_subprotocol == "realtime"
    with make_app().websocket_connect(URL, subprotocols=offered[:1]) as socket:
        assert socket.accepted_subprotocol is None


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_the_demo_model_writes_what_the_file_endpoint_writes(client: TestClient, rate: int) -> None:
    clip = CLIPS[0]
    answer = client.post("/v1/audio/transcriptions", files={"file": ("a.flac", clip.path.read_bytes())})
    audio = clip.waveform if rate == 16_000 else soxr.resample(clip.waveform, 16_000, rate, quality="HQ")
    with client.websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        talk.say(
            update(format={"type": "audio/pcm", "rate": rate}, turn_detection=None),
            append(pcm(audio)),
            COMMIT,
        )
        assert talk.until(f"{PART}.completed")[-1]["transcript"] == answer.json()["text"]


def test_a_service_that_leaves_transcribes_what_was_said(make_app: Callable[..., TestClient]) -> None:
    app = make_app()
    served: Served = app.app.state.served  # type: ignore[attr-defined]
    with app.websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        talk.say(MANUAL, append(SPEECH), update(**AT_16K))
        talk.until("session.updated"), talk.until("session.updated")
        drained = socket.portal.start_task_soon(served.drain)
        assert "".join(event.get("transcript", "") for event in talk.until(f"{PART}.completed")) == TEXT
        assert talk.error()["code"] == "draining"
        drained.result()


async def test_a_reader_that_takes_nothing_is_read_no_more_and_left(
    make_app: Callable[..., TestClient],
) -> None:
    app: Any = make_app(send_timeout_s=0.05).app
    read = 0
    closed: list[Json] = []

    async def receive() -> Json:
        nonlocal read
        read += 1
        if read == 1:
            return {"type": "websocket.connect"}
        return {"type": "websocket.receive", "text": "{"}  # each is answered with an error

    async def send(message: Any) -> None:
        if message["type"] == "websocket.close":
            closed.append(message)
        elif message["type"] == "websocket.send" and "session.created" not in message["text"]:
            await asyncio.Event().wait()

    await app(WEBSOCKET_SCOPE, receive, send)
    assert read == 2  # no more, until the first answer is taken
    assert closed
    assert app.state.served._live == []


async def test_who_cancels_a_session_while_it_ends_gets_the_cancellation_back(
    make_app: Callable[..., TestClient],
) -> None:
    """Else anyio's scopes, as the test client has one, take it for somebody else's and let it through."""
    inferring = asyncio.Event()
    outer = anyio.CancelScope()

    async def infer(_: list[Waveform]) -> list[Emission]:
        inferring.set()
        try:
            await asyncio.Event().wait()
        finally:  # the client has left: so does who serves it, now
            outer.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        raise AssertionError

    said = [{"type": "websocket.connect"}, *map(received, (MANUAL, append(SPEECH)))]

    async def receive() -> Json:
        if said:
            return said.pop(0)
        await inferring.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(_: Any) -> None:
        pass

    app: Any = make_app(infer).app
    with outer:
        await app(WEBSOCKET_SCOPE, receive, send)
        await anyio.sleep_forever()
    assert outer.cancelled_caught


@pytest.mark.e2e
async def test_openai_transcribes_a_microphone(service: Service) -> None:
    """Paced like one, over the wire, at 24 kHz, with server_vad; the text is the file's."""
    clip = CLIPS[2]
    audio = pcm(soxr.resample(np.pad(clip.waveform, (0, 24_000)), 16_000, 24_000, quality="HQ"))
    url = service.url.replace("http", "ws")
    async with openai.AsyncOpenAI(
        base_url=f"{service.url}/v1", websocket_base_url=f"{url}/v1", api_key="none", max_retries=0
    ) as sdk:
        plain = await sdk.audio.transcriptions.create(model="medasr-demo", file=clip.path)
        async with sdk.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            created = await connection.recv()
            assert created.type == "session.created"
            await connection.session.update(
                session={
                    "type": "transcription",
                    "audio": {
                        "input": {
                            "format": {"type": "audio/pcm", "rate": 24_000},
                            "transcription": {"model": "medasr-demo"},
                            "turn_detection": {"type": "server_vad", "silence_duration_ms": 600},
                        }
                    },
                }
            )

            async def speak() -> None:
                start = time.monotonic()
                for at in range(0, len(audio), 1920):  # 40 ms
                    piece = base64.b64encode(audio[at : at + 1920]).decode()
                    await connection.input_audio_buffer.append(audio=piece)
                    await asyncio.sleep(start + (at + 1920) / 48_000 - time.monotonic())

            speaking = asyncio.create_task(speak())
            events: list[Any] = []
            async for event in connection:
                events.append(event)
                if event.type == f"{PART}.completed":
                    break
            await speaking
    deltas = [event.delta or "" for event in events if event.type == f"{PART}.delta"]
    assert len(deltas) > 1
    assert events[-1].type == f"{PART}.completed"
    assert "".join(deltas) == events[-1].transcript == plain.text
    assert f"{BUFFER}.speech_started" in {event.type for event in events}


patient = partial(connect, open_timeout=PATIENCE_S, ping_interval=None)  # on a busy machine, pings come late


@pytest.mark.e2e
async def test_a_socket_that_never_reads_or_sends_too_much_disturbs_no_other(service: Service) -> None:
    url = service.url.replace("http", "ws") + URL
    async with (
        patient(url, max_queue=1, close_timeout=1, compression=None) as deaf,
        connect(url, open_timeout=PATIENCE_S, max_size=None) as loud,
        patient(url) as other,
    ):
        flooding = asyncio.create_task(_flood(deaf))
        with suppress(ConnectionClosed):
            await loud.send(json.dumps(append(bytes(20 << 20))))
        await asyncio.wait_for(loud.wait_closed(), PATIENCE_S)
        assert loud.close_code == 1009
        await other.send(json.dumps(MANUAL))
        await other.send(json.dumps(append(pcm(CLIPS[0].waveform))))
        await other.send(json.dumps(COMMIT))
        kinds: list[str] = []
        while not kinds or kinds[-1] != f"{PART}.completed":
            kinds.append(json.loads(await asyncio.wait_for(other.recv(), PATIENCE_S))["type"])
        flooding.cancel()
        assert await flooding < FLOOD  # it is read no more, since it reads nothing
    assert "error" not in kinds


FLOOD = 5_000


async def _flood(socket: ClientConnection) -> int:
    """Megabytes of messages whose answers are as long; returns how many were taken until it was cancelled."""
    sent = 0
    with suppress(ConnectionClosed, asyncio.CancelledError):
        while sent < FLOOD:
            await socket.send(json.dumps(update(transcription={"prompt": "x" * 10_000})))
            sent += 1
    return sent


def test_a_session_without_sound_gives_way_to_one_that_waits(
    make_app: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once in this test: the one that has sent sound stays, and so would one that has just begun."""
    app = make_app(max_live_streams=2)
    with app.websocket_connect(URL) as speaking, app.websocket_connect(URL) as silent:
        Talk(speaking).hear()
        Talk(silent).hear()
        Talk(speaking).say(append(SPEECH), MANUAL)
        Talk(speaking).until("session.updated")  # and so the sound has come
        with app.websocket_connect(URL) as early:
            assert Talk(early).error()["code"] == "busy"
        monkeypatch.setattr("medasr_service.api.served.SILENT_S", 1e-9)
        with app.websocket_connect(URL) as third:
            assert Talk(third).hear()["type"] == "session.created"
            error = Talk(silent).error()
            assert error["code"] == "idle_timeout"
            assert "others wait" in error["message"]
            with pytest.raises(WebSocketDisconnect):
                silent.receive_text()
            still_works(Talk(third))
        Talk(speaking).say(MANUAL)
        Talk(speaking).until("session.updated")
