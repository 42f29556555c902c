"""What a live session tells: times in seconds since its first sample, turns counted from 0."""

from dataclasses import dataclass
from typing import TypeAlias

from medasr_service.errors import MedASRError
from medasr_service.text.transcript import Word


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    turn: int
    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    turn: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Delta:
    """Text that is never taken back; each word with its share in ``written``."""

    turn: int
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return "".join(word.written for word in self.words)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What is heard behind the deltas and not sure: it stands until the next event of its turn, or the next
    of these."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The audio of the turn is complete; its last words may be to come."""

    turn: int


@dataclass(frozen=True, slots=True)
class Completed:
    """The deltas of the turn, joined, are its text."""

    turn: int
    words: tuple[Word, ...]
    duration_s: float

    @property
    def text(self) -> str:
        return "".join(word.written for word in self.words)


@dataclass(frozen=True, slots=True)
class Failed:
    """What was said since the last delta of the turn is lost; the session goes on."""

    turn: int
    error: MedASRError


@dataclass(frozen=True, slots=True)
class Cleared:
    turn: int


@dataclass(frozen=True, slots=True)
class Reached:
    """All that came before ``Session.mark`` is done."""

    note: object


Event: TypeAlias = (
    SpeechStarted | SpeechStopped | Delta | Hypothesis | Committed | Completed | Failed | Cleared | Reached
)
