"""The audio that a live session still needs: a window that slides, and what waits to come into it."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from medasr_service.audio.level import Loudness
from medasr_service.model.geometry import FrameGeometry, Waveform

QUIET = 0.03  # of the loudest frame (-30 dB): below, nothing is said
ABOVE_NOISE, NOISE = 3.0, 0.2  # nor below three times the noise, where that is far from the loudest
SILENT = 1e-4  # of full scale (-80 dBFS): below, there is no microphone
MEMORY_S = 30.0  # the loudest frame counts half so long ago
NOW_S, KNOCK_S = 2.0, 0.4  # the level is what the last seconds reach for so long: a knock or a door does not
LOUDEST = 8.0  # the loudest frame of speech is below so many times its level; on the bundled ones, 6.9


class Window:
    """Positions count samples since the start of the session; the window starts on a frame."""

    def __init__(self, geometry: FrameGeometry) -> None:
        self._geometry = geometry
        self._waiting: deque[Waveform] = deque()
        self.waiting = 0  # samples
        self.start_frame = 0
        self.audio: Waveform = np.empty(0, np.float32)
        self.heard = 0  # position up to which the model has heard
        self._loudest = 0.0
        self._levels: NDArray[np.float64] = np.empty(0)  # of each frame of the window
        self.loudness = Loudness(0.0, 0.0)  # of the speech, whatever knocks and clicks there are beside it

    @property
    def end(self) -> int:
        return self.start_frame * self._geometry.frame_samples + len(self.audio)

    @property
    def fresh(self) -> int:
        """Samples in the window that the model has not heard."""
        return self.end - self.heard

    def append(self, samples: Waveform) -> None:
        if len(samples):
            self._waiting.append(samples)
            self.waiting += len(samples)

    def drop_waiting(self, keep: int) -> None:
        """Forgets all that waits but the first ``keep`` samples."""
        while self.waiting > keep:
            last = self._waiting.pop()
            self.waiting -= len(last)
            if self.waiting < keep:
                self.append(last[: keep - self.waiting])

    def advance(self, limit: int) -> None:
        """Takes what waits into the window, so many samples at most."""
        taken: list[Waveform] = []
        while self._waiting and limit > 0:
            piece = self._waiting.popleft()
            if len(piece) > limit:
                self._waiting.appendleft(piece[limit:])
                piece = piece[:limit]
            limit -= len(piece)
            self.waiting -= len(piece)
            taken.append(piece)
        if taken:
            self.audio = np.concatenate((self.audio, *taken))
            self._measure()

    def _measure(self) -> None:
        """The level of what came, frame by frame; a rest shorter than a frame waits for more."""
        size = self._geometry.frame_samples
        done = len(self._levels) * size
        frames = (len(self.audio) - done) // size
        if frames <= 0:
            return
        blocks = self.audio[done : done + frames * size].reshape(frames, size)
        levels = np.sqrt(np.square(blocks, dtype=np.float64).mean(axis=1))
        decay = 0.5 ** (frames * size / self._geometry.sample_rate / MEMORY_S)
        self._loudest = max(self._loudest * decay, float(levels.max()))
        self._levels = np.concatenate((self._levels, levels))
        peak = max(self.loudness.peak * decay, float(np.abs(blocks).max()))
        self.loudness = Loudness(peak, max(self.loudness.level * decay, self._level_now()))

    def _level_now(self) -> float:
        """What the last seconds reach for longer than a knock lasts, or a door."""
        now, knock = (round(s / self._geometry.frame_s) for s in (NOW_S, KNOCK_S))
        latest = self._levels[-now:]
        reached = min(knock, len(latest))
        return float(np.partition(latest, -reached)[-reached])

    def _loud(self) -> NDArray[np.bool_]:
        """Of each frame, whether something is said, by the level alone."""
        if not len(self._levels):
            return np.empty(0, bool)
        loudest = min(self._loudest, LOUDEST * self.loudness.level)
        noise = min(ABOVE_NOISE * float(np.quantile(self._levels, 0.1)), NOISE * loudest)
        return self._levels >= max(SILENT, QUIET * loudest, noise)

    @property
    def last_loud_s(self) -> float:
        """The end of the last frame in which something is said; the window's start where there is none."""
        loud = np.flatnonzero(self._loud())
        return self._frame_s(self.start_frame + (int(loud[-1]) + 1 if len(loud) else 0))

    def quiet_s(self, start_s: float, end_s: float) -> float:
        """The longest time between these two in which nothing is said."""
        first, last = (round(s / self._geometry.frame_s) - self.start_frame for s in (start_s, end_s))
        inside = self._loud()[max(0, first) : max(0, last)]
        edges = np.flatnonzero(np.concatenate(([True], inside, [True])))
        return self._frame_s(int(np.diff(edges).max()) - 1)

    @property
    def is_silent(self) -> bool:
        """Whether the microphone has been off since ``heard``."""
        fresh = self._levels[self.heard // self._geometry.frame_samples - self.start_frame :]
        return bool((fresh < SILENT).all())

    def mark_heard(self) -> None:
        self.heard = self.end

    def slide(self, start_frame: int) -> None:
        """Forgets what lies before the frame."""
        frames = start_frame - self.start_frame
        if frames > 0:
            self.audio = self.audio[frames * self._geometry.frame_samples :].copy()
            self._levels = self._levels[frames:]
            self.start_frame = start_frame

    def _frame_s(self, frame: int) -> float:
        return frame * self._geometry.frame_s
