"""What is known of a request, or a live session, when it is over: for metrics, logs, audit and bills.

Lengths, counts, times and words of ours; nothing that was said, sent or written by the client.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter

from medasr_service.telemetry import traces

NOBODY = "-"  # where no key is needed, or none was right
NO_FORMAT = "none"
OK = "ok"
LIVE = "WS"  # in the place of a method


@dataclass(eq=False)
class Account:
    """``code``: OK, or that of the error; ``reason``: why it was refused, where it was; ``key``: its name.

    ``stages``: seconds by name, all windows together. ``upload_bytes`` and ``audio_s`` are what came,
    ``transcribed_s`` what the model has heard of it.
    """

    route: str
    method: str = ""
    request_id: str = ""
    trace_id: str = ""
    address: str = ""
    key: str = NOBODY
    format: str = NO_FORMAT
    status: int = 0
    code: str = OK
    reason: str | None = None
    upload_bytes: int = 0
    audio_s: float = 0.0
    transcribed_s: float = 0.0
    first_byte_s: float | None = None
    whole_s: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    audit_id: str = ""  # of its line there

    @property
    def is_live(self) -> bool:
        return self.method == LIVE

    def fail(self, code: str, reason: str | None = None, status: int | None = None) -> None:
        """``status`` where it had no answer that has one."""
        self.code, self.reason, self.status = code, reason, status or self.status

    def add(self, stage: str, seconds: float) -> None:
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds


_current: ContextVar[Account | None] = ContextVar("account", default=None)


def current() -> Account | None:
    """That of the request that is being answered; None outside of any, as on the command line."""
    return _current.get()


def answered_as(answer: str) -> None:
    """The format of the answer, and whether it is streamed: one of those that there are."""
    if found := _current.get():
        found.format = answer


@contextmanager
def opened(account: Account) -> Iterator[Account]:
    """What is done meanwhile, and whatever tasks are started, counts for it."""
    before = _current.set(account)
    try:
        yield account
    finally:
        _current.reset(before)


def spent(stage: str, seconds: float) -> None:
    """As ``stage``, where it was measured already."""
    if found := _current.get():
        found.add(stage, seconds)
        traces.past(stage, seconds)


@contextmanager
def stage(name: str, *, traced: bool = True, **attributes: float) -> Iterator[None]:
    """What is done inside counts as this stage of the request, if there is one; as a span, it has numbers."""
    account = _current.get()
    if account is None:
        yield
        return
    started = perf_counter()
    try:
        if not traced:
            yield
            return
        with traces.span(name, **attributes):
            yield
    finally:
        account.add(name, perf_counter() - started)
