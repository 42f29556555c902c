"""Whose sound it is, and what becomes of each job: charged once and told once, whatever is done again."""

import time
from typing import Protocol

from medasr_service.audio.reader import in_thread
from medasr_service.jobs.record import Asked, Ending, Inspected
from medasr_service.jobs.store import WORK, Store
from medasr_service.telemetry.account import OK

CANCELLED = "cancelled"


class Ledger(Protocol):
    """Whose sound it is. A key is charged once, when its job begins; one that fails is given it back."""

    async def charge(self, key: str | None, audio_s: float) -> None:
        """Raises RateLimited, AudioTooLong: then nothing was charged."""
        ...

    async def give_back(self, key: str | None, audio_s: float) -> None: ...

    def ended(self, asked: Asked, outcome: str, audio_s: float) -> None:
        """``outcome``: OK, or a code; of ``audio_s`` nothing was charged where it failed."""
        ...


class Books:
    """What is written down of a job counts: ``info``, that it is charged; ``ending``, how it ends, which who
    was first has said. A process that goes on with the end of one that died says the same line again.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._told: dict[str, float] = {}  # by this process, and when

    async def charge(self, place: str, asked: Asked, found: Inspected) -> None:
        """Raises what the ledger raises, and what the store does: then nothing was charged."""
        kept = False

        def keep() -> None:
            nonlocal kept
            self._store.write(place, "info", found.written())
            kept = True

        await self._ledger.charge(asked.key, found.info.duration)
        try:
            await in_thread(keep)
        except BaseException:
            if not kept:
                await self._ledger.give_back(asked.key, found.info.duration)
            raise

    async def close(self, place: str, asked: Asked, outcome: str) -> str:
        """How it ends, which may have been said before, at ``CANCELLED`` by its client; its sound goes."""
        ending = await self._ending(place)
        if ending is None:
            ending = await self._decide(place, outcome)
        if ending.outcome == CANCELLED:
            return CANCELLED
        charged_s = await self._charged_s(place)
        await in_thread(self._store.remove, place, *WORK)  # first: who does this again gives nothing back
        if ending.outcome != OK:
            await self._ledger.give_back(asked.key, charged_s)
        self._tell(place, asked, ending)
        return ending.outcome

    async def cancel(self, place: str) -> None:
        """Unless it has ended before, or is no more."""
        if await self._ending(place) is None and (kept := await in_thread(self._store.load, place, "record")):
            ending = await self._decide(place, CANCELLED)
            self._tell(place, Asked.model_validate_json(kept), ending)

    def swept(self, before_s: float) -> None:
        self._told = {place: told_s for place, told_s in self._told.items() if told_s >= before_s}

    def _tell(self, place: str, asked: Asked, ending: Ending) -> None:
        if place not in self._told:
            self._told[place] = time.time()
            self._ledger.ended(asked, ending.outcome, ending.audio_s)

    async def _decide(self, place: str, outcome: str) -> Ending:
        ending = Ending(outcome=outcome, audio_s=await self._charged_s(place))
        await in_thread(self._store.write, place, "ending", ending.written())
        return ending

    async def _ending(self, place: str) -> Ending | None:
        kept = await in_thread(self._store.load, place, "ending")
        return Ending.model_validate_json(kept) if kept else None

    async def _charged_s(self, place: str) -> float:
        info = await in_thread(self._store.load, place, "info")
        return Inspected.model_validate_json(info).info.duration if info else 0.0
