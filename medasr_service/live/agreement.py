"""Which words of a growing recording are sure to stay (local agreement; Liu et al., 2020).

A word is given out once two successive decodes agree on it, it ends a while before the end of the audio, so
that the model has heard what follows it, and something follows: another word, or a pause. Where decodes come
slowly, a sure word with twice that behind it needs no second one. It is never taken back: what lies before
the boundary, in the gap behind the last word given out, is not looked at again. So no word is given out while
the last decode heard another one before it, and of a word that has grown ("11", then "11/12/2015") the rest.
"""

from collections.abc import Sequence
from dataclasses import replace

from medasr_service.text.transcript import Token, Word

SHIFT_FRAMES = 4  # two decodes hear the same word a few frames apart
REPEAT_FRAMES = 2  # behind a word, the same one cannot yet have been said again
PAUSE_FRAMES = 8  # so much blank behind the last word, and it is complete
SURE = 0.9  # probability of a word; below, it waits for twice the context


class Agreement:
    """Takes the words of each decode, in order of time; ``context_frames`` is what must follow a word."""

    def __init__(self, context_frames: int) -> None:
        self.boundary = 0.0  # frame; what comes before is given out
        self._context = context_frames
        self._skipped = 0.0  # frame; nothing before it is given out, whatever was
        self._before: list[Word] = []
        self._last: Word | None = None  # that was given out
        self._heard = float("inf")  # frame up to which the last decode heard; before the first, none is slow

    def wait_for(self, context_frames: int) -> None:
        """What must follow a word from now on."""
        self._context = context_frames

    def fresh(self, words: Sequence[Word]) -> list[Word]:
        """The words that are not given out yet: those whose middle lies behind the boundary, without the last
        one given out, should it be heard a little later now, or as the beginning of a longer one. What is
        fresh already stays so.
        """
        found: list[Word] = []
        for word in words:
            found += [rest for rest in self._rest(word) if found or _middle(rest) >= self._since(rest)]
        return found

    def push(
        self, words: Sequence[Word], end_frame: int, *, sound_frame: int = 0, forced_frame: int = 0
    ) -> list[Word]:
        """The words that are sure now, given a decode of what came up to ``end_frame``; after ``sound_frame``
        it is quiet.

        Words that end before ``forced_frame`` are given out whether two decodes agree or not.
        """
        fresh = self.fresh(words)
        count = 0
        for i, word in enumerate(fresh):
            sure = self._is_sure(word, end_frame, sound_frame, last=i + 1 == len(fresh))
            sure = sure and not self._misses(fresh[i - 1] if i else None, word)
            if not (sure or _end(word) <= forced_frame):
                break
            count += 1
        self._before, self._heard = fresh[count:], end_frame
        if count:
            self._give(fresh[:count])
        return fresh[:count]

    def finish(self) -> list[Word]:
        """What the last decode heard beyond the boundary: nothing follows that could change it."""
        rest, self._before = self._before, []
        if rest:
            self._give(rest)
        return rest

    def skip(self, frame: float) -> None:
        """Nothing before this frame will be given out."""
        self.boundary, self._skipped = max(self.boundary, frame), max(self._skipped, frame)
        self._before = self.fresh(self._before)

    @property
    def waiting(self) -> Sequence[Word]:
        """What the last decode heard and is not sure of."""
        return self._before

    def _give(self, words: Sequence[Word]) -> None:
        last, before = words[-1], words[-2] if len(words) > 1 else self._last
        if not last.space and before:  # it goes on what was given out
            last = replace(last, text=before.text + last.text, tokens=before.tokens + last.tokens)
        self._last = last
        self.boundary = _gap(last, self._before)

    def _rest(self, word: Word) -> list[Word]:
        """Without what is given out of it: all of the word, its beginning, or nothing."""
        last = self._last
        if last is None or not word.space or _start(word) >= _end(last) + REPEAT_FRAMES:
            return [word]
        if word.text.casefold() == last.text.casefold():
            return []
        count = len(last.tokens)
        if _pieces(word.tokens[:count]) != _pieces(last.tokens):
            return [word]
        tokens = word.tokens[count:]
        frame_s = (word.end - word.start) / (_end(word) - _start(word))
        start = word.start + (tokens[0].start_frame - _start(word)) * frame_s
        return [replace(word, text=word.text[len(last.text) :], start=start, tokens=tokens, space="")]

    def _since(self, word: Word) -> float:
        """Where the middle of a word may lie: a rest follows at once, before the gap behind what it goes on.

        The rest of an earlier word that begins alike lies before the last one.
        """
        return self.boundary if word.space or not self._last else max(_middle(self._last), self._skipped)

    def _misses(self, before: Word | None, word: Word) -> bool:
        """Whether the last decode heard a word between these two."""
        since = _end(before) if before else self.boundary
        between = [each for each in self._before if since <= _middle(each) < _start(word)]
        return any(not _is_same(each, word) and not (before and _is_same(each, before)) for each in between)

    def _is_sure(self, word: Word, end_frame: int, sound_frame: int, *, last: bool) -> bool:
        behind, likely, twice = end_frame - _end(word), word.probability >= SURE, 2 * self._context
        context = self._context if likely else twice
        if last:
            goes_on = sound_frame > _end(word) + PAUSE_FRAMES  # what is heard next may belong to it
            context = max(PAUSE_FRAMES, twice if goes_on else context)
        if behind < context:
            return False
        could_not_be_heard = _end(word) > self._heard
        return self._agrees(word) or (could_not_be_heard and likely and behind >= twice)

    def _agrees(self, word: Word) -> bool:
        return any(_is_same(word, before) for before in self._before)


def _is_same(word: Word, other: Word) -> bool:
    return word.text == other.text and abs(_start(word) - _start(other)) <= SHIFT_FRAMES


def _pieces(tokens: Sequence[Token]) -> list[str]:
    return [token.piece.casefold() for token in tokens]


def _middle(word: Word) -> float:
    return (_start(word) + _end(word)) / 2


def _gap(last: Word, rest: Sequence[Word]) -> float:
    """The middle of the gap behind a word, so that the next decode may hear it a few frames later."""
    following = _start(rest[0]) if rest else _end(last) + PAUSE_FRAMES
    return (_end(last) + min(following, _end(last) + PAUSE_FRAMES)) / 2


def _start(word: Word) -> int:
    return word.tokens[0].start_frame


def _end(word: Word) -> int:
    return word.tokens[-1].end_frame
