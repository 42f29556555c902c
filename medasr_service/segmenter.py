"""Emissions to segments.

ctc.greedy | beam -> ctc.words -> dictation.parse -> segments.cut -> dictation.attribute -> boundaries.refine
-> Segment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from medasr_service.decoding import alternatives, ctc
from medasr_service.decoding.confidence import Confidence
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.model.geometry import Emission, FrameGeometry
from medasr_service.text import boundaries, dictation, segments
from medasr_service.text.boundaries import Levels
from medasr_service.text.transcript import Segment, Token, Word

if TYPE_CHECKING:  # flashlight-text is not there for every version of Python
    from medasr_service.decoding.beam import Search

T = TypeVar("T")


class Segmenter:
    """Emissions of one recording to its segments; holds the frames since the last segment's end, and no more.

    ``duration``: of the recording, in seconds; ``search``: None where it is decoded greedily; ``raw``: words
    are written as the model wrote them; ``alternatives``: how many other readings each word has.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        geometry: FrameGeometry,
        duration: float,
        search: "Search | None",
        confidence: Confidence,
        *,
        raw: bool,
        alternatives: int = 0,
    ) -> None:
        self._alternatives = alternatives
        self._confidence = confidence
        self._search = search
        self._found: list[Token] = []  # by the search, since the last segment's end
        self._vocabulary = vocabulary
        self._geometry = geometry
        self._duration = duration
        self._latest_s = max(0.0, duration - geometry.frame_s)  # for a word to start
        self._raw = raw
        self._tail: Emission | None = None
        self._tail_start = 0  # frame of the tail's first row
        self._levels: Levels | None = None  # from a little before the tail
        self._before: Word | None = None  # the last word of the segment before, with the times of its peaks
        self._cursor = dictation.Cursor()
        self._last: dictation.Item | None = None  # of the segment before
        self._segments = 0

    def push(self, emission: Emission, levels: Levels, *, final: bool = False) -> list[Segment]:
        """The segments that are complete once these frames, and their loudness, are known too."""
        self._tail = emission if self._tail is None else np.concatenate((self._tail, emission))
        self._levels = levels if self._levels is None else self._levels.then(levels)
        tokens, known_until = self._tokens(emission, final=final)
        items = dictation.parse(ctc.words(tokens, self._geometry), self._last)
        known_until_s = self._geometry.seconds(known_until)
        pauses_s = [self._pause_s(a.words[-1], b.words[0]) for a, b in pairwise(items)]
        complete = segments.cut(items, pauses_s, known_until_s=known_until_s, final=final)
        following = [items[end].words[0] if end < len(items) else None for end in _ends(complete)]
        ready = [self._segment(*each) for each in zip(complete, following, strict=True)]
        if complete:
            self._drop(complete[-1][-1].words[-1].tokens[-1].end_frame)
        elif not items:
            self._drop(self._white_space(tokens, known_until))
        return ready

    def _tokens(self, emission: Emission, *, final: bool) -> tuple[list[Token], int]:
        """The tokens since the last segment's end, and the frame before which no other will start."""
        assert self._tail is not None
        if self._search is None:
            tokens = ctc.greedy(self._tail, self._vocabulary, start_frame=self._tail_start)
            return tokens, self._tail_start + len(self._tail)
        self._found += self._search.push(emission, final=final)
        return self._found, self._search.settled_until

    def _pause_s(self, left: Word, right: Word) -> float:
        """What is heard between two neighbours; 0 where it is too short to matter."""
        assert self._levels is not None
        if right.start - left.end < segments.SHORT_PAUSE_S:
            return 0.0
        return boundaries.silence_s(left, right, self._levels)

    def _white_space(self, tokens: Sequence[Token], known_until: int) -> int:
        """Where a bare "▁" begins, which is of the next word; not kept for ever where none comes."""
        longest = round(segments.MAX_SEGMENT_S / self._geometry.frame_s)
        return max(tokens[0].start_frame, known_until - longest) if tokens else known_until

    def _drop(self, until_frame: int) -> None:
        assert self._tail is not None
        self._found = [token for token in self._found if token.start_frame >= until_frame]
        self._tail = self._tail[until_frame - self._tail_start :]
        self._tail_start = until_frame
        assert self._levels is not None
        self._levels = self._levels.since(until_frame * self._geometry.frame_s - boundaries.HELD_S)

    def _segment(self, items: Sequence[dictation.Item], after: Word | None) -> Segment:
        assert self._tail is not None
        assert self._levels is not None
        words, self._cursor = dictation.attribute(items, self._cursor)
        self._last = items[-1]
        raw = [word.space * (self._segments > 0 or i > 0) + word.text for i, word in enumerate(words)]
        if self._raw:
            words = tuple(replace(word, written=text) for word, text in zip(words, raw, strict=True))
        words = self._with_alternatives(words)
        before, self._before = self._before, words[-1]
        words = tuple(
            replace(
                word,
                start=min(word.start, self._latest_s),
                end=min(word.end, self._duration),
                probability=self._confidence.probability(word.probability),
            )
            for word in boundaries.refine(words, self._levels, before=before, after=after)
        )
        tokens = [token for word in words for token in word.tokens]
        rows = slice(tokens[0].start_frame - self._tail_start, tokens[-1].end_frame - self._tail_start)
        segment = Segment(
            id=self._segments,
            start=words[0].start,
            end=words[-1].end,
            text="".join(word.written for word in words),
            raw_text="".join(raw),
            words=words,
            avg_logprob=float(np.mean([token.logprob for token in tokens])),
            no_speech_prob=float(np.exp(self._tail[rows, self._vocabulary.blank].min())),
            unclear=dictation.unclear(items, words),
        )
        self._segments += 1
        return segment

    def _with_alternatives(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """Each with what else its frames may say: from the word before it to the word behind it."""
        if not self._alternatives:
            return words
        assert self._tail is not None
        starts = [word.tokens[0].start_frame for word in words]
        ends = [word.tokens[-1].end_frame for word in words]
        found = []
        for word, begin, end in zip(words, [starts[0], *ends[:-1]], [*starts[1:], ends[-1]], strict=True):
            rows = self._tail[begin - self._tail_start : end - self._tail_start]
            begins = word.tokens[0].piece.startswith(ctc.WORD_START)
            others = alternatives.readings(
                rows, self._vocabulary, written=word.text, begins=begins, count=self._alternatives
            )
            found.append(replace(word, alternatives=others))
        return tuple(found)


def _ends(parts: Iterable[Sequence[T]]) -> list[int]:
    """The position behind each part in what they are the parts of."""
    return list(accumulate(map(len, parts)))
