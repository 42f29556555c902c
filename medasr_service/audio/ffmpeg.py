"""Sound through FFmpeg (PyAV), which is only ever told the one container that the first bytes show.

Left to guess, it would also open playlists, which name other files and hosts.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from medasr_service.audio import limits
from medasr_service.audio.limits import Block, Check
from medasr_service.errors import InvalidAudio, UnsupportedAudio

MAX_PLANES = 7  # beyond, PyAV reads planes that are not there, and the process ends


def decode(file: BinaryIO, container: str, check: Check, *, announced: bool) -> Iterator[tuple[Block, int]]:
    """``announced``: the container knows its length; without, FFmpeg would guess."""
    import av  # only here: 15 MB of libraries that WAV, FLAC and OGG do without

    try:
        with av.open(file, mode="r", format=container, metadata_errors="ignore") as source:
            if not source.streams.audio:
                raise InvalidAudio("The file has no audio track.")
            track = source.streams.audio[0]
            if track.codec_context is None:
                raise UnsupportedAudio(f"The sound in this {container} file is in an unknown coding.")
            rate = track.codec_context.sample_rate
            promised_s, slack_s = 0.0, 1.0  # containers count in packets, and round
            if track.duration and track.time_base and announced:
                promised_s = float(track.duration * track.time_base)
            elif container == "matroska" and source.duration:
                promised_s = source.duration / av.time_base
                slack_s = max(1.0, 0.02 * promised_s)  # FFmpeg's own estimate, where it wrote into a pipe
            check(rate, track.codec_context.channels, promised_s)
            to_float, channels = av.AudioResampler(format="fltp"), 0
            decoded, held = 0, 0
            blocks: list[Block] = []  # a packet is a few milliseconds: what follows works on longer pieces
            for frame in source.decode(track):
                if frame.sample_rate != rate:
                    raise InvalidAudio("The sample rate changes in the middle of the recording.")
                # each frame has its own: the header, and what came before, may say otherwise
                if frame.layout.nb_channels != channels:
                    if blocks:
                        yield np.concatenate(blocks), rate
                    channels = frame.layout.nb_channels
                    check(rate, channels, decoded / rate)
                    to_float = av.AudioResampler(format="fltp" if channels <= MAX_PLANES else "flt")
                    blocks, held = [], 0
                for out in to_float.resample(frame):
                    values = out.to_ndarray().astype(np.float32, copy=False)
                    block = values.T if channels <= MAX_PLANES else values.reshape(-1, channels)
                    decoded += len(block)
                    held += block.size
                    blocks.append(block)
                if held >= limits.BLOCK_VALUES:
                    check(rate, channels, decoded / rate)
                    yield np.concatenate(blocks), rate
                    blocks, held = [], 0
            if blocks:
                yield np.concatenate(blocks), rate
            if decoded / rate < promised_s - slack_s:
                raise limits.truncated(decoded, rate)
    except av.FFmpegError:
        raise UnsupportedAudio(
            f"The file looks like {container}, but it is damaged, incomplete or in an unknown coding."
        ) from None
