"""What the model hears in the window, and when it is to hear it again."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medasr_service.audio.level import limited
from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.live.agreement import Agreement
from medasr_service.live.window import Window
from medasr_service.model.geometry import Emission, FrameGeometry
from medasr_service.settings import Settings
from medasr_service.text.transcript import Word
from medasr_service.transcriber import Infer

if TYPE_CHECKING:  # flashlight-text is not there for every version of Python
    from medasr_service.decoding.beam import Search

QUIET_STEP_S = 1.5  # between decodes while nothing seems to be said
PAUSE_S = 0.1  # between two decodes at the least
WATCHED_STEP_S = 0.2  # between those of a session that tells what is not yet sure, on an idle machine
WATCHED_SHARE = 1.5  # times what a decode takes, so that the model keeps a third of its time for others
TAIL_S = 0.3  # behind the last sound, a decode is due
UNHEARD_S = 1.5  # of speech from which the model may yet make a word
IDLE_AFTER_S, IDLE_CONTEXT_S = 2.0, 1.0  # so long after the last word, so much is kept
MOST_SHED = 2.0  # the left context is divided by, where a decode takes so many steps, or more
EDGE_FRAMES = 2  # at the end of the audio the model hears things

Posteriors: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Decode:
    """The words of a window, which starts at a frame, and the posterior of speech in each of its frames."""

    words: list[Word]
    start_frame: int
    speech: Posteriors

    @property
    def end_frame(self) -> int:
        return self.start_frame + len(self.speech)

    def begins(self, fresh: list[Word], threshold: float) -> list[Word]:
        """The words from the first on that is speech: sure enough, and not at the very edge."""
        for i, word in enumerate(fresh):
            start, end = (frame - self.start_frame for frame in _frames(word))
            if self.speech[start:end].max() >= threshold and start < len(self.speech) - EDGE_FRAMES:
                return fresh[i:]
        return []


class Hearing:
    """Decodes the window again and again, and slides it."""

    def __init__(
        self,
        infer: Infer,
        vocabulary: Vocabulary,
        geometry: FrameGeometry,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.window = Window(geometry)
        self.agreement = Agreement(round(settings.live_context_s / geometry.frame_s))
        self.geometry = geometry
        self.last_word_s = -IDLE_AFTER_S  # end of the last word heard, sure or not
        self.search: Search | None = None  # for keywords
        self.is_watched = False  # what is heard is told before it is sure
        self._infer = infer
        self._vocabulary = vocabulary
        self._settings = settings
        self._clock = clock
        self._infer_s = 0.0  # how long a decode takes now

    def seconds(self, position: int) -> float:
        return position / self.geometry.sample_rate

    @property
    def heard_s(self) -> float:
        return self.seconds(self.window.heard)

    @property
    def now_s(self) -> float:
        return self.seconds(self.window.end)

    @property
    def speech_end_s(self) -> float:
        """Where the last word ends, or the last sound: a word is only heard when most of it is said."""
        return max(self.last_word_s, self.window.last_loud_s)

    def due(self) -> int:
        """How many samples must be new for a decode: fewer at the end of a word, more on a busy machine."""
        step_s = self._settings.live_step_s
        if self.is_watched:
            step_s = min(step_s, max(WATCHED_STEP_S, WATCHED_SHARE * self._infer_s))
        step_s = max(step_s, self._infer_s)
        heard_s, end_s = self.heard_s, self.speech_end_s
        if self.now_s - end_s > PAUSE_S:
            if heard_s < end_s + TAIL_S:
                step_s = end_s + TAIL_S - heard_s
            elif not self.agreement.waiting:
                step_s = max(step_s, QUIET_STEP_S)
        return int(max(step_s, self._infer_s, PAUSE_S) * self.geometry.sample_rate)

    async def decode(self) -> Decode:
        """Hears all of the window; a microphone that is off needs no model."""
        window = self.window
        if window.is_silent and not self.agreement.waiting:
            window.mark_heard()
            frames = self.geometry.frames(len(window.audio))
            return Decode([], window.start_frame, np.zeros(frames, np.float32))
        gain = 1.0
        if self._settings.normalize:
            gain = window.loudness.gain(max_gain=self._settings.max_gain)
        started, audio = self._clock(), limited(window.audio * np.float32(gain)) if gain > 1 else window.audio
        [emission] = await self._infer([audio])
        window.mark_heard()
        words = await self._words(emission, window.start_frame)
        self._infer_s = 0.5 * self._infer_s + 0.5 * (self._clock() - started)
        speech = 1 - np.exp(emission[:, sorted(self._vocabulary.silent)]).sum(axis=1)
        return Decode(words, window.start_frame, speech)

    async def _words(self, emission: Emission, start_frame: int) -> list[Word]:
        """A search begins where no word is given out yet: behind the last that is, nothing is said twice."""
        words = ctc.words(ctc.greedy(emission, self._vocabulary, start_frame=start_frame), self.geometry)
        if self.search is None:
            return words
        given = words[: len(words) - len(self.agreement.fresh(words))]
        begin = _frames(given[-1])[1] if given else start_frame
        search = self.search.anew(begin, [token.id for word in given for token in word.tokens])
        found = await asyncio.to_thread(search.push, emission[begin - start_frame :], final=True)
        return [*given, *ctc.words(found, self.geometry)]

    def push(self, decode: Decode, fresh: Sequence[Word]) -> list[Word]:
        """Those of the words that are sure now; none is kept longer than the window."""
        if fresh:
            self.last_word_s = fresh[-1].end
        else:
            self.skip(decode)
        late = decode.end_frame - int(self._settings.live_window_s / self.geometry.frame_s)
        sound = round(self.window.last_loud_s / self.geometry.frame_s)
        return self.agreement.push(fresh, decode.end_frame, sound_frame=sound, forced_frame=late)

    def skip(self, decode: Decode) -> None:
        """Nothing was heard: what is too old to make a word yet is done."""
        self.agreement.skip(decode.end_frame - UNHEARD_S / self.geometry.frame_s)

    def skip_all(self) -> None:
        self.agreement.skip(self.window.end / self.geometry.frame_samples)

    def slide(self, *, idle: bool) -> None:
        """Keeps the context of what is still to be heard: of silence less, and on a busy machine less."""
        idle = idle and self.now_s - self.last_word_s > IDLE_AFTER_S
        steps = min(max(1.0, self._infer_s / self._settings.live_step_s), MOST_SHED)
        keep_s = self._settings.live_left_context_s / steps
        keep_s = min(IDLE_CONTEXT_S, keep_s) if idle else keep_s
        self.window.slide(int(self.agreement.boundary - keep_s / self.geometry.frame_s))


def _frames(word: Word) -> tuple[int, int]:
    return word.tokens[0].start_frame, word.tokens[-1].end_frame
