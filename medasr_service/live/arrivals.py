"""When the sound of a live session came: how late its text is, is counted from there."""

import time
from collections import deque
from collections.abc import Callable

KEPT = 4096  # pieces: a minute and more, of the shortest that clients send


class Arrivals:
    """Times in seconds since the session's first sample, as its events have them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pieces: deque[tuple[float, float]] = deque(maxlen=KEPT)  # up to where, and when

    def came(self, until_s: float) -> None:
        """The sound up to here is there; what lay behind it was forgotten (``Session.clear``)."""
        while self._pieces and self._pieces[-1][0] >= until_s:
            self._pieces.pop()
        self._pieces.append((until_s, self._clock()))

    def age_s(self, at_s: float) -> float:
        """How long ago the sound at this time came; asked for one that lies ever later."""
        while len(self._pieces) > 1 and self._pieces[0][0] < at_s:
            self._pieces.popleft()
        return self._clock() - self._pieces[0][1] if self._pieces else 0.0
