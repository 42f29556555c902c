"""Where a part of the recording could not be read, in the text itself: ``[2.1 s could not be read]``."""

from collections.abc import Sequence
from dataclasses import replace

from medasr_service.text.transcript import UNREAD, Lost, Segment, Transcript, Word

LEAST_S = 0.05  # of a length that is worth telling
EDGE_S = 0.1  # what is heard so early in what is missing is of the sound before it, a frame or two late


def mark(lost: Lost) -> str:
    if lost.seconds < LEAST_S:
        return "[a part could not be read]"
    return f"[{lost.seconds:,.1f} s could not be read]"


def marked(transcript: Transcript) -> Transcript:
    """The same, with a mark as a word of its own at each place; for what people read, not for programs."""
    if not transcript.lost:
        return transcript
    segments = list(transcript.segments) or [Segment(0, 0.0, transcript.duration, "", "", (), 0.0, 0.0)]
    for lost in reversed(transcript.lost):  # each goes before what is there already
        at = max(
            (i for i, each in enumerate(segments) if each.start <= lost.start or each.start < _behind(lost)),
            default=0,
        )
        words = _with(segments[at].words, lost, begins=at == 0)
        segments[at] = replace(segments[at], words=words, text="".join(word.written for word in words))
    text = "".join(segment.text for segment in segments)
    return replace(transcript, segments=tuple(segments), text=text)


def _behind(lost: Lost) -> float:
    """From when on a word cannot be of the sound before the place."""
    return lost.start + min(EDGE_S, lost.seconds / 2)


def _with(words: Sequence[Word], lost: Lost, *, begins: bool) -> tuple[Word, ...]:
    """The mark goes before the first word that begins behind the place; ``begins``: these begin the text."""
    at = next((i for i, word in enumerate(words) if word.start >= _behind(lost)), len(words))
    while at < len(words) and not words[at].written:  # of a heading that was written as one
        at += 1
    written = mark(lost) if at == 0 and begins else f" {mark(lost)}"
    word = Word(
        mark(lost), lost.start, lost.start + max(lost.seconds, 0.01), 1.0, (), written, unclear=UNREAD
    )
    following = list(words[at:])
    if at == 0 and following and not following[0].written[:1].isspace():
        following[0] = replace(following[0], written=f" {following[0].written}")
    return (*words[:at], word, *following)
