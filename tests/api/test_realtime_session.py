"""What a realtime session may be asked for, and in which order it answers."""

import asyncio
import base64
import io
import json
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from fastapi.testclient import TestClient
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from medasr_service.api.realtime_session import CONTEXT, EAGERNESS_S, G711, PCM, Session
from medasr_service.errors import NotReady
from medasr_service.live.session import TurnDetection
from medasr_service.model.geometry import Emission, Waveform
from tests.api.test_realtime import (
    AT_16K,
    BUFFER,
    CLEAR,
    COMMIT,
    MANUAL,
    PART,
    SPEECH,
    TEXT,
    TWO_SENTENCES,
    URL,
    WEBSOCKET_SCOPE,
    Json,
    Talk,
    append,
    hear_at_once,
    make_app,
    pcm,
    received,
    talk,
    types,
    update,
)
from tests.conftest import CLIPS, PATIENCE_S, needs_flashlight
from tests.test_transcriber import SENTENCE, spell

__all__ = ["make_app", "talk"]
LOGPROBS = ["item.input_audio_transcription.logprobs"]
INCLUDE_HYPOTHESIS: Json = {
    "type": "session.update",
    "session": {"include": ["item.input_audio_transcription.hypothesis"]},
}
UNBROKEN = pcm(np.concatenate([spell(SENTENCE, pause_frames=0)] * 8))
RAW = update(transcription={"formatting": "raw"})


def shown(talk: Talk, event: Json) -> Json:
    """The audio input of the session as it is shown after this event."""
    talk.say(event)
    answer = talk.hear()
    assert answer["type"] == "session.updated", answer
    found: Json = answer["session"]["audio"]["input"]
    return found


def transcript(talk: Talk) -> str:
    text: str = talk.until(f"{PART}.completed")[-1]["transcript"]
    return text


# --- formats


@pytest.mark.parametrize(("subtype", "kind"), [("ULAW", "audio/pcmu"), ("ALAW", "audio/pcma")])
def test_telephony_is_heard_as_the_file_of_it(client: TestClient, subtype: str, kind: str) -> None:
    narrow = soxr.resample(CLIPS[1].waveform, 16_000, 8000, quality="HQ")
    codes, file = io.BytesIO(), io.BytesIO()
    soundfile.write(codes, narrow, 8000, format="RAW", subtype=subtype)
    soundfile.write(file, narrow, 8000, format="WAV", subtype=subtype)
    with client.websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        assert shown(talk, update(format={"type": kind}, turn_detection=None))["format"] == {"type": kind}
        talk.say(append(codes.getvalue()), COMMIT)
        heard = transcript(talk)
    answer = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", file.getvalue())})
    assert heard == answer.json()["text"]
    assert len(heard.split()) > 5


def test_a_format_is_not_mixed_with_the_one_before(talk: Talk) -> None:
    assert shown(talk, update(**AT_16K))["format"] == {"type": "audio/pcm", "rate": 16_000}
    assert shown(talk, update(format={"type": "audio/pcm"}))["format"]["rate"] == 16_000  # as it was
    assert shown(talk, update(format={"type": "audio/pcmu"}))["format"] == {"type": "audio/pcmu"}
    assert shown(talk, update(format={"type": "audio/pcm"}))["format"]["rate"] == 24_000


@pytest.mark.parametrize("size", [1, 3, 801])
def test_pieces_of_odd_length_are_joined(talk: Talk, size: int) -> None:
    talk.say(MANUAL)
    talk.hear()
    head, rest = SPEECH[:2403], SPEECH[2403:]
    talk.say(*(append(head[i : i + size]) for i in range(0, len(head), size)), append(rest), COMMIT)
    assert transcript(talk) == TEXT


def test_half_a_sample_does_not_shift_the_turn_after_it(talk: Talk) -> None:
    talk.say(MANUAL, append(SPEECH + b"x"), COMMIT, append(SPEECH), COMMIT)
    talk.until("session.updated")
    assert transcript(talk) + transcript(talk) == f"{TEXT}\n\n{TEXT}"


def test_an_empty_commit_does_not_part_a_sample(talk: Talk) -> None:
    talk.say(MANUAL, append(SPEECH[:3]), COMMIT, append(SPEECH[3:]), COMMIT)
    talk.until("session.updated")
    assert talk.error()["code"] == "input_audio_buffer_commit_empty"
    assert transcript(talk) == TEXT


@pytest.mark.parametrize("written", ["unpadded", "url-safe", "in lines"])
def test_base64_is_read_as_it_is_written(talk: Talk, written: str) -> None:
    def encoded(data: bytes) -> str:
        if written == "in lines":
            return base64.encodebytes(data).decode()
        return base64.urlsafe_b64encode(data).decode().rstrip("=" if written == "unpadded" else "")

    talk.say(MANUAL)
    talk.hear()
    pieces = [SPEECH[i : i + 1000] for i in range(0, len(SPEECH), 1000)]
    talk.say(*({**append(b""), "audio": encoded(piece)} for piece in pieces), COMMIT)
    assert transcript(talk) == TEXT


def test_exactly_the_shortest_turn_can_be_committed_at_24_khz(talk: Talk) -> None:
    talk.say(update(turn_detection=None), append(bytes(4800)), COMMIT)
    talk.until("session.updated")
    assert transcript(talk) == ""


# --- turns


def test_semantic_vad_ends_turns_in_pauses_the_longer_the_less_eager() -> None:
    assert EAGERNESS_S["low"] > EAGERNESS_S["medium"] == EAGERNESS_S["auto"] > EAGERNESS_S["high"]
    asked = Session().updated(update(turn_detection={"type": "semantic_vad"})["session"], Session())
    turns = asked.audio.input.turn_detection
    assert turns
    assert turns.turns() == TurnDetection(silence_s=1.0)


def test_semantic_vad_is_accepted_as_clients_send_it(talk: Talk) -> None:
    vad = {"type": "semantic_vad", "eagerness": "high", "create_response": False, "interrupt_response": None}
    found = shown(talk, update(**AT_16K, turn_detection=vad))["turn_detection"]
    assert found == {"type": "semantic_vad", "eagerness": "high"}
    talk.say(append(TWO_SENTENCES))
    assert transcript(talk) + transcript(talk) == f"{TEXT}\n\n{TEXT}"


def test_turns_are_not_mixed_with_the_ones_before(talk: Talk) -> None:
    shown(talk, update(turn_detection={"type": "semantic_vad", "eagerness": "low"}))
    found = shown(talk, update(turn_detection={"type": "server_vad", "silence_duration_ms": 900}))
    assert found["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 900,
    }
    shown(talk, update(turn_detection=None))
    assert shown(talk, update(turn_detection={"threshold": 0.6}))["turn_detection"]["type"] == "server_vad"


def test_a_model_that_has_no_turn_detection_at_openai_waits_for_commits() -> None:
    def turns(before: Session, **asked: Any) -> str | None:
        found = before.updated(update(**asked)["session"], Session()).audio.input.turn_detection
        return found.type if found else None

    live, other = {"model": "gpt-realtime-whisper"}, {"model": "gpt-4o-transcribe"}
    vad = {"type": "semantic_vad"}
    assert turns(Session(), transcription=other) == "server_vad"
    assert turns(Session(), transcription=live) is None
    assert turns(Session(), transcription=live, turn_detection=vad) == "semantic_vad"
    chosen = Session().updated(update(transcription=live, turn_detection=vad)["session"], Session())
    assert turns(chosen, transcription={**live, "language": "en"}) == "semantic_vad"  # as it was


# --- the order of things


def test_an_update_behind_a_commit_changes_the_turns_after_it(talk: Talk) -> None:
    talk.say(MANUAL, append(SPEECH), COMMIT, RAW, append(SPEECH), COMMIT)
    talk.until("session.updated")
    kinds = types(first := talk.until(f"{PART}.completed"))
    assert f"{BUFFER}.committed" in kinds
    assert "session.updated" not in kinds
    assert first[-1]["transcript"] == TEXT
    assert talk.hear()["type"] == "session.updated"
    assert transcript(talk).strip() == "[FINDINGS] lungs are clear {period}"


def test_answers_come_in_the_order_of_what_was_asked(talk: Talk) -> None:
    nonsense = update(turn_detecton=None)
    talk.say(MANUAL, append(SPEECH), COMMIT, nonsense, COMMIT, CLEAR, RAW, append(SPEECH), COMMIT, CLEAR)
    found: list[str] = []
    while found.count(f"{BUFFER}.cleared") < 2:
        event = talk.hear()
        found.append(event["error"]["code"] if event["type"] == "error" else event["type"])
    asked = ("session.updated", f"{BUFFER}.committed", f"{BUFFER}.cleared", "unknown_parameter")
    assert [kind for kind in found if kind in (*asked, "input_audio_buffer_commit_empty")] == [
        "session.updated",
        f"{BUFFER}.committed",
        "unknown_parameter",
        "input_audio_buffer_commit_empty",
        f"{BUFFER}.cleared",
        "session.updated",
        f"{BUFFER}.committed",
        f"{BUFFER}.cleared",
    ]


def test_null_is_what_the_service_is_set_to(make_app: Callable[..., TestClient]) -> None:
    with make_app(formatting="raw").websocket_connect(URL) as socket:
        talk = Talk(socket)
        assert talk.hear()["session"]["audio"]["input"]["transcription"]["formatting"] == "raw"
        assert shown(talk, update(transcription={"formatting": "dictation"}))["transcription"]["formatting"]
        assert shown(talk, update(transcription=None))["transcription"]["formatting"] == "raw"


@pytest.mark.parametrize("event", [COMMIT, append(b""), CLEAR, update(), {"type": "nonsense"}])
async def test_only_audio_keeps_an_idle_session(make_app: Callable[..., TestClient], event: Json) -> None:
    told: list[Json] = []
    said = count()

    async def receive() -> Json:
        await asyncio.sleep(0.001)
        return received(event) if next(said) else {"type": "websocket.connect"}

    async def send(sent: Any) -> None:
        told.extend([json.loads(sent["text"])] if "text" in sent else [])

    app: Any = make_app(live_idle_timeout_s=0.1).app
    async with asyncio.timeout(PATIENCE_S):
        await app(WEBSOCKET_SCOPE, receive, send)
    assert told[-1]["error"]["code"] == "idle_timeout"
    assert next(said) > 2


# --- decoding and keywords


@needs_flashlight
def test_a_session_may_search_with_the_language_model(client: TestClient) -> None:
    clip = CLIPS[0]
    answer = client.post(
        "/v1/audio/transcriptions",
        files={"file": ("a.flac", clip.path.read_bytes())},
        data={"decoding": "lm"},
    )
    with client.websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        asked = update(**AT_16K, turn_detection=None, transcription={"decoding": "lm"})
        assert shown(talk, asked)["transcription"]["decoding"] == "lm"
        talk.say(append(pcm(clip.waveform)), COMMIT)
        assert transcript(talk) == answer.json()["text"]
        assert shown(talk, update(transcription={"decoding": None}))["transcription"]["decoding"] == "greedy"


def test_without_a_language_model_a_session_that_asks_for_it_is_told(
    make_client: Callable[..., TestClient],
) -> None:
    with make_client(lm="off").websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        talk.say(update(transcription={"decoding": "lm"}))
        error = talk.error()
        assert error["param"] == "session.audio.input.transcription.decoding"
        assert "no language model" in error["message"]


@needs_flashlight
def test_keywords_have_the_rules_of_files(client: TestClient) -> None:
    with client.websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        found = shown(talk, update(transcription={"keywords": ["Kowalski", "bisoprolol"]}))
        assert found["transcription"]["keywords"] == ["Kowalski", "bisoprolol"]
        for wrong in (["x" * 65], [f"term{'x' * (i % 40)}{i}" for i in range(501)], ["Жук"]):
            talk.say(update(transcription={"keywords": wrong}))
            error = talk.error()
            assert error["param"] == "session.audio.input.transcription.keywords"
            assert len(error["message"]) < 200
        assert shown(talk, update(transcription={"language": "en"})) == {
            **found,
            "transcription": {**found["transcription"], "language": "en"},
        }
        talk.say(update(transcription={"keywords": ["Kowalski", "Жук"]}))
        [warned] = talk.until("session.updated")[-1]["warnings"]
        assert "'Жук'" in warned["message"]
        assert shown(talk, update(transcription={"keywords": None}))["transcription"]["keywords"] == []


@needs_flashlight
def test_with_keywords_that_nobody_says_the_text_is_the_files(client: TestClient) -> None:
    clip = CLIPS[0]
    answer = client.post("/v1/audio/transcriptions", files={"file": ("a.flac", clip.path.read_bytes())})
    with client.websocket_connect(URL) as socket:
        talk = Talk(socket)
        talk.hear()
        shown(talk, update(**AT_16K, turn_detection=None, transcription={"keywords": ["Kowalski"]}))
        talk.say(append(pcm(clip.waveform)), COMMIT)
        assert transcript(talk) == answer.json()["text"]


# --- the beta's event


def test_the_event_of_the_beta_is_translated(talk: Talk) -> None:
    session = {
        "input_audio_format": "pcm16",
        "input_audio_transcription": {"model": "medasr-demo", "language": "en", "prompt": ""},
        "input_audio_noise_reduction": None,
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 700},
        "include": LOGPROBS,
    }
    found = shown(talk, {"type": "transcription_session.update", "session": session})
    assert found["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert found["turn_detection"]["silence_duration_ms"] == 700
    audio = soxr.resample(np.frombuffer(SPEECH, np.int16) / 32_768, 16_000, 24_000, quality="HQ")
    talk.say(append(pcm(audio)), COMMIT)
    completed = talk.until(f"{PART}.completed")[-1]
    assert completed["transcript"] == TEXT
    assert completed["logprobs"]


@pytest.mark.parametrize(("name", "kind"), [("g711_ulaw", "audio/pcmu"), ("g711_alaw", "audio/pcma")])
def test_the_formats_of_the_beta_are_known(talk: Talk, name: str, kind: str) -> None:
    event = {"type": "transcription_session.update", "session": {"input_audio_format": name}}
    assert shown(talk, event)["format"] == {"type": kind}


# --- delay


def test_a_longer_delay_waits_for_more_behind_a_word(talk: Talk) -> None:
    """Deltas before the pause of a turn, whose sound came at once: the longer the delay, the fewer words."""
    counts = []
    for delay in CONTEXT:
        talk.say(CLEAR, update(**AT_16K, turn_detection=None, transcription={"delay": delay}))
        assert (
            talk.until("session.updated")[-1]["session"]["audio"]["input"]["transcription"]["delay"] == delay
        )
        talk.say(append(UNBROKEN), {"type": "nonsense"})
        words = 0
        while (event := talk.hear())["type"] != "error":
            words += len(event.get("words", ()))
        counts.append(words)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] > 0
    assert shown(talk, update(transcription={"delay": None}))["transcription"]["delay"] is None


# --- what is not yet sure


def test_a_hypothesis_is_for_the_asking_and_no_part_of_what_is_given_out(talk: Talk) -> None:
    kind = f"{PART}.hypothesis"
    talk.say(MANUAL, append(SPEECH), COMMIT)
    assert kind not in types(talk.until(f"{PART}.completed"))
    talk.say(INCLUDE_HYPOTHESIS)
    assert talk.hear()["session"]["include"] == INCLUDE_HYPOTHESIS["session"]["include"]
    talk.say(append(SPEECH), *(append(bytes(6400)) for _ in range(10)))
    first = talk.until(kind)[-1]
    assert set(first) == {"type", "event_id", "item_id", "content_index", "hypothesis"}
    talk.say(COMMIT)
    events = [first, *talk.until(f"{PART}.completed")]
    completed = events[-1]
    assert f"{first['hypothesis']}".strip()
    assert TEXT.startswith(first["hypothesis"].strip())
    assert first["item_id"] == completed["item_id"]
    assert "".join(event.get("delta", "") for event in events) == completed["transcript"] == f"\n\n{TEXT}"
    assert "logprobs" not in completed
    talk.say({"type": "session.update", "session": {"include": None}}, append(SPEECH), COMMIT)
    assert kind not in types(talk.until(f"{PART}.completed"))


def test_what_is_included_and_unknown_is_named_and_the_session_stays_as_it_was(talk: Talk) -> None:
    talk.say(INCLUDE_HYPOTHESIS)
    talk.hear()
    for include in (["item.input_audio_transcription.guess"], "item.input_audio_transcription.hypothesis"):
        talk.say({"type": "session.update", "session": {"include": include}})
        error = talk.error()
        assert error["param"].startswith("session.include")
        assert error["code"] == "invalid_value"
    talk.say(MANUAL)
    assert talk.hear()["session"]["include"] == INCLUDE_HYPOTHESIS["session"]["include"]


# --- the openai package's types

EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
OURS = {"words", "raw_text"}
OURS_OF_A_SESSION = {"demo", "notice"}
OF_A_SESSION_CREATED = {"id", "object", "expires_at"}  # OpenAI sends them, its package does not declare them


def declared(event: Json) -> Json:
    """The event without what docs/live.md says is ours."""
    event = json.loads(json.dumps(event))
    if session := event.get("session"):
        for key in OURS_OF_A_SESSION | OF_A_SESSION_CREATED:
            session.pop(key, None)
        for ours in ("formatting", "decoding"):
            session["audio"]["input"]["transcription"].pop(ours)
    return {key: value for key, value in event.items() if key not in OURS}


@pytest.mark.parametrize("turns", ["server_vad", "semantic_vad", None])
def test_every_event_is_one_of_the_openai_package_and_nothing_more(
    make_app: Callable[..., TestClient], turns: str | None
) -> None:
    failing = False

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        if failing:
            raise NotReady("The model cannot be reached.")
        return await hear_at_once(waveforms)

    with make_app(infer).websocket_connect(URL) as socket:
        talk = Talk(socket)
        events = [talk.hear()]
        talk.say({"type": "session.update", "session": {"include": LOGPROBS}})
        talk.say(update(turn_detection=turns and {"type": turns}, transcription={"languages": ["en"]}))
        audio = soxr.resample(np.frombuffer(TWO_SENTENCES, np.int16) / 32_768, 16_000, 24_000, quality="HQ")
        talk.say(append(pcm(audio)), append(bytes(96_000)), *([COMMIT] if turns is None else []))
        events += talk.until(f"{PART}.completed")
        talk.say(CLEAR, {"type": "nonsense", "event_id": "mine"})
        while events[-1]["type"] != "error":
            events.append(talk.hear())
        failing = True
        talk.say(update(turn_detection=None), append(pcm(audio)), COMMIT)
        while events[-1]["type"] != f"{PART}.failed":
            events.append(talk.hear())
    for event in events:
        EVENT.validate_json(json.dumps(declared(event)), strict=True, extra="forbid")
    told = set(types(events))
    assert {"session.created", "session.updated", f"{BUFFER}.committed", f"{BUFFER}.cleared"} <= told
    assert {f"{PART}.delta", f"{PART}.completed", f"{PART}.failed", "conversation.item.added"} <= told
    assert turns is None or {f"{BUFFER}.speech_started", f"{BUFFER}.speech_stopped"} <= told


def test_a_validator_that_is_strict_finds_what_is_ours(talk: Talk) -> None:
    """So that the test above can fail."""
    talk.say(MANUAL, append(SPEECH), COMMIT)
    completed = talk.until(f"{PART}.completed")[-1]
    with pytest.raises(ValueError, match="words"):
        EVENT.validate_json(json.dumps(completed), strict=True, extra="forbid")


def test_the_formats_are_those_of_the_openai_package() -> None:
    assert PCM().model_dump() == {"type": "audio/pcm", "rate": 24_000}
    assert G711(type="audio/pcmu").model_dump() == {"type": "audio/pcmu"}
