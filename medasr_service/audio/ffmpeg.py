"""Sound through FFmpeg (PyAV), which is only ever told the one container that the first bytes show.

Left to guess, it would also open playlists, which name other files and hosts.
"""

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

import numpy as np

from medasr_service.audio import limits
from medasr_service.audio.limits import Block, Check
from medasr_service.errors import InvalidAudio, UnsupportedAudio


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
            planar = av.AudioResampler(format="fltp")
            decoded, held = 0, 0
            blocks: list[Block] = []  # a packet is a few milliseconds: what follows works on longer pieces
            for out in chain.from_iterable(map(planar.resample, source.decode(track))):
                block = out.to_ndarray().T.astype(np.float32, copy=False)
                check(out.sample_rate, block.shape[1], 0.0)
                if out.sample_rate != rate:
                    raise InvalidAudio("The sample rate changes in the middle of the recording.")
                decoded += len(block)
                held += block.size
                blocks.append(block)
                if held >= limits.BLOCK_VALUES:
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
