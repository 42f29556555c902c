"""What a recording may ask for at the most."""

from collections.abc import Callable
from typing import TypeAlias

from medasr_service.errors import AudioTooLong, InvalidAudio

MIN_RATE, MAX_RATE = 4_000, 384_000
COMMON_RATE = 48_000  # at which the longest recording may have all its channels
BLOCK_VALUES = 1 << 17  # samples x channels decoded at a time: 0.5 MB

Check: TypeAlias = Callable[[int, int, float], None]
"""Refuses a sample rate, a number of channels, or a duration in seconds (InvalidAudio, AudioTooLong)."""


def limits(max_duration_s: float, max_channels: int) -> Check:
    def check(rate: int, channels: int, duration_s: float) -> None:
        if not 1 <= channels <= max_channels:
            raise InvalidAudio(f"The recording has {channels} channels; the limit is {max_channels}.")
        if not MIN_RATE <= rate <= MAX_RATE:
            raise InvalidAudio(
                f"The recording has {rate:,} samples per second; {MIN_RATE:,} to {MAX_RATE:,} are taken."
            )
        check_duration(duration_s, max_duration_s)
        if rate * channels * duration_s > COMMON_RATE * max_channels * max_duration_s:
            limit_s = COMMON_RATE * max_channels * max_duration_s / rate / channels
            raise AudioTooLong(
                f"The recording has {rate:,} samples per second in {channels} channels; of such, the limit "
                f"is {limit_s:,.1f} s."
            )

    return check


def check_duration(duration_s: float, limit_s: float) -> None:
    if duration_s > limit_s:
        raise AudioTooLong(f"The recording is longer than {limit_s:,.0f} s, the limit of this service.")
