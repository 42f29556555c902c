"""A live session whose service leaves, or whose model is gone for a moment: no word is lost or cut in two."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from medasr_service.api import realtime
from medasr_service.api.served import Served
from tests.api.test_realtime import (
    AT_16K,
    MANUAL,
    PART,
    SPEECH,
    TEXT,
    TWO_SENTENCES,
    URL,
    Json,
    Talk,
    append,
    make_app,
    pcm,
    update,
)

__all__ = ["make_app"]

BYTES_PER_MS = 32
SILENCE = pcm(np.zeros(16_000, np.float32))


def served(app: TestClient) -> Served:
    found: Served = app.app.state.served  # type: ignore[attr-defined]
    return found


def to_the_end(talk: Talk) -> tuple[str, Json]:
    """What is written until the session ends, and the event with which it does."""
    text = ""
    while (event := talk.hear())["type"] != "error":
        if event["type"] == f"{PART}.completed":
            text += event["transcript"]
    assert event["error"]["code"] == "draining"
    return text, event


def begun(socket: Any, *events: Json) -> Talk:
    talk = Talk(socket)
    talk.hear()
    last = update(**AT_16K)
    talk.say(*events, last)
    for each in (*events, last):
        if each["type"] == last["type"]:
            talk.until("session.updated")
    return talk


@pytest.mark.parametrize("turns", [MANUAL, update(**AT_16K)], ids=["by hand", "by pauses"])
def test_a_sentence_that_was_begun_is_heard_to_its_pause(
    make_app: Callable[..., TestClient], turns: Json
) -> None:
    app = make_app()
    with app.websocket_connect(URL) as socket:
        talk = begun(socket, turns, append(SPEECH[: len(SPEECH) // 2]))
        drained = socket.portal.start_task_soon(served(app).drain)
        talk.say(append(SPEECH[len(SPEECH) // 2 :]), append(SILENCE))
        text, last = to_the_end(talk)
        assert text == TEXT
        assert last["audio_end_ms"] == (len(SPEECH) + len(SILENCE)) // BYTES_PER_MS
        drained.result()


def test_what_was_sent_before_is_heard_where_nothing_more_comes(
    make_app: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "LEAVE_IDLE_S", 0.3)
    app = make_app()
    with app.websocket_connect(URL) as socket:
        talk = begun(socket, MANUAL, append(SPEECH))
        drained = socket.portal.start_task_soon(served(app).drain)
        assert to_the_end(talk)[0] == TEXT
        drained.result()


def test_a_speaker_who_never_pauses_is_ended_all_the_same(
    make_app: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime, "LEAVE_S", 0.3)
    app = make_app(live_buffer_s=1)
    with app.websocket_connect(URL) as socket:
        talk = begun(socket, MANUAL, append(SPEECH[: len(SPEECH) // 2]))
        drained = socket.portal.start_task_soon(served(app).drain)
        _, last = to_the_end(talk)
        assert last["audio_end_ms"] == len(SPEECH) // 2 // BYTES_PER_MS
        drained.result()


def test_who_goes_on_elsewhere_where_the_first_service_ended_loses_no_word(
    make_app: Callable[..., TestClient],
) -> None:
    """The hand-over of two services, in the middle of the second sentence."""
    first, second = make_app(), make_app()
    sent = len(TWO_SENTENCES) * 3 // 4 // 2 * 2
    with first.websocket_connect(URL) as socket:
        talk = begun(socket, MANUAL, append(TWO_SENTENCES[:sent]))
        drained = socket.portal.start_task_soon(served(first).drain)
        talk.say(append(TWO_SENTENCES[sent:]), append(SILENCE))
        before, last = to_the_end(talk)
        drained.result()
    rest = (TWO_SENTENCES + SILENCE + SPEECH + SILENCE)[last["audio_end_ms"] * BYTES_PER_MS :]
    with second.websocket_connect(URL) as socket:
        talk = begun(socket, MANUAL, append(rest))
        drained = socket.portal.start_task_soon(served(second).drain)
        after, _ = to_the_end(talk)
        drained.result()
    words = before.split() + after.split()
    assert words == 3 * TEXT.split()


def test_a_speaker_is_told_that_the_model_is_away_by_no_error_and_goes_on(
    make_app: Callable[..., TestClient],
) -> None:
    """Most clients take an ``error`` for the end, and pass over a type that they do not know."""
    app = make_app()
    with app.websocket_connect(URL) as socket:
        talk = begun(socket, MANUAL)

        async def lose() -> None:
            served(app).lose()

        socket.portal.call(lose)
        away = talk.hear()
        assert set(away) == {"type", "event_id", "message"}
        assert away["type"] == "medasr.model_away"
        talk.say(append(SPEECH), {"type": "input_audio_buffer.commit"})
        assert talk.until(f"{PART}.completed")[-1]["transcript"] == TEXT
