"""WS /v1/realtime: OpenAI's Realtime API, for transcription, over a live session."""

import asyncio
import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from medasr_service.api import realtime_events as wire
from medasr_service.api import realtime_session
from medasr_service.api.clients import client_of
from medasr_service.api.connection import ended
from medasr_service.api.event_stream import FAILED
from medasr_service.api.heard import Heard
from medasr_service.api.keys import SUBPROTOCOL
from medasr_service.api.realtime_items import Items, new_id
from medasr_service.api.realtime_session import TRANSCRIPTION, Json
from medasr_service.api.receipts import Receipt, receipt_of
from medasr_service.api.refusals import noted
from medasr_service.api.served import Live, Served, served_or_503
from medasr_service.errors import Draining, InvalidRequest, MedASRError, RateLimited, Unauthorized
from medasr_service.live.arrivals import Arrivals
from medasr_service.live.events import Cleared, Completed, Delta, Event, Failed, Reached
from medasr_service.live.session import Manner, Session, TurnDetection
from medasr_service.model.geometry import Waveform
from medasr_service.settings import Settings
from medasr_service.telemetry import account, metrics, traces
from medasr_service.text import formats
from medasr_service.text.transcript import UNREAD

MIB = 1 << 20
NORMAL, POLICY, BROKEN, TRY_LATER = 1000, 1008, 1011, 1013  # the WebSocket's codes
SAID_LATER = {"rate", "sample_rate", "format", "input_audio_format", "encoding"}  # never silently ignored
LARGE_BYTES = 64 << 10  # a message of more is worked on beside the event loop, not to hold up the others

# A session that must end goes on until nobody has spoken for LEAVE_QUIET_S, or nothing came for LEAVE_IDLE_S;
# for LEAVE_S at the most, and longer by the buffer where audio waits in it.
LEAVE_QUIET_S, LEAVE_IDLE_S, LEAVE_S, LEAVE_POLL_S = 0.3, 1.0, 10.0, 0.1
KEY_POLL_S = 1.0  # a key that was taken away ends what it has begun within so long

router = APIRouter()
log = logging.getLogger("bentoml.medasr")


@router.websocket("/v1/realtime")
async def realtime(websocket: WebSocket) -> None:
    """One session: refused with an ``error`` event where it cannot be, since browsers see no status."""
    account.answered_as("live")
    await websocket.accept(subprotocol=_subprotocol(websocket))
    settings: Settings = websocket.app.state.settings
    try:
        served = served_or_503(websocket.app.state)
        _check_query(websocket, served)
        client, receipt = client_of(websocket.scope), receipt_of(websocket.scope)
        await receipt.begin(is_live=True)
        with receipt.live():
            served.check_live(client)
            connection = _Connection(websocket, served, settings, receipt)
            with served.live(connection.hooks, client):
                await connection.run()
    except MedASRError as error:
        noted(error)
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
    for name in SAID_LATER & {key.lower() for key in websocket.query_params}:
        raise InvalidRequest(
            f"Unknown parameter: {name!r}. The format of the audio is said by session.update.",
            param=name,
            code="unknown_parameter",
        )
    model = websocket.query_params.get("model")
    if model and not served.serves(model):
        raise served.refusal(model, status=400)


async def _close(websocket: WebSocket, code: int, last_words: Json | None, timeout_s: float) -> None:
    """Says why, and closes; to a client that is gone, or takes nothing, it says nothing."""
    with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        async with asyncio.timeout(timeout_s):
            if last_words and websocket.application_state is WebSocketState.CONNECTED:
                await websocket.send_text(json.dumps({"event_id": new_id("event"), **last_words}))
            await websocket.close(code)


@dataclass
class _Answer:
    """What a client is told once all that it sent before is done."""

    event: Json
    config: realtime_session.Session | None = None  # that holds from there on
    told: asyncio.Event = field(default_factory=asyncio.Event)


class _Connection:
    """Reads, speaks, and holds what the client has asked for."""

    def __init__(self, websocket: WebSocket, served: Served, settings: Settings, receipt: Receipt) -> None:
        self._receipt = receipt
        self._websocket = websocket
        self._served = served
        self._settings = settings
        self._lock = asyncio.Lock()
        self._id = new_id("sess")
        self._expires_at = int(time.time() + settings.max_live_duration_s)
        self._begun = self._idle_since = time.monotonic()
        self._heard_any = self._gives_way = False
        self._receiving: asyncio.Timeout | None = None
        self._default = realtime_session.Session().updated(
            {"audio": {"input": {"transcription": {"formatting": settings.formatting}}}},
            realtime_session.Session(),
        )
        self._config = self._default
        self._pcm = self._config.audio.input.format.decoder()
        transcriber = served.transcriber
        self._manner = Manner(settings.formatting == "raw", _turns(self._config), transcriber.live_search())
        self._session = Session(
            transcriber.infer,
            transcriber.vocabulary,
            transcriber.geometry,
            settings,
            raw=self._manner.raw,
            turn_detection=self._manner.turn_detection,
            search=self._manner.search,
        )
        self._items = Items()
        self._heard, self._arrivals = Heard(), Arrivals()
        self._turn_since: float | None = None
        self._beside: set[asyncio.Task[None]] = set()

    @property
    def hooks(self) -> Live:
        return Live(self.leave, self.wait_for_model, self.give_way, self.silent_s)

    def silent_s(self) -> float:
        """For how long it is there without a sound; 0 once it has heard one."""
        return 0.0 if self._heard_any else time.monotonic() - self._begun

    def give_way(self) -> None:
        """To a session that waits, where this one has sent no sound."""
        self._gives_way = True
        if self._receiving:
            self._receiving.reschedule(0)

    async def run(self) -> None:
        """Until the client leaves, or the session must end; its work is given up then."""
        await self._say({"type": "session.created", "session": self._shown(self._config)})
        tasks = [asyncio.create_task(each) for each in (self._speak(), self._read(), self._let_in())]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._settings.max_live_duration_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                limit = f"{self._settings.max_live_duration_s:,.0f} s"
                raise InvalidRequest(f"The session is over: it may last {limit}.", code="session_expired")
            for task in done:
                await task
        except (
            InvalidRequest,
            RateLimited,
        ):  # too long, idle, its key gone or used up: what was said is transcribed still
            self._session.close()
            await asyncio.wait(tasks[:1], timeout=self._settings.send_timeout_s)
            raise
        except (WebSocketDisconnect, TimeoutError):  # gone, or takes nothing
            await _close(self._websocket, POLICY, None, 1.0)
        except Draining as error:  # what a client said behind this, it says again where it connects next
            noted(error, begun=True)
            last_words = {**wire.error(error), "audio_end_ms": round(1000 * self._session.heard_s)}
            await _close(self._websocket, TRY_LATER, last_words, self._settings.send_timeout_s)
        except MedASRError:
            raise
        except Exception as error:
            log.error("a live session failed", exc_info=error)
            noted(MedASRError(FAILED))
            failure = wire.error(MedASRError(FAILED))
            await _close(self._websocket, BROKEN, failure, self._settings.send_timeout_s)
        finally:
            tasks += self._beside
            for task in tasks:
                task.cancel()
            await ended(*tasks)
            self._heard.until(self._session.heard_s)

    async def _let_in(self) -> None:
        """For as long as its key opens. Raises Unauthorized."""
        while self._receipt.is_let_in():
            await asyncio.sleep(KEY_POLL_S)
        raise Unauthorized("The session is over: its API key is no longer let in.", code="api_key_revoked")

    def leave(self) -> None:
        """Where the service leaves, what was said is transcribed still, and no word is cut in two."""
        self._beside.add(asyncio.create_task(self._leave()))

    async def _leave(self) -> None:
        begun = time.monotonic()
        for limit_s in (LEAVE_S, LEAVE_S + self._settings.live_buffer_s):
            while time.monotonic() - begun < limit_s:
                await asyncio.sleep(LEAVE_POLL_S)  # what is on the way comes in
                silent = time.monotonic() - self._idle_since > LEAVE_IDLE_S and not self._session.is_behind
                if silent or self._session.is_at_rest(LEAVE_QUIET_S):
                    return self._session.close()
            if not self._session.is_behind:
                break
        self._session.close()

    def wait_for_model(self) -> None:
        """Where the model is gone for a moment, the speaker is told; the session goes on. An ``error`` would
        end it: clients take one for the end."""

        async def tell() -> None:
            with suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
                await self._say(wire.AWAY)

        self._beside.add(asyncio.create_task(tell()))

    async def _say(self, event: Json) -> None:
        """One at a time; raises TimeoutError where the client takes nothing: memory must not grow for it."""
        text = json.dumps({"event_id": new_id("event"), **event})  # ASCII: half a surrogate cannot be sent
        async with self._lock, asyncio.timeout(self._settings.send_timeout_s):
            await self._websocket.send_text(text)

    async def _read(self) -> None:
        """Takes messages until the client leaves; no faster than they are worked off, and answered."""
        limit = int(self._settings.live_message_mb * MIB)
        while True:
            text = await self._receive()
            try:
                if text is None:
                    raise InvalidRequest("Messages are text, not binary: send JSON.")
                if len(text) > limit:
                    raise InvalidRequest(
                        f"The message has {len(text):,} bytes; the limit is {limit:,}.",
                        code="message_too_large",
                    )
                answer = await self._take(wire.parse(text))
            except InvalidRequest as error:
                event_id = wire.event_id_of(text) if text and len(text) <= limit else None
                answer = _Answer(wire.error(error, event_id))
            if answer:
                self._session.mark(answer, self._manner if answer.config else None)
                await answer.told.wait()
            held_back = time.monotonic()
            await self._session.room()
            self._idle_since += time.monotonic() - held_back

    async def _receive(self) -> str | None:
        """The next message; None for a binary one. Only audio keeps a session that is idle."""
        idle_s = self._settings.live_idle_timeout_s
        left_s = 0.0 if self._gives_way else self._idle_since + idle_s - time.monotonic()
        try:
            async with asyncio.timeout(left_s) as self._receiving:
                message = await self._websocket.receive()
        except TimeoutError:
            why = ", and others wait" if self._gives_way else f" for {idle_s:,.0f} s"
            raise InvalidRequest(f"The session is over: no audio came{why}.", code="idle_timeout") from None
        finally:
            self._receiving = None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        text: str | None = message.get("text")
        return text

    async def _take(self, event: wire.ClientEvent) -> _Answer | None:
        """Raises InvalidRequest; the session stays as it was then."""
        match event:
            case wire.Append():
                samples = await self._samples(event)
                await self._receipt.charge(len(samples) / self._served.transcriber.geometry.sample_rate)
                self._session.append(samples)
                self._heard.received(len(samples) / self._served.transcriber.geometry.sample_rate)
                self._arrivals.came(self._session.received_s)
                if len(event.audio):
                    self._idle_since, self._heard_any = time.monotonic(), True
            case wire.Commit():
                self._session.check_commit(self._pcm.held)
                self._session.append(self._pcm.flush())
                self._session.commit()
            case wire.Clear():
                self._pcm.flush()
                self._session.clear()
            case wire.Update():
                return await self._update(event.session)
            case wire.BetaUpdate():
                try:
                    return await self._update(realtime_session.of_beta(event.session))
                except InvalidRequest as error:
                    error.param = realtime_session.in_beta(error.param)
                    raise
        return None

    async def _samples(self, event: wire.Append) -> Waveform:
        def decode() -> Waveform:
            return self._pcm.decode(event.pcm)

        return await asyncio.to_thread(decode) if len(event.audio) > LARGE_BYTES else decode()

    async def _update(self, change: Json) -> _Answer:
        config, before = self._config.updated(change, self._default), self._config.audio.input
        asked = config.audio.input.transcription
        if asked.model and not self._served.serves(asked.model):
            refusal = self._served.refusal(asked.model, status=400)
            refusal.param = f"{TRANSCRIPTION}.model"
            raise refusal
        search = self._manner.search
        how = before.transcription
        if (asked.keywords, asked.decoding) != (how.keywords, how.decoding):
            make = self._served.transcriber.live_search
            try:
                search = await asyncio.to_thread(make, asked.keywords, asked.decoding)
            except InvalidRequest as error:
                error.param = f"{TRANSCRIPTION}.{error.param}"
                raise
        if config.audio.input.format != before.format:
            self._session.append(self._pcm.flush())
            self._pcm = config.audio.input.format.decoder()
        self._config = config
        tells = realtime_session.HYPOTHESIS in config.include
        self._manner = Manner(asked.formatting == "raw", _turns(config), search, tells, asked.context)
        warned = formats.warnings(search.warnings(asked.keywords)) if search else {}
        return _Answer({"type": "session.updated", "session": self._shown(config), **warned}, config)

    def _shown(self, config: realtime_session.Session) -> Json:
        """As OpenAI shows it, with the model that is served, whatever it was called."""
        shown = config.model_dump()
        shown["audio"]["input"]["transcription"]["model"] = self._served.checkpoint.id
        return {
            "id": self._id,
            "object": "realtime.transcription_session",
            "expires_at": self._expires_at,
            **shown,
            **self._served.notice,
        }

    async def _speak(self) -> None:
        async for event in self._session.events():
            if isinstance(event, Reached):
                assert isinstance(event.note, _Answer)
                if event.note.config:
                    self._items.logprobs = realtime_session.LOGPROBS in event.note.config.include
                await self._say(event.note.event)
                event.note.told.set()
                continue
            for each in self._items.told(event):
                await self._say(each)
            self._count(event)
        raise Draining

    def _count(self, event: Event) -> None:
        """What was just said, of a turn."""
        self._heard.until(self._session.heard_s)
        if self._turn_since is None and not isinstance(event, Cleared | Completed | Failed):
            self._turn_since = time.monotonic()
        match event:
            case Delta(words=words) | Completed(words=words) if words:
                name = "delta" if isinstance(event, Delta) else "completed"
                metrics.LIVE_DELAY_SECONDS.labels(name).observe(self._arrivals.age_s(words[-1].end))
        match event:
            case Completed(words=words, duration_s=duration_s):
                traces.past("turn", self._turn_s(), audio_s=duration_s, words=len(words))
                metrics.LIVE_TURNS.labels("completed").inc()
                self._heard.marked(each.unclear for each in words if each.unclear not in ("", UNREAD))
            case Failed():
                traces.past("turn", self._turn_s(), failed=1)
                metrics.LIVE_TURNS.labels("failed").inc()
            case Cleared():
                self._turn_s()
                metrics.LIVE_TURNS.labels("cleared").inc()

    def _turn_s(self) -> float:
        """For how long the turn that ends here has been."""
        begun, self._turn_since = self._turn_since, None
        return 0.0 if begun is None else time.monotonic() - begun


def _turns(config: realtime_session.Session) -> TurnDetection | None:
    detection = config.audio.input.turn_detection
    return detection.turns() if detection else None
