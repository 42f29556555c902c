"""WS /v1/realtime: OpenAI's Realtime API, for transcription, over a live session."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from medasr_service.api import realtime_events as wire
from medasr_service.api.connection import ended
from medasr_service.api.event_stream import FAILED
from medasr_service.api.keys import SUBPROTOCOL
from medasr_service.api.realtime_events import Json
from medasr_service.api.served import Served, served_or_503
from medasr_service.audio.pcm import PCM16
from medasr_service.errors import Draining, InvalidRequest, MedASRError
from medasr_service.live.events import (
    Cleared,
    Committed,
    Completed,
    Delta,
    Event,
    Failed,
    SpeechStarted,
    SpeechStopped,
)
from medasr_service.live.session import Session
from medasr_service.model.geometry import Waveform
from medasr_service.settings import Settings
from medasr_service.text import formats

MIB = 1 << 20
NORMAL, POLICY, TOO_BIG, BROKEN, TRY_LATER = 1000, 1008, 1009, 1011, 1013  # the WebSocket's codes
LARGE_BYTES = 64 << 10  # a message of more is worked on beside the event loop, not to hold up the others
TRANSCRIPTION = "conversation.item.input_audio_transcription"

router = APIRouter()
log = logging.getLogger("bentoml.medasr")


@router.websocket("/v1/realtime")
async def realtime(websocket: WebSocket) -> None:
    """One session: refused with an ``error`` event where it cannot be, since browsers see no status."""
    await websocket.accept(subprotocol=_subprotocol(websocket))
    settings: Settings = websocket.app.state.settings
    try:
        served = served_or_503(websocket.app.state)
        _check_query(websocket, served)
        connection = _Connection(websocket, served, settings)
        with served.live(connection.leave):
            await connection.run()
    except MedASRError as error:
        code = TRY_LATER if error.retry_after_s else POLICY
        await _close(websocket, code, wire.error(error), settings.send_timeout_s)


def _subprotocol(websocket: WebSocket) -> str | None:
    """A browser that offers protocols wants one of them back: any but the one that is a key."""
    offered: list[str] = websocket.scope.get("subprotocols", [])
    return next((protocol for protocol in offered if not protocol.startswith(SUBPROTOCOL)), None)


def _check_query(websocket: WebSocket, served: Served) -> None:
    intent = websocket.query_params.get("intent", "transcription")
    if intent != "transcription":
        raise InvalidRequest("Only intent=transcription is served here.", param="intent")
    model = websocket.query_params.get("model")
    if model and not served.serves(model):
        raise served.refusal(model, status=400)


async def _close(websocket: WebSocket, code: int, last_words: Json | None, timeout_s: float) -> None:
    """Says why, and closes; to a client that is gone, or takes nothing, it says nothing."""
    with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        async with asyncio.timeout(timeout_s):
            if last_words and websocket.application_state is WebSocketState.CONNECTED:
                await websocket.send_text(json.dumps({"event_id": _id("event"), **last_words}))
            await websocket.close(code)


def _id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:24]}"


class _Connection:
    """Reads, speaks, and holds what the wire knows of turns: their items."""

    def __init__(self, websocket: WebSocket, served: Served, settings: Settings) -> None:
        self._websocket = websocket
        self._served = served
        self._settings = settings
        self._lock = asyncio.Lock()
        self._id = _id("sess")
        self._expires_at = int(time.time() + settings.max_live_duration_s)
        default = wire.Session()
        model = served.checkpoint.id
        self._config = default.updated(
            {"audio": {"input": {"transcription": {"model": model, "formatting": settings.formatting}}}}
        )
        self._pcm = PCM16(self._config.audio.input.format.rate)
        transcriber = served.transcriber
        self._session = Session(
            transcriber.infer,
            transcriber.vocabulary,
            transcriber.geometry,
            settings,
            raw=settings.formatting == "raw",
            turn_detection=wire.ServerVad().turns(),
        )
        self._items: dict[int, str] = {}
        self._previous: str | None = None

    async def run(self) -> None:
        """Until the client leaves, or the session must end; its work is given up then."""
        await self._say({"type": "session.created", "session": self._shown()})
        tasks = [asyncio.create_task(each) for each in (self._read(), self._speak())]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._settings.max_live_duration_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                limit = f"{self._settings.max_live_duration_s:,.0f} s"
                raise InvalidRequest(f"The session is over: it may last {limit}.", code="session_expired")
            for task in done:
                await task
        except InvalidRequest:  # too long, or idle: what was said is transcribed still
            self._session.close()
            await asyncio.wait(tasks[1:], timeout=self._settings.send_timeout_s)
            raise
        except (WebSocketDisconnect, TimeoutError):  # gone, or takes nothing
            await _close(self._websocket, POLICY, None, 1.0)
        except MedASRError:
            raise
        except Exception as error:
            log.error("a live session failed", exc_info=error)
            failure = wire.error(MedASRError(FAILED))
            await _close(self._websocket, BROKEN, failure, self._settings.send_timeout_s)
        finally:
            for task in tasks:
                task.cancel()
            await ended(*tasks)

    def leave(self) -> None:
        """Where the service leaves, what was said is transcribed still."""
        self._session.close()

    async def _say(self, event: Json) -> None:
        """One at a time; raises TimeoutError where the client takes nothing: memory must not grow for it."""
        text = json.dumps({"event_id": _id("event"), **event})  # ASCII: half a surrogate cannot be sent
        async with self._lock, asyncio.timeout(self._settings.send_timeout_s):
            await self._websocket.send_text(text)

    async def _read(self) -> None:
        """Takes messages until the client leaves; no faster than they are worked off."""
        limit = int(self._settings.live_message_mb * MIB)
        while True:
            text = await self._receive()
            if text is None:
                await self._say(wire.error(InvalidRequest("Messages are text, not binary: send JSON.")))
                continue
            try:
                if len(text) > limit:
                    raise InvalidRequest(
                        f"The message has {len(text):,} bytes; the limit is {limit:,}.",
                        code="message_too_large",
                    )
                if answer := await self._take(wire.parse(text)):
                    await self._say(answer)
            except InvalidRequest as error:
                event_id = wire.event_id_of(text) if len(text) <= limit else None
                await self._say(wire.error(error, event_id))
            await self._session.room()

    async def _receive(self) -> str | None:
        """The next message; None for a binary one."""
        try:
            async with asyncio.timeout(self._settings.live_idle_timeout_s):
                message = await self._websocket.receive()
        except TimeoutError:
            idle_s = f"{self._settings.live_idle_timeout_s:,.0f} s"
            raise InvalidRequest(
                f"The session is over: nothing came for {idle_s}.", code="idle_timeout"
            ) from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        text: str | None = message.get("text")
        return text

    async def _take(self, event: wire.ClientEvent) -> Json | None:
        """Raises InvalidRequest; the session stays as it was then."""
        match event:
            case wire.Append():
                self._session.append(await self._samples(event))
            case wire.Commit():
                self._session.append(self._pcm.flush())
                self._session.commit()
            case wire.Clear():
                self._pcm.flush()
                self._session.clear()
            case wire.Update():
                self._update(self._config.updated(event.session))
                return {"type": "session.updated", "session": self._shown()}
        return None

    async def _samples(self, event: wire.Append) -> Waveform:
        def decode() -> Waveform:
            return self._pcm.decode(event.pcm)

        return await asyncio.to_thread(decode) if len(event.audio) > LARGE_BYTES else decode()

    def _update(self, config: wire.Session) -> None:
        model = config.audio.input.transcription.model
        if model and not self._served.serves(model):
            refusal = self._served.refusal(model, status=400)
            refusal.param = "session.audio.input.transcription.model"
            raise refusal
        self._config, before = config, self._config.audio.input.format.rate
        if config.audio.input.format.rate != before:
            self._session.append(self._pcm.flush())
            self._pcm = PCM16(config.audio.input.format.rate)
        turns = config.audio.input.turn_detection
        self._session.turn_detection = turns.turns() if turns else None
        self._session.raw = config.audio.input.transcription.formatting == "raw"

    def _shown(self) -> Json:
        config = self._config.model_dump()
        config["audio"]["input"]["transcription"]["model"] = (
            self._served.checkpoint.id
        )  # be it asked by an alias
        return {
            "id": self._id,
            "object": "realtime.transcription_session",
            "expires_at": self._expires_at,
            **config,
            **self._served.notice,
        }

    async def _speak(self) -> None:
        async for event in self._session.events():
            for each in self._told(event):
                await self._say(each)
        raise Draining

    def _told(self, event: Event) -> Iterator[Json]:
        """An event of the session, as the wire has it."""
        return _TOLD[type(event)](self, event)

    def _item(self, turn: int) -> str:
        return self._items.setdefault(turn, _id("item"))

    def _speech_started(self, event: SpeechStarted) -> Iterator[Json]:
        at_ms = round(1000 * event.at_s)
        item = self._item(event.turn)
        yield {"type": "input_audio_buffer.speech_started", "audio_start_ms": at_ms, "item_id": item}

    def _speech_stopped(self, event: SpeechStopped) -> Iterator[Json]:
        at_ms = round(1000 * event.at_s)
        item = self._item(event.turn)
        yield {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": at_ms, "item_id": item}

    def _delta(self, event: Delta) -> Iterator[Json]:
        yield {
            "type": f"{TRANSCRIPTION}.delta",
            "item_id": self._item(event.turn),
            "content_index": 0,
            "delta": event.text,
            **self._extra(event),
        }

    def _committed(self, event: Committed) -> Iterator[Json]:
        item, previous = self._item(event.turn), self._previous
        ids = {"previous_item_id": previous, "item_id": item}
        yield {"type": "input_audio_buffer.committed", **ids}
        content = {"type": "input_audio", "transcript": None}
        message = {"id": item, "object": "realtime.item", "type": "message", "status": "completed"}
        shown = {**message, "role": "user", "content": [content]}
        yield {"type": "conversation.item.added", "previous_item_id": previous, "item": shown}
        self._previous = item

    def _completed(self, event: Completed) -> Iterator[Json]:
        yield {
            "type": f"{TRANSCRIPTION}.completed",
            "item_id": self._items.pop(event.turn),
            "content_index": 0,
            "transcript": event.text,
            "usage": {"type": "duration", "seconds": round(event.duration_s, 3)},
            **self._extra(event),
        }

    def _failed(self, event: Failed) -> Iterator[Json]:
        item = self._item(event.turn)
        self._items.pop(event.turn)
        error = wire.details(event.error)
        yield {"type": f"{TRANSCRIPTION}.failed", "item_id": item, "content_index": 0, "error": error}

    def _cleared(self, event: Cleared) -> Iterator[Json]:
        self._items.pop(event.turn, None)
        yield {"type": "input_audio_buffer.cleared"}

    def _extra(self, event: Delta | Completed) -> Json:
        """Ours: the words; and logprobs, where the session asks for them."""
        tokens = [token for word in event.words for token in word.tokens]
        logprobs = {"logprobs": [formats.to_logprob(token) for token in tokens]}
        return {
            "words": [formats.to_word(word) for word in event.words],
            **(logprobs if wire.LOGPROBS in self._config.include else {}),
        }


_TOLD: dict[type, Callable[..., Iterator[Json]]] = {
    SpeechStarted: _Connection._speech_started,
    SpeechStopped: _Connection._speech_stopped,
    Delta: _Connection._delta,
    Committed: _Connection._committed,
    Completed: _Connection._completed,
    Failed: _Connection._failed,
    Cleared: _Connection._cleared,
}
