"""What everything downstream of the decoder speaks: tokens, words, segments, a transcript."""

from dataclasses import dataclass
from typing import Literal

WORD_START = "▁"  # SentencePiece's mark for "a word begins here"
UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Token:
    """One emitted piece after the CTC collapse.

    ``start_frame`` (inclusive) and ``end_frame`` (exclusive) count frames from the start of the audio;
    ``logprob`` is the natural logarithm of the piece's highest posterior in those frames.
    """

    id: int
    piece: str
    start_frame: int
    end_frame: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What else the model considered for a word; ``probability``: its share of all that it considered."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Word:
    """A word exactly as the model wrote it; ``start`` and ``end`` in seconds, ``start < end``.

    ``probability`` is that of its least certain piece, for a word is as sure as its weakest part; as measured
    on recordings whose text is known, where the checkpoint has been. ``written`` is
    its share of the text of its segment, with the white space before it ("." for "{period}"); of words that
    were written as one, such as "[EXAM" and "TYPE]", all of it is with the first. Joined, the shares of all
    words are the text. ``space`` is the white space before it in what the model wrote. ``unclear``: "doubt"
    or "placeholder" where it is a marker of that kind, and so doubtful whatever its probability; UNREAD of
    what nobody said: a notice of sound that could not be read (losses.py).
    """

    text: str
    start: float
    end: float
    probability: float
    tokens: tuple[Token, ...]
    written: str = ""
    space: str = " "
    unclear: str = ""
    alternatives: tuple[Reading, ...] = ()  # where they were asked for


@dataclass(frozen=True, slots=True)
class Unclear:
    """What a reader must fill in: a doubt (``[unintelligible]``) or a placeholder (``[PatientName]``), as it
    is written; ``start`` and ``end`` in seconds."""

    kind: Literal["doubt", "placeholder"]
    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of words between two pauses.

    ``text`` is formatted and starts with the white space that parts it from the segment before, so that
    the texts of all segments, joined, are the text of the transcript; ``raw_text`` likewise.
    ``no_speech_prob`` is the lowest posterior of the blank in the segment: near 0 as soon as one frame
    is surely speech.
    """

    id: int
    start: float
    end: float
    text: str
    raw_text: str
    words: tuple[Word, ...]
    avg_logprob: float
    no_speech_prob: float
    unclear: tuple[Unclear, ...] = ()


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that whoever reads the transcript should know: ``code`` for programs, ``message`` for people.

    Neither holds a word of what was said.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A part of the recording that could not be read; in seconds, ``seconds`` 0 where nobody knows."""

    start: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """The transcript of one recording; ``duration`` in seconds, ``gain`` as applied before the model.

    ``lost`` is what could not be read of it; the text goes over that without a word.
    """

    text: str
    raw_text: str
    segments: tuple[Segment, ...]
    duration: float
    gain: float
    language: str = "en"
    warnings: tuple[Warned, ...] = ()
    lost: tuple[Lost, ...] = ()

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def unclear(self) -> tuple[Unclear, ...]:
        return tuple(each for segment in self.segments for each in segment.unclear)
