"""What a process serves, and who may use it now."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.datastructures import State

from medasr_service.api.pace import Pace
from medasr_service.api.places import Place, Places
from medasr_service.errors import Draining, ModelNotFound, NotReady
from medasr_service.model.checkpoint import DEMO_NOTICE, Checkpoint
from medasr_service.telemetry import metrics
from medasr_service.transcriber import Transcriber

SILENT_S = 10.0  # a live session that has sent no sound for so long gives way to one that waits


def _nothing() -> None: ...


@dataclass(frozen=True, eq=False)
class Live:
    """What a live session is told; and for how long it has sent no sound at all, 0 once it has."""

    leave: Callable[[], None]
    wait_for_model: Callable[[], None] = _nothing
    give_way: Callable[[], None] = _nothing
    silent_s: Callable[[], float] = float

    def yields(self) -> float | None:
        silent_s = self.silent_s()
        return silent_s if silent_s >= SILENT_S else None


@dataclass
class Served:
    """The model behind the routes; ``engine`` is empty until the model has really run.

    ``aliases``: names that it answers to besides its own, for clients that cannot be told another.
    ``client_share``: of the places for transcriptions and for live sessions, what one client alone may hold.
    A service that is ``draining`` finishes what is under way, and admits nothing new.
    """

    checkpoint: Checkpoint
    transcriber: Transcriber
    max_concurrent_requests: int
    engine: str = ""
    created: int = field(default_factory=lambda: int(time.time()))
    max_live_streams: int = 16
    aliases: tuple[str, ...] = ()
    client_share: float = 1.0
    draining: bool = False
    lost: bool = False  # the model, for now: its process ended, or hung
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _live: list[Live] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._places = Places(
            "transcriptions",
            self.max_concurrent_requests,
            self.client_share,
            metrics.TRANSCRIPTIONS.set,
        )
        self._live_places = Places(
            "live sessions", self.max_live_streams, self.client_share, metrics.LIVE_SESSIONS.set
        )
        metrics.TRANSCRIPTIONS_LIMIT.set(self.max_concurrent_requests)
        metrics.LIVE_SESSIONS_LIMIT.set(self.max_live_streams)
        metrics.DRAINING.set(0)
        metrics.MODEL_READY.set(0)

    @property
    def _active(self) -> int:
        return len(self._places)

    @property
    def ready(self) -> bool:
        return bool(self.engine) and not self.draining

    @property
    def status(self) -> str:
        if self.draining:
            return "draining"
        return "healthy" if self.ready else "restarting" if self.lost else "starting"

    def come(self, engine: str) -> None:
        """The model has run, as this engine."""
        self.engine, self.lost = engine, False
        metrics.MODEL_READY.set(self.ready)
        found = self.checkpoint
        metrics.MODEL_INFO.labels(found.id, found.revision, engine, str(found.demo).lower()).set(1)

    def lose(self) -> None:
        """Until it comes again: new work is refused, what is under way waits."""
        self.engine, self.lost = "", True
        metrics.MODEL_READY.set(0)
        for session in self._live:
            session.wait_for_model()

    async def drain(self) -> None:
        """Admits nothing from now on, ends live sessions, and waits until nothing is under way."""
        self.draining = True
        metrics.DRAINING.set(1)
        metrics.MODEL_READY.set(0)
        for session in self._live:
            session.leave()
        while self._active or self._live:
            self._idle.clear()
            await self._idle.wait()

    def serves(self, model: str) -> bool:
        """Asked for one model, the service never answers with another."""
        return model in (self.checkpoint.id, *self.checkpoint.aliases, *self.aliases)

    def refusal(self, model: str, *, status: int = 404) -> ModelNotFound:
        return ModelNotFound(
            f"The model {model[:100]!r} is not served here; {self.checkpoint.id!r} is.",
            param="model",
            status=status,
        )

    @property
    def notice(self) -> dict[str, object]:
        """What every surface says of a demo model; nothing for any other."""
        return {"demo": True, "notice": DEMO_NOTICE} if self.checkpoint.demo else {}

    @property
    def card(self) -> dict[str, object]:
        """The model as /v1/models shows it, under its own name."""
        return {
            "id": self.checkpoint.id,
            "object": "model",
            "created": self.created,
            "owned_by": self.checkpoint.id.split("/")[0] if "/" in self.checkpoint.id else "medasr-service",
            "revision": self.checkpoint.revision,
            **self.notice,
        }

    def card_of(self, name: str) -> dict[str, object]:
        """The card under a name that is served; raises ModelNotFound for any other."""
        if not self.serves(name):
            raise self.refusal(name)
        own = self.checkpoint.id
        return self.card if name == own else {**self.card, "id": name, "alias_of": own}

    @property
    def cards(self) -> list[dict[str, object]]:
        """One for each name that the settings give: the model's own first."""
        return [self.card_of(name) for name in dict.fromkeys((self.checkpoint.id, *self.aliases))]

    @contextmanager
    def admitted(self, client: str = "", pace: Pace | None = None) -> Iterator[None]:
        """Counts a transcription in and out; raises Busy at the limit, Draining where the service leaves.

        At the limit, an upload that is slow gives its place.
        """
        if self.draining:
            raise Draining

        def yields() -> float | None:
            return -pace.received if pace and pace.slow else None

        try:
            with self._places.taken(Place(client, yields, pace.revoke if pace else _nothing)):
                yield
        finally:
            self._idle.set()

    def check_live(self, client: str = "") -> None:
        """Raises Busy where a live session would find no place: to make one costs more than to refuse it."""
        self._live_places.check(client)

    @contextmanager
    def live(self, session: Live, client: str = "") -> Iterator[None]:
        """Counts a live session in and out; raises Busy at the limit, Draining where the service leaves.

        At the limit, a session that has sent no sound gives its place.
        """
        if self.draining:
            raise Draining
        with self._live_places.taken(Place(client, session.yields, session.give_way)):
            self._live.append(session)
            try:
                yield
            finally:
                self._live.remove(session)
                self._idle.set()


def served_or_503(state: State) -> Served:
    """Raises NotReady until the model has really run, and Draining where the service leaves."""
    served: Served | None = state.served
    if served is not None and served.draining:
        raise Draining
    if served is not None and served.lost:
        raise NotReady("The model is being started again. Try again.", reason="model_lost")
    if served is None or not served.ready:
        raise NotReady("The model is still loading.")
    return served
