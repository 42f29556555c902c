"""Which container the first bytes show, what is known of it before it is decoded, and who decodes it.

libsndfile decodes WAV, FLAC and OGG; FFmpeg all else. Neither is let loose on a file of which nothing is
known: FFmpeg would also open playlists, which name other files and hosts, and libsndfile would walk through
the chunks of formats that nobody here has looked at.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from medasr_service.audio import adts, amr, ffmpeg, frames, limits, matroska, mp3, mp4, ogg, sndfile, wav
from medasr_service.audio.ffmpeg import Container, NoSuchTrack
from medasr_service.audio.guard import guarded
from medasr_service.audio.limits import Check
from medasr_service.audio.pieces import Flaw, Gap, Piece
from medasr_service.audio.view import view
from medasr_service.errors import EmptyAudio, InvalidAudio, UnsupportedAudio

HEAD = 64  # bytes that show which container it is
NOT_AUDIO = "The file is not audio in a known format (WAV, FLAC, OGG, Opus, MP3, M4A, AAC, MP4, WebM)."


@guarded
def decode(file: BinaryIO, *, track: int, max_duration_s: float, max_channels: int) -> Iterator[Piece]:
    """The ``track``-th track of sound, from the start of the file. Raises NoSuchTrack behind the last."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise EmptyAudio("The file is empty.")
    check = limits.limits(max_duration_s, max_channels)
    for at, magic, read in _CONTAINERS:
        if head[at:].startswith(magic):
            yield from read(file, check, track)
            return
    if track:
        raise NoSuchTrack
    yield from _decode_frames(file, check)


def _decode_mp4(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    try:
        parts = mp4.survey(file)
    except mp4.Excessive as flaw:
        raise InvalidAudio(f"The file {flaw}, more than a recording can have.") from None
    for part in parts:
        container = Container(
            "mp4",
            has_length=True,
            starts_at_zero=True,
            counts_samples=bool(part.damage),
            cut_off=part.cut_off or part.damage,
        )
        yield from ffmpeg.decode(view(file, *part.stretches), container, check, track=track)


def _decode_matroska(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    for part in matroska.survey(file):
        yield from ffmpeg.decode(view(file, (part.start, part.end)), part.container(), check, track=track)


def _decode_ogg(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    """Each of the joined recordings: both libraries would stop where the first ends."""
    try:
        links = ogg.survey(file)
    except ogg.Damaged as flaw:
        container = Container("ogg", counts_samples=True, cut_off=f"the OGG file {flaw}")
        yield from ffmpeg.decode(file, container, check, track=track)
        return
    parts = [view(file, (link.start, link.end)) for link in links]
    # libsndfile knows one track of Vorbis or Opus, and takes Opus without an end mark for damaged
    plain = all(
        link.tracks == 1 and link.has_end_mark and _is_vorbis_or_opus(part)
        for link, part in zip(links, parts, strict=True)
    )
    if plain and track:
        raise NoSuchTrack
    for part in parts:
        if plain:
            yield from _decode_plain(part, ("OGG",), check)
        else:
            yield from ffmpeg.decode(part, Container("ogg", counts_samples=True), check, track=track)


def _is_vorbis_or_opus(part: BinaryIO) -> bool:
    head = part.read(64)
    part.seek(0)
    return b"OpusHead" in head or b"\x01vorbis" in head


def _decode_plain(file: BinaryIO, formats: tuple[str, ...], check: Check) -> Iterator[Piece]:
    try:
        yield from sndfile.decode(file, formats, check)
    except sndfile.Undecodable:
        raise UnsupportedAudio(NOT_AUDIO) from None
    except sndfile.Broken as broken:
        yield Flaw(broken.promised_s, "it cannot be decoded there")


def _decode_wav(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    if track:
        raise NoSuchTrack
    for part in wav.survey(file):
        samples = view(file, part.header, (part.start, part.end))
        if part.coding in wav.MPEG:
            yield from _decode_mp3(view(file, (part.start, part.end)), check)
        elif part.coding in wav.OF_LIBSNDFILE:
            yield from _decode_plain(samples, ("WAV", "WAVEX"), check)
        else:
            yield from ffmpeg.decode(samples, Container("wav", has_times=False, has_length=True), check)
        if part.why:
            yield Flaw(part.missing_s, part.why)


def _decode_flac(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    """libsndfile cannot end a FLAC of unknown length, and cannot go on behind what is damaged."""
    if track:
        raise NoSuchTrack
    done = 0
    try:
        yield from sndfile.decode(file, ("FLAC",), check)
        return
    except sndfile.Undecodable:
        pass
    except sndfile.Broken as broken:
        done = broken.decoded
    container = Container("flac", counts_samples=True, has_length=True)
    yield from _behind(ffmpeg.decode(file, container, check), done)


def _behind(pieces: Iterator[Piece], samples: int) -> Iterator[Piece]:
    """Without the first samples, which were heard before."""
    for piece in pieces:
        if not isinstance(piece, Gap | Flaw):
            block, rate = piece
            size = len(block)
            if samples < size:
                yield block[samples:], rate
            samples = max(0, samples - size)
        else:
            yield piece


def _decode_amr(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    if track:
        raise NoSuchTrack
    yield from ffmpeg.decode(file, amr.container(file), check)


def _decode_frames(file: BinaryIO, check: Check) -> Iterator[Piece]:
    """What has no container: MP3, AAC, and FLAC behind a tag."""
    start = frames.behind_tags(file)
    file.seek(start)
    if file.read(4) == b"fLaC":
        yield from _decode_flac(view(file, (start, file.seek(0, 2))), check, 0)
    elif parts := frames.survey(file, adts.header):
        yield from _decode_parts(file, parts, "aac", check)
    else:
        yield from _decode_mp3(file, check)


def _decode_mp3(file: BinaryIO, check: Check) -> Iterator[Piece]:
    parts = frames.survey(file, mp3.header, mp3.count)
    if not parts:
        raise UnsupportedAudio(NOT_AUDIO)
    yield from _decode_parts(file, parts, "mp3", check)


def _decode_parts(file: BinaryIO, parts: list[frames.Part], name: str, check: Check) -> Iterator[Piece]:
    for part in parts:
        yield from ffmpeg.decode(view(file, *part.stretches), Container(name, has_times=False), check)
        if part.why:
            yield Flaw(part.missing_s, part.why)


_Read = Callable[[BinaryIO, Check, int], Iterator[Piece]]
_CONTAINERS: tuple[tuple[int, bytes, _Read], ...] = (  # offset, first bytes, who reads it
    (4, b"ftyp", _decode_mp4),
    (4, b"moov", _decode_mp4),
    (4, b"mdat", _decode_mp4),
    (4, b"wide", _decode_mp4),
    (0, b"\x1aE\xdf\xa3", _decode_matroska),
    (0, ogg.CAPTURE, _decode_ogg),
    (0, b"fLaC", _decode_flac),
    (0, b"#!AMR", _decode_amr),
    *((0, name, _decode_wav) for name in wav.BYTE_ORDERS),
)
