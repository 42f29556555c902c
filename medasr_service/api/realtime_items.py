"""What a live session tells, as the events of OpenAI's Realtime API: each turn is an item."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from medasr_service.api.realtime_events import details
from medasr_service.api.realtime_session import Json
from medasr_service.live.events import (
    Cleared,
    Committed,
    Completed,
    Delta,
    Event,
    Failed,
    Hypothesis,
    SpeechStarted,
    SpeechStopped,
)
from medasr_service.text import formats

BUFFER = "input_audio_buffer"
PART = "conversation.item.input_audio_transcription"


def new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:24]}"


class Items:
    """The items of one session; ``logprobs``: whether they are told."""

    def __init__(self) -> None:
        self.logprobs = False
        self._ids: dict[int, str] = {}  # of turns that are not over
        self._previous: str | None = None

    def told(self, event: Event) -> Iterator[Json]:
        """An event of the session, as the wire has it; but for Reached, whose note is its sender's."""
        return _TOLD[type(event)](self, event)

    def _id(self, turn: int) -> str:
        return self._ids.setdefault(turn, new_id("item"))

    def _speech_started(self, event: SpeechStarted) -> Iterator[Json]:
        at_ms = round(1000 * event.at_s)
        item = self._id(event.turn)
        yield {"type": f"{BUFFER}.speech_started", "audio_start_ms": at_ms, "item_id": item}

    def _speech_stopped(self, event: SpeechStopped) -> Iterator[Json]:
        at_ms = round(1000 * event.at_s)
        item = self._id(event.turn)
        yield {"type": f"{BUFFER}.speech_stopped", "audio_end_ms": at_ms, "item_id": item}

    def _delta(self, event: Delta) -> Iterator[Json]:
        yield {**self._part("delta", event.turn), "delta": event.text, **self._extra(event)}

    def _hypothesis(self, event: Hypothesis) -> Iterator[Json]:
        yield {**self._part("hypothesis", event.turn), "hypothesis": event.text}

    def _committed(self, event: Committed) -> Iterator[Json]:
        item, previous = self._id(event.turn), self._previous
        yield {"type": f"{BUFFER}.committed", "previous_item_id": previous, "item_id": item}
        content = {"type": "input_audio", "transcript": None}
        message = {"id": item, "object": "realtime.item", "type": "message", "status": "completed"}
        shown = {**message, "role": "user", "content": [content]}
        yield {"type": "conversation.item.added", "previous_item_id": previous, "item": shown}
        self._previous = item

    def _completed(self, event: Completed) -> Iterator[Json]:
        yield {
            **self._part("completed", event.turn),
            "transcript": event.text,
            "usage": {"type": "duration", "seconds": round(event.duration_s, 3)},
            **self._extra(event),
        }
        self._ids.pop(event.turn)

    def _failed(self, event: Failed) -> Iterator[Json]:
        yield {**self._part("failed", event.turn), "error": details(event.error)}
        self._ids.pop(event.turn)

    def _cleared(self, event: Cleared) -> Iterator[Json]:
        self._ids.pop(event.turn, None)
        yield {"type": f"{BUFFER}.cleared"}

    def _part(self, kind: str, turn: int) -> Json:
        return {"type": f"{PART}.{kind}", "item_id": self._id(turn), "content_index": 0}

    def _extra(self, event: Delta | Completed) -> Json:
        """Ours: the words, and what the model wrote; and logprobs, where the session asks for them."""
        first = isinstance(event, Completed)  # the pieces of all deltas, joined, begin with a space
        logprobs = {"logprobs": formats.to_logprobs(event.words, first=first)}
        return {
            "words": formats.to_words(event.words),
            "raw_text": "".join(word.space + word.text for word in event.words),
            **(logprobs if self.logprobs else {}),
        }


_TOLD: dict[type, Callable[[Items, Any], Iterator[Json]]] = {
    SpeechStarted: Items._speech_started,
    SpeechStopped: Items._speech_stopped,
    Delta: Items._delta,
    Hypothesis: Items._hypothesis,
    Committed: Items._committed,
    Completed: Items._completed,
    Failed: Items._failed,
    Cleared: Items._cleared,
}
