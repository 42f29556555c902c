"""Which container the first bytes show, what is known of it before it is decoded, and who decodes it.

libsndfile decodes WAV, FLAC and OGG; FFmpeg all else. Neither is let loose on a file of which nothing is
known: FFmpeg would also open playlists, which name other files and hosts, and libsndfile would walk through
the chunks of formats that nobody here has looked at.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from medasr_service.audio import (
    adts,
    amr,
    ffmpeg,
    flv,
    frames,
    latm,
    limits,
    matroska,
    mp3,
    mp4,
    ogg,
    plain,
    riff,
    sndfile,
    ts,
    wav,
)
from medasr_service.audio.ffmpeg import Container, NoSuchTrack
from medasr_service.audio.guard import guarded
from medasr_service.audio.limits import Check
from medasr_service.audio.pieces import Flaw, Gap, Piece
from medasr_service.audio.view import view
from medasr_service.errors import EmptyAudio, InvalidAudio, UnsupportedAudio

TS_MARK = bytes([ts.MARK])
DSS_BLOCK = 512
HEAD = 64  # bytes that show which container it is
NOT_AUDIO = (
    "The file is not audio in a known format (WAV, FLAC, OGG, Opus, MP3, M4A, AAC, MP4, WebM, AMR, WMA, DSS;"
    " docs/files.md has them all)."
)
FREE_FORMAT = (
    "This is MP3 of free format, whose frames do not tell their length: export it with a fixed bit rate."
)
DS2 = "DSS Pro (DS2), which is encoded in a way that only its makers know"
REFUSED: tuple[tuple[int, bytes, str], ...] = (  # offset, first bytes, what that is
    (1, b"ds2", f"{DS2}: export it as WAV or MP3 with the recorder's own program"),
    (1, b"enc", "an encrypted DSS: export it as WAV or MP3 with the recorder's own program"),
    (1, b"#!SILK", "SILK of a messenger: export it as MP3 or M4A"),
    (0, b"#!SILK", "SILK of a messenger: export it as MP3 or M4A"),
    (0, b"MThd", "MIDI: notes, and no sound"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a ZIP: unpack it, and send the recordings in it one by one; it is not audio itself"),
)


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
    for at, magic, what in REFUSED:
        if head[at:].startswith(magic):
            raise UnsupportedAudio(f"This is {what}.")
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


def _decode_riff(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    file.seek(0)
    head = file.read(12)
    if head[8:] == b"AVI ":
        lacking = int.from_bytes(head[4:8], "little") + 8 - file.seek(0, 2)
        cut_off = f"the file announces {lacking:,} bytes more than it has" if lacking > 1 else ""
        yield from ffmpeg.decode(file, Container("avi", has_length=True, cut_off=cut_off), check, track=track)
        return
    if track:
        raise NoSuchTrack
    if head[8:] == b"RMP3":
        yield from _decode_rmp3(file, check)
        return
    if as_they_are := plain.survey(file):
        yield from plain.decode(file, as_they_are, check)
        return
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


def _decode_rmp3(file: BinaryIO, check: Check) -> Iterator[Piece]:
    """MP3 in a chunk, without a header that says more."""
    size = file.seek(0, 2)
    for chunk in riff.chunks(file, 12, "<"):
        if chunk.name == b"data":
            is_told = False
            for piece in _decode_mp3(view(file, (chunk.body, min(size, chunk.body + chunk.size))), check):
                is_told = is_told or isinstance(piece, Flaw)
                yield piece
            if (lacking := chunk.body + chunk.size - size) > 1 and not is_told:
                yield Flaw(0.0, f"the file announces {lacking:,} bytes more than it has")
            return
    raise UnsupportedAudio("The RIFF file with MP3 has no data.")


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


def _decode_ts(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    """Where packets are missing, so is what the times of the sound lack."""
    shape = ts.shape(file)
    if shape is None:
        if track:
            raise NoSuchTrack
        yield from _decode_frames(file, check)
        return
    damage = ts.damage(file, *shape)
    container = Container("mpegts", counts_samples=bool(damage), cut_off=damage)
    yield from ffmpeg.decode(file, container, check, track=track)


def _decode_flv(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    yield from ffmpeg.decode(file, Container("flv", cut_off=flv.cut_off(file)), check, track=track)


def _decode_dss(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
    cut_off = "the file ends inside a block" if file.seek(0, 2) % DSS_BLOCK else ""
    yield from ffmpeg.decode(file, Container("dss", has_times=False, cut_off=cut_off), check, track=track)


def _counted(name: str, *, has_times: bool = False, end_slack_s: float = wav.TRIFLE_S) -> "_Read":
    """A container that tells the length of its sound."""
    container = Container(name, has_times=has_times, has_length=True, end_slack_s=end_slack_s)

    def read(file: BinaryIO, check: Check, track: int) -> Iterator[Piece]:
        yield from ffmpeg.decode(file, container, check, track=track)

    return read


def _decode_frames(file: BinaryIO, check: Check) -> Iterator[Piece]:
    """What has no container: MP3, AAC, and FLAC behind a tag."""
    start = frames.behind_tags(file)
    file.seek(start)
    head = file.read(4)
    if head == b"fLaC":
        yield from _decode_flac(view(file, (start, file.seek(0, 2))), check, 0)
    elif mp3.header(head):  # its last bytes may look like a frame of LATM that ends with the file
        yield from _decode_mp3(file, check)
    elif parts := frames.survey(file, adts.header):
        yield from _decode_parts(file, parts, "aac", check)
    elif parts := frames.survey(file, latm.header(), sync=latm.FIRST):
        yield from _decode_parts(file, parts, "loas", check)
    else:
        yield from _decode_mp3(file, check)


def _decode_mp3(file: BinaryIO, check: Check) -> Iterator[Piece]:
    file.seek(frames.behind_tags(file))
    if mp3.is_free_format(file.read(4)):
        raise UnsupportedAudio(FREE_FORMAT)
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
    (0, b"FLV\x01", _decode_flv),
    (0, b"\x02dss", _decode_dss),
    (0, b"\x03dss", _decode_dss),
    (0, TS_MARK, _decode_ts),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _counted("asf", has_times=True, end_slack_s=1.0)),
    (8, b"AIFF", _counted("aiff")),
    (8, b"AIFC", _counted("aiff")),
    (0, b".snd", _counted("au")),
    (0, b"caff", _counted("caf", end_slack_s=ffmpeg.END_S)),
    (0, b"riff\x2e\x91\xcf\x11", _counted("w64")),
    *((0, name, _decode_riff) for name in riff.BYTE_ORDERS),
    (4, TS_MARK, _decode_ts),
)
