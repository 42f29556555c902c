"""Which words of a growing recording are sure to stay (local agreement; Liu et al., 2020).

A word is given out once two successive decodes agree on it, it ends a while before the end of the audio, so
that the model has heard what follows it, and something follows: another word, or a pause. It is never taken
back: what lies before the boundary, in the gap behind the last word given out, is not looked at again.
"""

from collections.abc import Sequence

from medasr_service.transcript import Word

SHIFT_FRAMES = 4  # two decodes hear the same word a few frames apart
PAUSE_FRAMES = 8  # so much blank behind the last word, and it is complete
SURE = 0.9  # probability of a word; below, it waits for twice the context


class Agreement:
    """Takes the words of each decode, in order of time; ``context_frames`` is what must follow a word."""

    def __init__(self, context_frames: int) -> None:
        self.boundary = 0.0  # frame; what comes before is given out
        self._context = context_frames
        self._before: list[Word] = []

    def fresh(self, words: Sequence[Word]) -> list[Word]:
        """The words that are not given out yet: those whose middle lies behind the boundary."""
        return [word for word in words if (_start(word) + _end(word)) / 2 >= self.boundary]

    def push(self, words: Sequence[Word], end_frame: int, *, forced_frame: int = 0) -> list[Word]:
        """The words that are sure now, given a decode that heard up to ``end_frame``.

        Words that end before ``forced_frame`` are given out whether two decodes agree or not.
        """
        fresh = self.fresh(words)
        count = 0
        for i, word in enumerate(fresh):
            following = _start(fresh[i + 1]) if i + 1 < len(fresh) else None
            if not (_end(word) <= forced_frame or self._is_sure(word, following, end_frame)):
                break
            count += 1
        self._before = fresh[count:]
        if count:
            self.boundary = _gap(fresh[count - 1], self._before)
        return fresh[:count]

    def finish(self) -> list[Word]:
        """What the last decode heard beyond the boundary: nothing follows that could change it."""
        rest, self._before = self._before, []
        if rest:
            self.boundary = _gap(rest[-1], [])
        return rest

    def skip(self, frame: float) -> None:
        """Nothing before this frame will be given out."""
        self.boundary = max(self.boundary, frame)
        self._before = self.fresh(self._before)

    @property
    def waiting(self) -> Sequence[Word]:
        """What the last decode heard and is not sure of."""
        return self._before

    def _is_sure(self, word: Word, following: int | None, end_frame: int) -> bool:
        context = self._context if word.probability >= SURE else 2 * self._context
        if _end(word) + context > end_frame:
            return False
        if following is None and end_frame - _end(word) < max(context, PAUSE_FRAMES):
            return False
        return any(
            word.text == before.text and abs(_start(word) - _start(before)) <= SHIFT_FRAMES
            for before in self._before
        )


def _gap(last: Word, rest: Sequence[Word]) -> float:
    """The middle of the gap behind a word, so that the next decode may hear it a few frames later."""
    following = _start(rest[0]) if rest else _end(last) + PAUSE_FRAMES
    return (_end(last) + min(following, _end(last) + PAUSE_FRAMES)) / 2


def _start(word: Word) -> int:
    return word.tokens[0].start_frame


def _end(word: Word) -> int:
    return word.tokens[-1].end_frame
