"""What the reader of a transcript is warned of, from what stands in it."""

from collections.abc import Iterable, Sequence

from medasr_service.text.transcript import Segment, Warned

# Of 55 conversations that the published weights wrote, each has at least 0.8 doubts in 100 words, 3 in the
# mean; their output for dictation has none. Three, because one mumbled word is no conversation.
LEAST_DOUBTS, WORDS_PER_DOUBT = 3, 125
CONVERSATION = "sounds_like_conversation"


def of_segments(segments: Sequence[Segment]) -> tuple[Warned, ...]:
    words = sum(len(segment.words) for segment in segments)
    return of(words, (each.kind for segment in segments for each in segment.unclear))


def of(words: int, kinds: Iterable[str]) -> tuple[Warned, ...]:
    """``words``: how many there are; ``kinds``: of the markers among them."""
    doubts = sum(kind == "doubt" for kind in kinds)
    if doubts < LEAST_DOUBTS or doubts * WORDS_PER_DOUBT < words:
        return ()
    message = (
        f"The model could not understand {doubts:,} places in {words:,} words. This sounds like a"
        " conversation, or like a bad recording; the model is made for one person who dictates into a good"
        " microphone."
    )
    return (Warned(CONVERSATION, message),)
