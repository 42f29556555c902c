"""What whoever reads the transcript should know of the recording: pairs of a code and a sentence."""

from collections.abc import Iterator

from medasr_service.audio.pieces import Span
from medasr_service.audio.stream import AudioInfo

TOLD = 10  # losses one by one
GAP_S = 0.5  # encoders that send nothing in pauses leave shorter ones


def of(info: AudioInfo) -> Iterator[tuple[str, str]]:
    for loss in info.losses[:TOLD]:
        yield "damaged_audio", f"The recording is damaged at {_clock(loss.start)}: {_how_much(loss)} read."
    if rest := info.losses[TOLD:]:
        seconds = sum(loss.seconds for loss in rest)
        yield "damaged_audio", f"{len(rest):,} more places, {seconds:,.1f} s in all, could not be read."
    if gaps := [gap for gap in info.gaps if gap.seconds >= GAP_S]:
        yield "gaps", _of_gaps(gaps)
    if info.channel is not None:
        yield (
            "channels_cancel",
            "The channels cancel each other out, as where one is inverted: "
            f"channel {info.channel + 1}, the loudest, was heard alone.",
        )
    if info.track:
        yield "other_track", f"Track {info.track + 1} of the sound was heard: those before it are silent."


def _how_much(loss: Span) -> str:
    return f"{loss.seconds:,.1f} s could not be" if loss.seconds >= 0.05 else "a part could not be"


def _of_gaps(gaps: list[Span]) -> str:
    seconds = sum(gap.seconds for gap in gaps)
    where = f"at {_clock(gaps[0].start)}" if len(gaps) == 1 else f"the first at {_clock(gaps[0].start)}"
    what = "a gap" if len(gaps) == 1 else f"{len(gaps):,} gaps"
    return (
        f"By its times the recording has {what} of {seconds:,.1f} s ({where}), as where it was paused or"
        " packets were lost: silence here. What was said meanwhile is not in the file."
    )


def _clock(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes}:{seconds - 60 * minutes:04.1f}" if minutes else f"{seconds:.1f} s"
