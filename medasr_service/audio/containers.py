"""Which container the first bytes show, and the library that decodes it.

libsndfile decodes WAV, FLAC and OGG; FFmpeg decodes MP3, MP4/M4A, WebM/Matroska, raw AAC, FLAC of unknown
length, and OGG with several streams or other codings than Vorbis and Opus.
"""

from collections.abc import Iterator
from typing import BinaryIO, cast

from medasr_service.audio import ffmpeg, limits, mp3, mp4, ogg, sndfile, wav
from medasr_service.audio.guard import guarded
from medasr_service.audio.limits import Block, Check
from medasr_service.audio.sndfile import NOT_AUDIO
from medasr_service.errors import EmptyAudio, InvalidAudio, TruncatedAudio, UnsupportedAudio

_FFMPEG_CONTAINERS: tuple[tuple[int, bytes, str], ...] = (  # offset, magic bytes, FFmpeg's name
    (4, b"ftyp", "mp4"),
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
)


@guarded
def decode(file: BinaryIO, *, max_duration_s: float, max_channels: int) -> Iterator[tuple[Block, int]]:
    """Blocks with their sample rate, from the start of the file."""
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    if not head:
        raise EmptyAudio("The file is empty.")
    container = next((name for at, magic, name in _FFMPEG_CONTAINERS if head[at:].startswith(magic)), None)
    check = limits.limits(max_duration_s, max_channels)
    if container is not None:
        if container == "mp4":
            _check_mp4(file)
        yield from ffmpeg.decode(file, container, check, announced=container != "aac")
    elif head[:4] == ogg.CAPTURE:
        yield from _decode_ogg(file, check)
    elif head[:4] in wav.BYTE_ORDERS:
        wav.check(file, wav.BYTE_ORDERS[head[:4]])
        yield from sndfile.decode(file, check)
    elif _is_flac_or_mp3(file):
        yield from sndfile.decode(file, check)
    else:  # libsndfile would walk through the chunks of many other formats
        raise UnsupportedAudio(NOT_AUDIO)


def _check_mp4(file: BinaryIO) -> None:
    try:
        mp4.check(file)
    except mp4.Excessive as flaw:
        raise InvalidAudio(f"The file {flaw}, more than a recording can have.") from None


def _decode_ogg(file: BinaryIO, check: Check) -> Iterator[tuple[Block, int]]:
    """Each of the joined recordings: both libraries would stop where the first ends."""
    try:
        links = ogg.survey(file)
    except ogg.Damaged as flaw:
        raise TruncatedAudio(f"The recording is damaged or cut off: the OGG file {flaw}.") from None
    parts = [cast(BinaryIO, ogg.Part(file, link.start, link.end)) for link in links]
    # libsndfile knows one track of Vorbis or Opus, and takes Opus without an end mark for damaged
    plain = all(
        link.tracks == 1 and link.has_end_mark and _is_vorbis_or_opus(part)
        for link, part in zip(links, parts, strict=True)
    )
    first_rate = 0
    for part in parts:
        blocks = sndfile.decode(part, check) if plain else ffmpeg.decode(part, "ogg", check, announced=False)
        for block, rate in blocks:
            first_rate = first_rate or rate
            if rate != first_rate:
                raise InvalidAudio("The sample rate changes in the middle of the recording.")
            yield block, rate


def _is_vorbis_or_opus(part: BinaryIO) -> bool:
    head = part.read(64)
    part.seek(0)
    return b"OpusHead" in head or b"\x01vorbis" in head


def _is_flac_or_mp3(file: BinaryIO) -> bool:
    """By the first bytes behind the ID3 tags, as libsndfile looks for them."""
    at = 0
    for _ in range(mp3.MAX_TAGS):
        file.seek(at)
        head = file.read(10)
        if not (size := mp3.tag_size(head)):
            break
        at += size
    file.seek(0)
    return head[:4] == b"fLaC" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")
