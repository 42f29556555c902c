"""Sound through libsndfile: WAV in its common codings, FLAC, OGG with one track of Vorbis or Opus."""

from collections.abc import Iterator
from typing import BinaryIO

import soundfile

from medasr_service.audio import limits
from medasr_service.audio.limits import Check
from medasr_service.audio.pieces import Flaw, Piece

UNKNOWN = 1 << 62  # frames; libsndfile's word for a length that nobody knows is above


class Undecodable(Exception):
    """libsndfile does not know the coding, or cannot end the file."""


class Broken(Exception):
    """libsndfile gave up behind so many samples."""

    def __init__(self, decoded: int, promised_s: float) -> None:
        super().__init__(decoded)
        self.decoded, self.promised_s = decoded, promised_s


def decode(file: BinaryIO, formats: tuple[str, ...], check: Check) -> Iterator[Piece]:
    """``formats``: libsndfile's names, of which the file must be one.

    Raises Undecodable before the first piece, Broken behind any.
    """
    file.seek(0)
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError):
        raise Undecodable from None
    with sound:
        if sound.format not in formats or sound.frames >= UNKNOWN:
            raise Undecodable
        rate, promised = sound.samplerate, sound.frames
        check(rate, sound.channels, promised / rate)
        decoded = 0
        size = max(1, limits.BLOCK_VALUES // sound.channels)
        while True:
            try:
                block = sound.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                raise Broken(decoded, max(0, promised - decoded) / rate) from None
            if not len(block):
                break
            decoded += len(block)
            check(rate, sound.channels, decoded / rate)
            yield block, rate
        if decoded < promised:
            yield Flaw((promised - decoded) / rate, f"the file announces {promised / rate:,.1f} s")
