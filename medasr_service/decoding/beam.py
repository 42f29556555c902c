"""CTC beam search with a language model over pieces: flashlight-text's LexiconFreeDecoder and KenLM.

A hypothesis scores ``sum(log p(frame)) + lm_weight * ln P(pieces) + word_score * pieces``, all in natural
logarithms, as alpha and beta of pyctcdecode are; KenLM's own scores are log10. In the language model a piece
is written with ``#`` for the mark of a word's start, as in MedASR's notebook: ``▁the`` is ``#the``.

Three things keep the search honest:

- **What is never text is none for the language model.** The blank and the sentence marks are one, as likely
  as the likeliest of them: so is silence in greedy decoding.
- **Where there is no doubt, nothing is changed.** A language model prefers what it has read about, be it the
  wrong side of the body. So a piece that has a posterior of ``sure_posterior`` stays. And numbers are the
  acoustic model's alone, unless ``lm_numbers``: a digit that greedy decoding writes stays, and none comes in.
- **Nothing hangs on where the audio was cut into windows.** The frames are decoded in phrases. A phrase ends
  where the blank has been sure for ``PAUSE_FRAMES`` or, in speech without a pause, at its surest blank:
  places that the frames alone decide. Each phrase is decoded once, so that the cost is linear; its context
  are the last pieces of the one before, which are decoded again, as frames without doubt.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medasr_service.decoding import ctc, rewarded
from medasr_service.decoding.ctc import WORD_START, Vocabulary
from medasr_service.decoding.keywords import Keywords
from medasr_service.decoding.weights import chosen
from medasr_service.model.geometry import Emission
from medasr_service.settings import Settings
from medasr_service.text.transcript import Token, Warned

if TYPE_CHECKING:  # without a language model nothing of it is needed: it is not there for every Python
    from flashlight.lib.text.decoder import LM

LN_10 = math.log(10)
NEVER = -1e4  # a log-posterior that no hypothesis survives
CONTEXT_PIECES = 5  # a 6-gram looks back at five, and KenLM is built for 6 at most
PAUSE_FRAMES = 12  # 0.48 s: with 0.24 s, 4 % more word errors in noise
SURE = math.log(0.98)
MAX_PHRASE_FRAMES = 375  # 15 s
_NUMBER = re.compile(r"\d|^[%/.:-]+$")


@dataclass(frozen=True, slots=True)
class Weights:
    """The parameters of the search, under torchaudio's names; scores in natural logarithms.

    ``keyword_score``: of a letter of a keyword, see medasr_service/decoding/keywords.py.
    """

    beam_size: int
    beam_size_token: int
    beam_threshold: float
    lm_weight: float
    word_score: float
    lm_numbers: bool = False
    sure_posterior: float = 1.0
    keyword_score: float = 1.0

    @classmethod
    def of(cls, settings: Settings, *, demo: bool) -> "Weights":
        """What the settings say, and where they say nothing, what belongs to the model."""
        return cls(**chosen(settings, [field.name for field in fields(cls)], demo=demo))


class BeamDecoder:
    """A vocabulary, a language model, keywords, and their weights; holds nothing of any recording."""

    def __init__(
        self, vocabulary: Vocabulary, lm: "LM | None", weights: Weights, keywords: Sequence[str] = ()
    ) -> None:
        self.vocabulary = vocabulary
        self.has_lm = lm is not None
        self.keywords = tuple(keywords)  # of every recording
        self._weights = weights
        self._skip_lead = weights.beam_threshold + max(0.0, weights.word_score)
        self._lm = lm
        self._sure = math.log(weights.sure_posterior)
        self._silent = sorted(vocabulary.silent)
        self._numbers = np.array([bool(_NUMBER.search(p.strip(WORD_START))) for p in vocabulary.pieces])

    def decode(self, emission: Emission, *, start_frame: int = 0) -> list[Token]:
        """All tokens of a whole recording: as ``ctc.greedy``, with a language model."""
        return self.search(start_frame=start_frame).push(emission, final=True)

    def search(self, *, use_lm: bool = True, keywords: Sequence[str] = (), start_frame: int = 0) -> "Search":
        """Starts on a recording. Raises InvalidRequest where keywords are wrong, or none can be written."""
        terms = self._terms([*self.keywords, *keywords]) if keywords else self._configured
        terms.check(keywords or self.keywords)
        return Search(self, use_lm=use_lm and self.has_lm, keywords=terms, start_frame=start_frame)

    @cached_property
    def _configured(self) -> Keywords:
        return self._terms(self.keywords)

    def _terms(self, terms: Sequence[str]) -> Keywords:
        return Keywords(terms, self.vocabulary, self._weights.keyword_score)

    def fold(self, emission: Emission) -> Emission:
        """The posteriors with all that is silent as the blank."""
        folded = np.ascontiguousarray(emission, np.float32).copy()
        silence = folded[:, self._silent].max(axis=1)
        folded[:, self._silent] = NEVER
        folded[:, self.vocabulary.blank] = silence
        return folded

    def beyond_doubt(self, emission: Emission, folded: Emission) -> NDArray[np.bool_]:
        """Where keywords change nothing: a part of a number, or a piece that is surely heard."""
        sure = (folded.max(axis=1) >= self._sure) & (folded.argmax(axis=1) != self.vocabulary.blank)
        found: NDArray[np.bool_] = sure | self._numbers[emission.argmax(axis=1)]
        return found

    def best_path(self, folded: Emission, context: Sequence[int]) -> tuple[NDArray[np.int64], float]:
        """The piece of each frame, and the score, of the best hypothesis after the ``context``."""
        blank = self.vocabulary.blank
        before = np.full((2 * len(context), folded.shape[1]), NEVER, np.float32)
        before[np.arange(len(before)), [i for piece in context for i in (piece, blank)]] = 0
        kept = self._kept(folded)
        frames = np.ascontiguousarray(np.concatenate((before, self._pinned(folded[kept]))), np.float32)
        pieces, score = self._rewarded(frames) if self._weights.word_score else self._plain(frames)
        path = np.full(len(folded), blank)
        path[kept] = pieces[len(before) :]
        return path, score

    def _plain(self, frames: Emission) -> tuple[Sequence[int], float]:
        from flashlight.lib.text.decoder import (
            CriterionType,
            LexiconFreeDecoder,
            LexiconFreeDecoderOptions,
            ZeroLM,
        )

        blank, weights = self.vocabulary.blank, self._weights
        options = LexiconFreeDecoderOptions(
            beam_size=weights.beam_size,
            beam_size_token=min(weights.beam_size_token, len(self.vocabulary.pieces)),
            beam_threshold=weights.beam_threshold,
            lm_weight=weights.lm_weight * LN_10,
            sil_score=0.0,
            log_add=True,
            criterion_type=CriterionType.CTC,
        )
        decoder = LexiconFreeDecoder(options, self._lm or ZeroLM(), blank, blank, [])
        decoder.decode_begin()
        decoder.decode_step(frames.ctypes.data, *frames.shape)
        best = decoder.get_best_hypothesis(0)  # no decode_end: a recording may end anywhere in a sentence
        return best.tokens[1:], best.score

    def _rewarded(self, frames: Emission) -> tuple[Sequence[int], float]:
        from flashlight.lib.text.decoder import ZeroLM

        weights = self._weights
        return rewarded.best_path(
            frames,
            self._lm or ZeroLM(),
            self.vocabulary.blank,
            beam_size=weights.beam_size,
            beam_size_token=weights.beam_size_token,
            beam_threshold=weights.beam_threshold,
            lm_weight=weights.lm_weight * LN_10,
            piece_score=weights.word_score,
        )

    def _pinned(self, folded: Emission) -> Emission:
        """The posteriors with the numbers, and what is beyond doubt, out of the language model's reach."""
        best = folded.argmax(axis=1)
        stays = (folded.max(axis=1) >= self._sure) & (best != self.vocabulary.blank)
        if not self._weights.lm_numbers:
            folded[:, self._numbers] = NEVER
            stays |= self._numbers[best]
        rows = np.flatnonzero(stays)
        folded[rows] = NEVER
        folded[rows, best[rows]] = 0
        return folded

    def _kept(self, folded: Emission) -> NDArray[np.int64]:
        """The frames to decode: of a run where the blank leads by more than the beam is wide, the first.
        No other piece can survive there, and a second blank changes nothing."""
        blank = self.vocabulary.blank
        others = np.delete(folded, blank, axis=1).max(axis=1)
        sure = folded[:, blank] - others > self._skip_lead
        return np.flatnonzero(~(sure & np.append(False, sure[:-1])))


class Search:
    """One recording, piece by piece: the tokens are the same however it is cut."""

    def __init__(
        self, decoder: BeamDecoder, *, use_lm: bool, keywords: Keywords, start_frame: int = 0
    ) -> None:
        self._decoder = decoder
        self._use_lm = use_lm
        self._keywords = keywords
        self._held: Emission = np.empty((0, len(decoder.vocabulary.pieces)), np.float32)
        self._context: list[int] = []
        self.settled_until = start_frame  # no token that is still to come starts before this frame

    def warnings(self, keywords: Sequence[str]) -> tuple[Warned, ...]:
        """About these of its keywords."""
        return self._keywords.warnings(keywords)

    def anew(self, start_frame: int, after: Sequence[int] = ()) -> "Search":
        """A search of other frames in the same way; ``after``: the pieces that come before them."""
        made = Search(self._decoder, use_lm=self._use_lm, keywords=self._keywords, start_frame=start_frame)
        made._context = list(after)[-CONTEXT_PIECES:]
        return made

    def push(self, emission: Emission, *, final: bool = False) -> list[Token]:
        """The tokens that are settled once these frames are known too."""
        self._held = np.concatenate((self._held, emission))
        folded = self._decoder.fold(self._held)
        silence = folded[:, self._decoder.vocabulary.blank]
        tokens: list[Token] = []
        at = 0
        while end := phrase(silence[at:], final=final):
            rows, is_last = slice(at, at + end), final and at + end == len(folded)
            used, found = self._decode(self._held[rows], folded[rows], is_last=is_last)
            tokens += found
            at += used
        self._held = self._held[at:]
        return tokens

    def _decode(self, emission: Emission, folded: Emission, *, is_last: bool) -> tuple[int, list[Token]]:
        """How many frames of the phrase are settled, and their tokens."""
        blank = self._decoder.vocabulary.blank
        if (folded[:, blank] >= SURE).all():
            path = np.full(len(folded), blank)
        elif self._use_lm:
            path, _ = self._decoder.best_path(folded, self._context)
        else:
            path = folded.argmax(axis=1)
        if self._keywords:
            path = self._keywords.put(path, folded, self._decoder.beyond_doubt(emission, folded))
        last = int(np.flatnonzero(np.diff(path, prepend=-1))[-1])
        if path[-1] != blank and last > len(path) // 2 and not is_last:
            path = path[:last]  # cut in the middle of a piece, which belongs to the next phrase
        tokens = ctc.collapse(path, emission, self._decoder.vocabulary, start_frame=self.settled_until)
        self._context = [*self._context, *(token.id for token in tokens)][-CONTEXT_PIECES:]
        self.settled_until += len(path)
        return len(path), tokens


def phrase(silence: NDArray[np.float32], *, final: bool) -> int:
    """The frames of the phrase that begins here, 0 while it cannot be told. silence: log-posteriors."""
    ahead = silence[:MAX_PHRASE_FRAMES]
    sure = np.concatenate(([0], np.cumsum(ahead >= SURE)))
    paused = np.flatnonzero(sure[PAUSE_FRAMES:] - sure[:-PAUSE_FRAMES] == PAUSE_FRAMES)
    if len(paused):
        return int(paused[0]) + PAUSE_FRAMES
    if len(ahead) < MAX_PHRASE_FRAMES:
        return len(ahead) if final else 0
    later = ahead[MAX_PHRASE_FRAMES // 2 :]
    return MAX_PHRASE_FRAMES // 2 + int(later.argmax()) + 1
