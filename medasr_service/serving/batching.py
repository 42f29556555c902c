"""How BentoML's adaptive batching waits for company: not at all.

Its dispatcher learns from bursts how long a call waits for others, and then holds each single call back for
that long; windows of a long file come one by one, and each would wait in vain. Batches form all the same:
what comes while a batch runs is the next one.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from bentoml._internal.marshal.dispatcher import CorkDispatcher, Job, Optimizer

from medasr_service.telemetry import traces

_spans: ContextVar[Sequence[Any]] = ContextVar("spans", default=())


def spans() -> Sequence[Any]:
    """Those in which the calls of this batch came, where they are traced."""
    return _spans.get()


class Prompt(Optimizer):
    """Learns how long batches take, as before, and holds nothing back."""

    def trigger_refresh(self) -> None:
        super().trigger_refresh()
        self.wait = 0


class Traced(CorkDispatcher[Any, Any]):
    """BentoML's, which runs a batch outside of all the calls that are in it; says there whose they are."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._whose: dict[int, Any] = {}  # by the identity of what a call brought, which lives as long

    async def inbound_call(self, data: Any) -> Any:
        if (span := traces.here()) is None:
            return await super().inbound_call(data)
        self._whose[id(data)] = span
        try:
            return await super().inbound_call(data)
        finally:
            del self._whose[id(data)]

    async def outbound_call(self, inputs_info: tuple[Job[Any, Any], ...], training: bool = False) -> None:
        """In a task of its own: nothing else sees what is set here."""
        found = (self._whose.get(id(each.data)) for each in inputs_info)
        _spans.set([each for each in found if each is not None])
        await super().outbound_call(inputs_info, training)
