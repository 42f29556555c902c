"""One speaker: audio in, events out. Knows neither sockets nor microphones."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from medasr_service.decoding.ctc import Vocabulary
from medasr_service.errors import InvalidRequest, MedASRError
from medasr_service.live.events import (
    Cleared,
    Committed,
    Completed,
    Delta,
    Event,
    Failed,
    Hypothesis,
    Reached,
    SpeechStarted,
    SpeechStopped,
)
from medasr_service.live.hearing import Decode, Hearing
from medasr_service.live.writing import Writer
from medasr_service.model.geometry import FrameGeometry, Waveform
from medasr_service.settings import Settings
from medasr_service.text import dictation
from medasr_service.text.transcript import Word
from medasr_service.transcriber import Infer

if TYPE_CHECKING:  # flashlight-text is not there for every version of Python
    from medasr_service.decoding.beam import Search

MIN_COMMIT_S = 0.1  # OpenAI's limit
HEARD_S = 0.2  # with so much behind the last sound, a decode has heard all of it
NOISY = 2.0  # times the pause, where it is never quiet
MAX_FAILURES, RETRY_S = 3, 0.5  # of the model, in a row


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """OpenAI's server_vad: a turn begins where the model hears a piece with this posterior, and ends in a
    pause of this length; ``prefix_padding_s`` is told, nothing more: all audio is heard anyway.
    """

    threshold: float = 0.5
    prefix_padding_s: float = 0.3
    silence_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Manner:
    """How a session hears and writes: ``raw``, words as the model wrote them; without ``turn_detection`` only
    a commit ends a turn; ``search``, its keywords; with ``hypotheses`` it tells what is not yet sure, too;
    ``context`` times what the settings say must be heard behind a word.
    """

    raw: bool = False
    turn_detection: TurnDetection | None = None
    search: "Search | None" = None
    hypotheses: bool = False
    context: float = 1.0


@dataclass
class _Turn:
    number: int
    start_s: float
    words: list[Word] = field(default_factory=list)
    end_s: float = 0.0  # of the last word


class _Do(Enum):
    DECODE = auto()
    STOP = auto()  # the turn is over, and all of it has been heard
    COMMIT = auto()
    CLEAR = auto()
    MARK = auto()
    CLOSE = auto()


@dataclass(slots=True)
class _Command:
    do: _Do
    position: int  # at which it came
    note: object = None
    manner: Manner | None = None


class Session:
    """``append``, ``commit``, ``clear``, ``mark``, ``close`` from one side; ``events`` to the other.

    What is asked for is done in the order in which it was, and behind the audio that came before it.
    """

    def __init__(
        self,
        infer: Infer,
        vocabulary: Vocabulary,
        geometry: FrameGeometry,
        settings: Settings,
        *,
        raw: bool = False,
        turn_detection: TurnDetection | None = None,
        search: "Search | None" = None,
        hypotheses: bool = False,
        context: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._geometry = geometry
        self._settings = settings
        self._hearing = Hearing(infer, vocabulary, geometry, settings, clock)
        self._window = self._hearing.window
        self._writer = Writer(raw=raw)
        self._guess: str | None = ""  # the hypothesis that stands; None: one that a delta has overtaken
        self._take(Manner(raw, turn_detection, search, hypotheses, context))
        self._commands: deque[_Command] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._turn: _Turn | None = None
        self._turns = 0
        self._turn_end = 0  # position at which the last turn ended
        self._failures = 0

    def _take(self, manner: Manner) -> None:
        self._turn_detection = manner.turn_detection
        self._writer.raw = manner.raw
        self._hearing.search = manner.search
        self._hypotheses = self._hearing.is_watched = manner.hypotheses
        context_s = manner.context * self._settings.live_context_s
        self._hearing.agreement.wait_for(round(context_s / self._geometry.frame_s))

    @property
    def _received(self) -> int:
        return self._window.end + self._window.waiting

    @property
    def _committed(self) -> list[int]:
        """The positions of what ends or forgets a turn and is still to be done."""
        return [each.position for each in self._commands if each.do in (_Do.COMMIT, _Do.CLEAR)]

    def append(self, samples: Waveform) -> None:
        """Mono at 16 kHz. Does not wait: ``room`` does."""
        self._window.append(samples)
        self._wake.set()

    async def room(self) -> None:
        """Returns once less than ``live_buffer_s`` waits: who appends without asking grows the buffer."""
        while self._window.waiting > self._settings.live_buffer_s * self._geometry.sample_rate:
            self._room.clear()
            await self._room.wait()

    @property
    def received_s(self) -> float:
        """Up to where there is audio."""
        return self._hearing.seconds(self._received)

    @property
    def heard_s(self) -> float:
        """Up to where the audio is worked off."""
        return self._hearing.now_s

    @property
    def is_behind(self) -> bool:
        """Whether audio waits that was not even begun."""
        return self._window.waiting > 0

    def is_at_rest(self, quiet_s: float) -> bool:
        """Whether nobody was speaking for so long, at the end of all audio: to end here cuts no word."""
        quiet = self._hearing.now_s - self._hearing.speech_end_s >= quiet_s
        return not self.is_behind and (quiet or (self._turn is None and not self._window.fresh))

    def check_commit(self, coming: int = 0) -> None:
        """Raises InvalidRequest where there is no audio to speak of; ``coming``: samples still to come."""
        uncommitted = self._received + coming - max([self._turn_end, *self._committed])
        if (waiting_s := uncommitted / self._geometry.sample_rate) < MIN_COMMIT_S:
            raise InvalidRequest(
                f"The buffer holds {1000 * waiting_s:.0f} ms of audio; a commit needs at least "
                f"{1000 * MIN_COMMIT_S:.0f} ms.",
                code="input_audio_buffer_commit_empty",
            )

    def commit(self) -> None:
        """Ends the turn here. Raises InvalidRequest as ``check_commit``."""
        self.check_commit()
        self._command(_Do.COMMIT)

    def clear(self) -> None:
        """Forgets what was not committed."""
        committed = max([self._window.end, *self._committed])
        self._window.drop_waiting(committed - self._window.end)
        for each in self._commands:
            each.position = min(each.position, committed)
        self._command(_Do.CLEAR)

    def mark(self, note: object, manner: Manner | None = None) -> None:
        """Once all that came before is done, ``events`` gives the note, and the manner holds."""
        self._command(_Do.MARK, note, manner)

    def close(self) -> None:
        """No more audio comes: ``events`` ends behind the last of them."""
        self._command(_Do.CLOSE)

    def _command(self, do: _Do, note: object = None, manner: Manner | None = None) -> None:
        self._commands.append(_Command(do, self._received, note, manner))
        self._wake.set()

    async def events(self) -> AsyncGenerator[Event, None]:
        """All that is heard, in order, until ``close``."""
        while True:
            command = await self._next()
            todo = command.do
            if todo is _Do.MARK:
                if command.manner:
                    self._take(command.manner)
                yield Reached(command.note)
                continue
            if todo is _Do.CLEAR:
                for event in self._clear():
                    yield event
                continue
            if todo is _Do.COMMIT:
                yield Committed(self._open_turn(self._hearing.seconds(self._turn_end)).number)
            ends = todo in (_Do.COMMIT, _Do.CLOSE)
            if self._window.fresh and todo is not _Do.STOP:
                try:
                    decode = await self._hearing.decode()
                except MedASRError as error:
                    self._failures += 1
                    if ends or self._failures >= MAX_FAILURES:
                        for event in self._fail(error):
                            yield event
                        if todo is _Do.CLOSE:
                            return
                    else:
                        await asyncio.sleep(RETRY_S)
                    continue
                self._failures = 0
                for event in self._hear(decode):
                    yield event
            for event in self._end(todo):
                yield event
            for event in self._tell_guess():
                yield event
            if todo is _Do.CLOSE:
                return
            self._hearing.slide(idle=self._turn is None)

    async def _next(self) -> _Command:
        """Waits until there is something to do; meanwhile audio comes into the window."""
        while True:
            window = self._window
            # of a backlog, half a window at a time: two decodes must hear each word
            most = int(self._settings.live_window_s / 2 * self._geometry.sample_rate)
            until = self._commands[0].position if self._commands else self._received
            window.advance(min(most - window.fresh, until - window.end))
            self._room.set()
            if self._is_over():
                return _Command(_Do.STOP, window.end)
            if self._commands and window.end >= self._commands[0].position:
                return self._commands.popleft()
            if window.fresh and window.fresh >= min(self._hearing.due(), most):
                return _Command(_Do.DECODE, window.end)
            self._wake.clear()
            await self._wake.wait()

    def _is_over(self) -> bool:
        """Whether the turn ended in a pause of which the last decode heard the start, so that none is needed.

        Where it is never quiet, because of noise, the model must have heard nothing for twice as long.
        """
        if self._turn is None or self._turn_detection is None:
            return False
        heard_s, now_s = self._hearing.heard_s, self._hearing.now_s
        if heard_s - self._hearing.last_word_s >= NOISY * self._silence_s:
            return True
        end_s = self._hearing.speech_end_s
        return heard_s - end_s >= HEARD_S and now_s - end_s >= self._silence_s

    @property
    def _silence_s(self) -> float:
        """The pause that ends a turn; a turn does not end inside a marker."""
        assert self._turn_detection
        in_marker = self._writer.in_marker(self._hearing.agreement.waiting)
        return max(self._turn_detection.silence_s, dictation.MAX_MARKER_GAP_S if in_marker else 0.0)

    def _hear(self, decode: Decode) -> Iterator[Event]:
        fresh = self._hearing.agreement.fresh(decode.words)
        if not (self._turn and self._turn.end_s):  # its first word may yet be heard otherwise
            threshold = self._turn_detection.threshold if self._turn_detection else 0.0
            fresh = decode.begins(fresh, threshold)
        if self._turn is None:
            if not fresh:
                return self._hearing.skip(decode)
            yield from self._start(fresh[0])
        assert self._turn
        words = self._hearing.push(decode, fresh)
        if not words and not self._hearing.agreement.waiting and self._turn.end_s:
            self._hearing.last_word_s = self._turn.end_s
        yield from self._give(words)

    def _start(self, word: Word) -> Iterator[Event]:
        if self._turn_detection is None:
            self._open_turn(self._hearing.seconds(self._turn_end))
            return
        start_s = max(
            word.start - self._turn_detection.prefix_padding_s, self._hearing.seconds(self._turn_end)
        )
        yield SpeechStarted(self._open_turn(start_s).number, start_s)

    def _open_turn(self, start_s: float) -> _Turn:
        if self._turn is None:
            self._turn = _Turn(self._turns, start_s)
            self._turns += 1
            self._writer.mark()
        return self._turn

    def _give(self, words: Sequence[Word]) -> Iterator[Event]:
        """Words that are sure; a pause between two of them ends a turn too, where several came at once."""
        given: list[Word] = []
        for i, word in enumerate(words):
            turn = self._turn
            vad = self._turn_detection
            if turn and turn.end_s and vad and word.start - turn.end_s >= vad.silence_s:
                yield from self._write(given, words[i:])  # so that an open marker is known
                given = []
                if self._is_pause(turn.end_s, word.start):
                    yield from self._complete(turn.end_s + vad.silence_s)
            if self._turn is None:
                yield from self._start(word)
            assert self._turn
            self._turn.end_s = word.end
            given.append(word)
        yield from self._write(given)

    def _is_pause(self, start_s: float, end_s: float) -> bool:
        gap_s = end_s - start_s
        if gap_s < self._silence_s:
            return False
        return gap_s >= NOISY * self._silence_s or self._window.quiet_s(start_s, end_s) >= self._silence_s

    def _write(
        self, words: Sequence[Word], coming: Sequence[Word] = (), *, final: bool = False
    ) -> Iterator[Event]:
        turn = self._turn
        if turn is None:
            return
        coming = [*coming, *self._hearing.agreement.waiting]
        ready = self._writer.push(words, coming, final=final)
        turn.words += ready
        if ready:
            yield Delta(turn.number, tuple(ready))
            self._guess = None if self._guess != "" else ""  # some of it, or all, is given out now

    def _tell_guess(self) -> Iterator[Event]:
        """What is heard and not yet sure, where it is another than what stands."""
        if self._turn and self._hypotheses:
            guess = self._writer.preview(self._hearing.agreement.waiting)
            if guess != self._guess:
                self._guess = guess
                yield Hypothesis(self._turn.number, guess)

    def _forget_guess(self, turn: _Turn | None) -> Iterator[Event]:
        """Nothing stands beside what its turn became."""
        if turn and self._guess != "":
            yield Hypothesis(turn.number, "")
        self._guess = ""

    def _end(self, todo: _Do) -> Iterator[Event]:
        """Ends the turn where a command or a pause does."""
        if todo in (_Do.COMMIT, _Do.CLOSE):
            yield from self._give(self._hearing.agreement.finish())
            if self._turn:
                yield from self._complete(self._hearing.now_s, committed=todo is _Do.COMMIT)
            self._hearing.skip_all()
        elif todo is _Do.STOP or self._is_over():
            yield from self._give(self._hearing.agreement.finish())
            assert self._turn_detection
            if self._turn:
                silence_end_s = self._hearing.last_word_s + self._turn_detection.silence_s
                yield from self._complete(min(silence_end_s, self._hearing.now_s))

    def _complete(self, end_s: float, *, committed: bool = False) -> Iterator[Event]:
        turn = self._turn
        assert turn
        if self._turn_detection and not committed:
            yield SpeechStopped(turn.number, end_s)
        if not committed:
            yield Committed(turn.number)
        yield from self._write([], final=True)
        yield from self._forget_guess(turn)
        yield Completed(turn.number, tuple(turn.words), end_s - turn.start_s)
        self._turn = None
        self._turn_end = round(end_s * self._geometry.sample_rate)

    def _fail(self, error: MedASRError) -> Iterator[Event]:
        """What the model could not hear is given up: the buffer must not grow while it is away.

        What it was sure of, and might have been the start of a marker, is of this turn.
        """
        turn = self._open_turn(self._hearing.seconds(self._turn_end))
        yield from self._write([], final=True)
        yield from self._forget_guess(turn)
        self._drop_turn()
        yield Failed(turn.number, error)

    def _clear(self) -> Iterator[Event]:
        turn = self._turn
        yield from self._forget_guess(turn)
        self._writer.forget()
        self._drop_turn()
        yield Cleared(turn.number if turn else self._turns)

    def _drop_turn(self) -> None:
        self._turn = None
        self._failures = 0
        self._window.mark_heard()
        self._turn_end = self._window.end
        self._hearing.skip_all()
        self._hearing.slide(idle=True)
