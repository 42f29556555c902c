"""What is missing from an Ogg file is noticed; what only looks odd is read."""

import io
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest

from medasr_service.audio import ogg, view
from medasr_service.audio import stream as audio
from medasr_service.audio.stream import AudioInfo
from medasr_service.errors import InvalidAudio, TruncatedAudio
from tests.audio.test_stream import decode, encode, ffmpeg, likeness, reference, sound

FLAGS, NUMBER, CHECKSUM = slice(5, 6), slice(18, 22), slice(22, 26)


def inspect(data: bytes) -> AudioInfo:
    return audio.inspect(io.BytesIO(data), max_duration_s=60, max_channels=8)


def opus(seconds: float = 4.0) -> bytes:
    return encode(sound(seconds), kind="OGG", coding="OPUS")


def vorbis(seconds: float = 4.0) -> bytes:
    return encode(sound(seconds), kind="OGG", coding="VORBIS")


def pages(data: bytes) -> list[bytes]:
    found = []
    while data:
        count = data[26]
        size = 27 + count + sum(data[27 : 27 + count])
        found.append(data[:size])
        data = data[size:]
    return found


def without_end_mark(data: bytes) -> bytes:
    """As Android writes it: the same pages, the last without its flag, with the right checksum."""
    *first, last = pages(data)
    assert last[5] & ogg.ENDS
    changed = bytearray(last)
    changed[FLAGS] = bytes([last[5] & ~ogg.ENDS])
    changed[CHECKSUM] = struct.pack("<I", ogg._checksum(bytes(changed)))
    return b"".join(first) + bytes(changed)


MAKERS: dict[str, Callable[[], bytes]] = {"Opus": opus, "Vorbis": vorbis}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_cut_at_any_byte_but_between_pages_is_refused(make: Callable[[], bytes]) -> None:
    data = make()
    ends = {sum(map(len, pages(data)[:i])) for i in range(len(pages(data)) + 1)}
    cuts = {*range(len(data) - 30, len(data)), *random.Random(1).sample(range(100, len(data)), 50)} - ends
    for cut in cuts:
        with pytest.raises(TruncatedAudio, match="cut off"):
            inspect(data[:cut])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_page_that_is_lost_in_the_middle_is_missed(make: Callable[[], bytes]) -> None:
    all_pages = pages(make())
    with pytest.raises(TruncatedAudio, match="lacks pages in its middle"):
        inspect(b"".join(all_pages[:3] + all_pages[4:]))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_changed_byte_is_noticed(make: Callable[[], bytes]) -> None:
    data = bytearray(make())
    data[len(data) // 2] ^= 1
    with pytest.raises(TruncatedAudio, match="damaged page"):
        inspect(bytes(data))


def test_a_packet_that_never_ends_is_missed() -> None:
    """A segment of 255 bytes goes on in the next."""
    *heads, last = pages(opus())[:4]
    full = bytearray(last[:27] + bytes([255]) + bytes(255))
    full[26] = 1
    full[CHECKSUM] = struct.pack("<I", ogg._checksum(bytes(full)))
    with pytest.raises(TruncatedAudio, match="middle of a packet"):
        inspect(b"".join(heads) + bytes(full))


def test_a_file_that_lost_its_beginning_is_refused() -> None:
    with pytest.raises(TruncatedAudio, match="lacks its beginning"):
        inspect(b"".join(pages(opus())[1:]))


def test_a_file_that_was_never_filled_is_refused() -> None:
    first = b"".join(pages(opus())[:4])
    with pytest.raises(TruncatedAudio, match="something else"):
        inspect(first + bytes(2_000))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_recording_of_a_telephone_has_no_end_mark_and_is_whole(make: Callable[[], bytes]) -> None:
    data = make()
    whole = decode(data)
    ours = decode(without_end_mark(data))
    assert 0 <= len(ours) - len(whole) < 0.02 * audio.SAMPLE_RATE  # the mark also says where a packet is cut
    assert likeness(ours, whole) > 0.999


def test_a_recording_of_a_running_stream_is_whole() -> None:
    """What a listener of a radio keeps: the heads, then pages from somewhere in the middle on."""
    all_pages = pages(vorbis())
    assert inspect(b"".join(all_pages[:2] + all_pages[4:])).duration > 1


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), bytes(70_000)], ids=["tag", "padding"])
def test_what_follows_the_end_does_no_harm(tail: bytes) -> None:
    assert inspect(opus() + tail).duration == 4.0


@pytest.mark.parametrize("between", [b"", bytes(70_000)], ids=["nothing", "padding"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_joined_recordings_are_heard_to_the_end_of_the_last(
    make: Callable[[float], bytes], between: bytes
) -> None:
    first, second = make(2.0), make(3.0)
    joined = first + between + second
    assert inspect(joined).duration == 5.0
    assert decode(joined).tolist() == [*decode(first).tolist(), *decode(second).tolist()]


@pytest.mark.parametrize("second", [bytes, without_end_mark], ids=["marked", "unmarked"])
def test_recordings_of_a_telephone_may_be_joined(second: Callable[[bytes], bytes]) -> None:
    joined = without_end_mark(opus(2.0)) + second(opus(3.0))
    assert inspect(joined).duration == pytest.approx(5.0, abs=0.05)


def test_joined_recordings_have_one_rate() -> None:
    other = encode(sound(2.0, rate=8_000), 8_000, kind="OGG", coding="VORBIS")
    with pytest.raises(InvalidAudio, match="sample rate changes"):
        inspect(vorbis(2.0) + other)


def test_a_joined_recording_that_is_cut_is_refused() -> None:
    with pytest.raises(TruncatedAudio, match="cut off"):
        inspect(opus() + opus()[:-100])


@pytest.mark.parametrize("options", [["-c:a", "libvorbis"], ["-c:a", "libopus"], ["-c:a", "flac"]])
def test_the_sound_beside_a_picture_is_taken(options: list[str]) -> None:
    picture = ["-f", "lavfi", "-i", "color=s=16x16:d=1.5", "-c:v", "libtheora", "-ar", "48000"]
    data = ffmpeg(encode(sound()), "ogg", *picture, *options)
    assert inspect(data).duration == pytest.approx(1.5, abs=0.1)
    assert likeness(decode(data), reference(encode(sound()))) > 0.99


def test_flac_in_ogg_is_read() -> None:
    data = ffmpeg(encode(sound()), "ogg", "-c:a", "flac")
    assert likeness(decode(data), reference(encode(sound()))) > 0.99


def test_endless_pages_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ogg, "MAX_PAGES", 5)
    with pytest.raises(TruncatedAudio, match="more than 5 pages"):
        inspect(opus())


def test_endless_streams_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ogg, "MAX_STREAMS", 2)
    data = b"".join(other_serial(opus(), serial) for serial in range(3))
    with pytest.raises(TruncatedAudio, match="more than 2 streams"):
        inspect(data)


def other_serial(data: bytes, serial: int) -> bytes:
    out = b""
    for page in pages(data):
        changed = bytearray(page)
        changed[14:18] = struct.pack("<I", serial)
        changed[CHECKSUM] = struct.pack("<I", ogg._checksum(bytes(changed)))
        out += changed
    return out


def test_junk_between_pages_is_passed_over_without_a_look_at_every_stream() -> None:
    """Else a file of a few megabytes keeps a processor busy for hours."""
    looks = 0

    class Counted(dict[int, Any]):
        def values(self) -> Any:
            nonlocal looks
            looks += 1
            return super().values()

    walk = ogg._Walk()
    walk._streams = Counted()
    for page in pages(opus(0.5)):
        walk.add(0, page)
    for _ in range(100):
        walk.pass_over_junk()
    assert looks == 0


def test_a_part_of_a_file_is_a_file() -> None:
    part = view.view(io.BytesIO(b"0123456789"), (2, 7))
    assert part.read(2) + part.read() == b"23456"
    assert part.seek(-1, io.SEEK_END) == 4
    assert (part.read(9), part.read(1), part.tell()) == (b"6", b"", 5)
    part.seek(1)
    assert part.seek(2, io.SEEK_CUR) == 3
    assert part.read(1) == b"5"
