"""Sound through libsndfile: WAV, FLAC, OGG with one track of Vorbis or Opus."""

from collections.abc import Iterator
from typing import BinaryIO

import soundfile

from medasr_service.audio import ffmpeg, limits, mp3
from medasr_service.audio.limits import Block, Check
from medasr_service.errors import UnsupportedAudio

NOT_AUDIO = "The file is not audio in a known format (WAV, FLAC, OGG, Opus, MP3, M4A, AAC, MP4, WebM)."


def decode(file: BinaryIO, check: Check) -> Iterator[tuple[Block, int]]:
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError):
        raise UnsupportedAudio(NOT_AUDIO) from None
    with sound:
        if sound.format not in ("WAV", "WAVEX", "FLAC", "OGG", "MP3"):  # cut off, others pass for whole
            raise UnsupportedAudio(NOT_AUDIO)
        # libsndfile stops an MP3 where it guesses its end, and cannot end a FLAC of unknown length
        if sound.format == "MP3" or (sound.format == "FLAC" and sound.frames >= 1 << 62):
            file.seek(0)
            announced = sound.format == "MP3" and mp3.announced_frames(file) > 0
            yield from ffmpeg.decode(file, sound.format.lower(), check, announced=announced)
            return
        promised = sound.frames if 0 < sound.frames < 1 << 62 else 0  # 0: the header does not know
        check(sound.samplerate, sound.channels, promised / sound.samplerate)
        decoded = 0
        size = max(1, limits.BLOCK_VALUES // sound.channels)
        while True:
            try:
                block = sound.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                raise limits.truncated(decoded, sound.samplerate) from None
            if not len(block):
                break
            decoded += len(block)
            check(sound.samplerate, sound.channels, decoded / sound.samplerate)
            yield block, sound.samplerate
        if decoded < promised:
            raise limits.truncated(decoded, sound.samplerate)
