"""Files as recorders and tools really write them: heard where nothing lacks, refused where something does."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest

from medasr_service.audio import frames, matroska, mp3, notes
from medasr_service.audio import stream as audio
from medasr_service.audio.pieces import Damaged
from medasr_service.audio.stream import SAMPLE_RATE, AudioInfo
from medasr_service.errors import InvalidAudio, TruncatedAudio, UnsupportedAudio
from medasr_service.model.geometry import Waveform
from tests.audio.test_stream import encode, ffmpeg, likeness, sound

WAV = encode(sound(2.0))
SECONDS = 2.0
ID3V1 = b"TAG" + bytes(125)


def inspect(data: bytes, damaged: Damaged = "refuse") -> AudioInfo:
    return audio.inspect(io.BytesIO(data), max_duration_s=600, max_channels=8, damaged=damaged)


def decode(data: bytes, info: AudioInfo, *, gain: float = 1.0) -> Waveform:
    blocks = audio.stream(
        io.BytesIO(data),
        gain=gain,
        max_duration_s=600,
        max_channels=8,
        track=info.track,
        channel=info.channel,
        damaged=info.damaged,
    )
    return np.concatenate(list(blocks))


# --- WAV


def wav_with(size: int, data: bytes = WAV) -> bytes:
    return data[:40] + struct.pack("<I", size) + data[44:]


@pytest.mark.parametrize(
    "size",
    [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0x7FFF_F000, 0xFFFF_FFFF - 36, 64_002, 64_044],
    ids=hex,
)
def test_a_wav_whose_size_is_unknown_or_a_trifle_off_is_heard_to_its_end(size: int) -> None:
    assert inspect(wav_with(size)).duration == SECONDS


def test_a_wav_that_lacks_more_than_a_trifle_is_refused_with_the_place() -> None:
    with pytest.raises(TruncatedAudio, match=r"damaged at 2\.0 s.* announces 64,700 bytes"):
        inspect(wav_with(64_700))


def test_a_wav_of_nothing_is_empty_also_with_chunks_behind() -> None:
    empty = encode(np.zeros(0))
    with pytest.raises(InvalidAudio, match="no audio"):
        inspect(empty + b"LIST\x04\0\0\0INFO")


def test_what_ffmpeg_writes_as_wav_to_a_pipe_is_heard() -> None:
    assert inspect(ffmpeg(WAV, "wav", piped=True)).duration == SECONDS


@pytest.mark.parametrize("first", [WAV, wav_with(0xFFFF_FFFF)], ids=["sized", "unknown"])
def test_joined_wavs_are_heard_to_the_end_of_the_last(first: bytes) -> None:
    assert inspect(first + WAV + WAV).duration == 3 * SECONDS


def test_joined_wavs_of_two_rates_are_refused_in_words_that_are_true() -> None:
    with pytest.raises(InvalidAudio, match=r"sample rate changes .* at 2\.0 s"):
        inspect(WAV + encode(sound(1.0, 8_000), 8_000))


LIST = b"LIST" + struct.pack("<I", 1_000) + b"INFOISFT" + bytes(992)


@pytest.mark.parametrize("behind", [b"", LIST, ID3V1], ids=["nothing", "a chunk", "a tag"])
@pytest.mark.parametrize("coding", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_samples_behind_the_end_that_an_old_header_announces_are_heard(coding: str, behind: bytes) -> None:
    data = encode(sound(SECONDS), coding=coding)
    at = data.index(b"data") + 4
    full = struct.unpack("<I", data[at : at + 4])[0]
    for seconds in (0.01, 0.5, 1.9):
        size = int(seconds / SECONDS * full / 12) * 12
        stale = data[:at] + struct.pack("<I", size) + data[at + 4 :] + behind
        assert inspect(stale).duration == pytest.approx(SECONDS, abs=0.001), (coding, seconds)
    assert inspect(data[:at] + struct.pack("<I", 0) + data[at + 4 :] + behind).duration == SECONDS


BEHIND_SAMPLES = {
    "a chunk": LIST,
    "a chunk that was cut": LIST[:-100],
    "two chunks": LIST + LIST,
    "an unknown chunk": b"xyzw" + struct.pack("<I", 2_000) + np.random.default_rng(1).bytes(2_000),
    "ID3v1": ID3V1,
    "ID3v2": b"ID3\x04\0\0\0\0\x0f\x50" + np.random.default_rng(1).bytes(2_000),
    "zeros": bytes(100_000),
    "text": b"Dictated on Monday.\r\n" * 100,
    "text and a tag": b"Dictated on Monday.\r\n" * 100 + ID3V1,
    "a few bytes": b"\x93\x01\xff" * 100,
}


@pytest.mark.parametrize("name", BEHIND_SAMPLES)
def test_what_is_no_sound_behind_the_samples_is_not_heard(name: str) -> None:
    behind = BEHIND_SAMPLES[name]
    assert inspect(WAV + behind).duration == SECONDS
    odd = encode(sound(0.5)[:-1], coding="PCM_U8") + behind  # with, and without, a byte of padding
    assert inspect(odd).duration == 0.5 - 1 / SAMPLE_RATE


def test_bytes_behind_the_samples_that_may_be_sound_are_told(rng: np.random.Generator) -> None:
    with pytest.raises(TruncatedAudio, match=r"at 2\.0 s.* behind the 64,000 bytes .* stand 5,000 more"):
        inspect(WAV + rng.bytes(5_000))
    info = inspect(WAV + rng.bytes(5_000), "skip")
    assert info.duration == SECONDS
    [loss] = info.losses
    assert loss.start == SECONDS


def test_more_of_a_coding_of_which_samples_show_nothing_is_heard_where_the_file_has_it_too() -> None:
    data = encode(sound(SECONDS), coding="ULAW")
    at = data.index(b"data") + 4
    stale = data[:at] + struct.pack("<I", 8_000) + data[at + 4 :]
    assert inspect(stale).duration == SECONDS
    with pytest.raises(TruncatedAudio, match=r"at 0\.5 s"):
        inspect(stale[:4] + struct.pack("<I", at + 8_000 - 4) + stale[8:])


@pytest.mark.parametrize("chunk", [b"JUNK", b"LIST", b"bext"])
def test_chunks_of_odd_length_before_the_samples_do_no_harm(chunk: bytes) -> None:
    for padding in (b"", b"\0"):  # some writers forget it
        odd = WAV[:36] + chunk + struct.pack("<I", 3) + b"abc" + padding + WAV[36:]
        assert inspect(odd).duration == SECONDS


def test_an_mp3_in_a_wav_is_decoded_as_one() -> None:
    data = ffmpeg(WAV, "wav", "-c:a", "libmp3lame")
    assert inspect(data).duration == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("kind", ["RF64", "W64", "AIFF", "AU", "CAF"])
def test_other_containers_of_samples_are_heard_whole_and_refused_cut(kind: str) -> None:
    data = encode(sound(SECONDS), kind=kind)
    assert inspect(data).duration == SECONDS
    with pytest.raises(TruncatedAudio, match=r"damaged at 1\.\d s"):
        inspect(data[: int(0.7 * len(data))])


# --- MP3


APE = b"APETAGEX" + struct.pack("<IIII", 2_000, 5_032, 1, 0) + bytes(8) + b"x" * 5_000
LYRICS = b"LYRICSBEGIN" + b"IND0000200" + b"000021LYRICS200"
AROUND: dict[str, Callable[[bytes], bytes]] = {
    "a zero behind": lambda data: data + b"\0",
    "many zeros behind": lambda data: data + bytes(20_000),
    "zeros in front": lambda data: bytes(5_000) + data,
    "CRLF behind": lambda data: data + b"\r\n",
    "text behind": lambda data: data + b"This was a letter.\r\n" * 100,
    "ID3v1": lambda data: data + ID3V1,
    "APEv2": lambda data: data + APE,
    "Lyrics3 and ID3v1": lambda data: data + LYRICS + ID3V1,
    "padding between tag and frames": lambda data: b"ID3\x04\0\0\0\0\0\x0a" + bytes(10 + 3_000) + data,
}


@pytest.fixture(scope="module", params=["count", "no count"])
def an_mp3(request: pytest.FixtureRequest) -> bytes:
    return ffmpeg(WAV, "mp3", "-b:a", "64k", "-write_xing", "1" if request.param == "count" else "0")


@pytest.mark.parametrize("name", AROUND)
def test_what_is_no_frame_of_an_mp3_is_skipped(an_mp3: bytes, name: str) -> None:
    assert inspect(AROUND[name](an_mp3)).duration == inspect(an_mp3).duration


def test_an_mp3_whose_last_bytes_look_like_a_frame_of_latm_is_heard(an_mp3: bytes) -> None:
    rest = 100  # bytes of the last frame, behind its header and side information
    chance = bytes([0x56, 0xE0 | (rest - 3) >> 8, (rest - 3) & 0xFF])
    data = an_mp3[:-rest] + chance + an_mp3[3 - rest :]
    assert len(data) == len(an_mp3)
    assert inspect(data).duration == inspect(an_mp3).duration


def test_joined_mp3s_are_heard_to_the_end_of_the_last(an_mp3: bytes) -> None:
    assert inspect(an_mp3 + ID3V1 + an_mp3).duration == pytest.approx(2 * SECONDS, abs=0.2)


def test_an_mp3_that_lost_its_middle_is_refused_with_the_place(an_mp3: bytes) -> None:
    a, b = int(0.5 * len(an_mp3)), int(0.7 * len(an_mp3))
    for damaged in (an_mp3[:a] + an_mp3[b:], an_mp3[:a] + bytes(b - a) + an_mp3[b:], an_mp3[:a]):
        with pytest.raises(TruncatedAudio, match=r"damaged at (0\.9|1\.0) s"):
            inspect(damaged)


def test_bytes_that_look_like_frames_everywhere_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_LOOKS", 100)
    with pytest.raises(InvalidAudio):
        frames.survey(io.BytesIO(b"\xff\xfb\x90\x64" * 1_000), mp3.header, mp3.count)


def test_aac_behind_a_tag_is_heard() -> None:
    data = ffmpeg(WAV, "aac")
    assert inspect(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + data).duration == inspect(data).duration


# --- times


def with_gap(piped: bool) -> bytes:
    """A WebM whose second half is 3 s later: the times of its clusters, moved."""
    data = bytearray(ffmpeg(encode(sound(12.0)), "webm", "-c:a", "libopus", piped=piped))
    at = 0
    found = []
    while (at := data.find(b"\x1f\x43\xb6\x75", at + 1)) > 0:
        stamp = data.index(b"\xe7", at)
        found.append((stamp + 2, data[stamp + 1] & 0x7F))
    for at, width in found[len(found) // 2 :]:
        time = int.from_bytes(data[at : at + width]) + 3_000
        data[at : at + width] = time.to_bytes(width)
    return bytes(data)


@pytest.mark.parametrize("piped", [False, True])
def test_a_gap_in_the_times_of_packets_is_silence_of_its_length(piped: bool) -> None:
    data = with_gap(piped)
    info = inspect(data)
    [gap] = info.gaps
    assert gap.seconds == pytest.approx(3.0, abs=0.05)
    assert info.duration == pytest.approx(15.0, abs=0.1)
    samples = decode(data, info)
    assert len(samples) == round(info.duration * SAMPLE_RATE)
    inside = samples[round((gap.start + 0.1) * SAMPLE_RATE) : round((gap.start + 2.9) * SAMPLE_RATE)]
    assert not inside.any()
    assert [code for code, _ in notes.of(info)] == ["gaps"]


def test_a_webm_without_length_that_lost_its_middle_is_refused_with_the_place() -> None:
    data = ffmpeg(encode(sound(10.0)), "webm", "-c:a", "libopus", piped=True)
    a, b = int(0.4 * len(data)), int(0.6 * len(data))
    with pytest.raises(TruncatedAudio, match=r"damaged at [34]\.\d s"):
        inspect(data[:a] + data[b:])


def test_a_webm_is_whole_where_all_its_elements_are() -> None:
    data = ffmpeg(WAV, "webm")
    [part] = matroska.survey(io.BytesIO(data))
    assert part.is_sized
    assert not part.damage
    assert not part.cut_off
    [part] = matroska.survey(io.BytesIO(data[:-200]))
    assert part.cut_off


def test_joined_webms_are_heard_to_the_end_of_the_last() -> None:
    data = ffmpeg(WAV, "webm")
    assert inspect(data + data).duration == pytest.approx(2 * SECONDS, abs=0.1)


def test_sound_that_starts_later_than_the_picture_has_its_times_later() -> None:
    picture = ["-f", "lavfi", "-i", "color=s=16x16:d=4", "-c:v", "mpeg4", "-af", "asetpts=PTS+1.5/TB"]
    data = ffmpeg(WAV, "mp4", *picture, "-c:a", "aac")
    info = inspect(data)
    assert info.duration == pytest.approx(1.5 + SECONDS, abs=0.15)
    assert not decode(data, info)[: round(1.4 * SAMPLE_RATE)].any()


def test_a_video_longer_than_its_sound_is_whole() -> None:
    picture = ["-f", "lavfi", "-i", "color=s=16x16:d=6", "-c:v", "libvpx"]
    assert inspect(ffmpeg(WAV, "webm", *picture)).duration == pytest.approx(SECONDS, abs=0.1)


def test_of_several_tracks_the_first_that_has_sound_is_heard() -> None:
    silent = ["-f", "lavfi", "-i", "anullsrc=r=16000:d=2", "-map", "1:a", "-map", "0:a", "-c:a", "aac"]
    data = ffmpeg(WAV, "mp4", *silent)
    info = inspect(data)
    assert info.track == 1
    assert likeness(decode(data, info), sound(SECONDS).astype(np.float32)) > 0.98


OTHERS = {
    "AVI": ("avi", ["-c:a", "libmp3lame"]),
    "FLV": ("flv", ["-c:a", "aac", "-ar", "44100"]),
    "3GP": ("3gp", ["-c:a", "aac"]),
    "WMA": ("asf", ["-c:a", "wmav2"]),
    "MP2": ("mp2", []),
    "WAV with IMA ADPCM": ("wav", ["-c:a", "adpcm_ima_wav"]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_dictation_comes_in_besides_is_heard_whole_and_refused_cut(name: str) -> None:
    suffix, options = OTHERS[name]
    data = ffmpeg(WAV, suffix, *options)
    assert inspect(data).duration == pytest.approx(SECONDS, abs=0.15)
    with pytest.raises(InvalidAudio):
        inspect(data[: int(0.9 * len(data)) - 1])


IN_LATM = ["-c:a", "aac", "-f", "latm"]
IN_TS = {
    "AAC": ["-c:a", "aac"],
    "MP3": ["-c:a", "libmp3lame"],
    "MP2": ["-c:a", "mp2"],
    "MP2 of a camera": ["-c:a", "mp2", "-mpegts_m2ts_mode", "1"],
}


@pytest.mark.parametrize("name", IN_TS)
def test_a_transport_stream_is_heard_whole_and_refused_where_packets_are_missing(name: str) -> None:
    data = ffmpeg(encode(sound(6.0)), "ts", *IN_TS[name])
    assert inspect(data).duration == pytest.approx(6.0, abs=0.15)
    size = 192 if "camera" in name else 188
    a, b = (int(share * len(data)) // size * size for share in (0.4, 0.6))
    for damaged in (data[:a] + data[b:], data[:a] + b"\xaa" * (b - a) + data[b:]):
        with pytest.raises(TruncatedAudio, match=r"damaged at [12]\.\d s"):
            inspect(damaged)
        info = inspect(damaged, "skip")
        assert info.duration == pytest.approx(6.0, abs=0.2)
        assert 0.9 < sum(loss.seconds for loss in info.losses) < 1.7
        assert not info.gaps
    with pytest.raises(TruncatedAudio):
        inspect(data[: len(data) - 90])


def test_aac_in_latm_is_heard_whole_and_refused_cut() -> None:
    data = ffmpeg(WAV, "latm", *IN_LATM)
    info = inspect(data)
    assert info.duration == pytest.approx(SECONDS, abs=0.1)
    assert likeness(decode(data, info), sound(SECONDS).astype(np.float32)) > 0.98
    with pytest.raises(TruncatedAudio, match="ends inside a frame"):
        inspect(data[: int(0.7 * len(data))])
    with pytest.raises(TruncatedAudio, match=r"damaged at 0\.\d s"):
        inspect(data[: len(data) // 4] + bytes(1_000) + data[len(data) // 3 :])


def in_vbri(data: bytes) -> bytes:
    """An MP3 whose first frame has the count as Fraunhofer's encoders write it."""
    at = data.index(b"Info") if b"Info" in data[:100] else data.index(b"Xing")
    frames_ = int.from_bytes(data[at + 8 : at + 12])
    start = data.rindex(b"\xff\xf3", 0, at)
    vbri = b"VBRI" + struct.pack(">HHHII", 1, 0, 0, len(data), frames_)
    return data[: start + 4] + bytes(32) + vbri + bytes(20) + data[start + 36 + len(vbri) + 20 :]


def test_the_count_of_a_vbri_is_that_of_the_frames() -> None:
    data = in_vbri(ffmpeg(WAV, "mp3", "-q:a", "4"))
    info = inspect(data)
    assert info.duration == pytest.approx(SECONDS, abs=0.1)
    step = (len(data) - 500) // 20
    lost = frames.survey(io.BytesIO(data), mp3.header, mp3.count)[0].stretches[0][1]
    assert lost == len(data)
    for cut in range(len(data) - 4 * step, len(data) - step, 7):  # also between two frames
        with pytest.raises(TruncatedAudio):
            inspect(data[:cut])


def test_an_mp3_of_free_format_is_told_what_it_is() -> None:
    with pytest.raises(UnsupportedAudio, match=r"MP3 of free format.*export it"):
        inspect(b"\xff\xfb\x04\xc4" + bytes(413) + b"\xff\xfb\x04\xc4" + bytes(413))


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)])
def test_an_mp3_in_a_riff_of_its_own_is_heard_whole_and_refused_cut(tag: bytes) -> None:
    mp3_ = tag + ffmpeg(WAV, "mp3", "-b:a", "64k", "-write_xing", "0")
    data = b"RIFF" + struct.pack("<I", len(mp3_) + 12) + b"RMP3data" + struct.pack("<I", len(mp3_)) + mp3_
    assert inspect(data).duration == inspect(mp3_).duration
    frame_bytes = 288  # of 64 kbit/s at 16 kHz
    for lacking in (100, 5 * frame_bytes):
        with pytest.raises(TruncatedAudio):
            inspect(data[:-lacking])


def test_amr_of_wide_band_is_heard_whole_and_refused_cut(rng: np.random.Generator) -> None:
    data = b"#!AMR-WB\n" + b"".join(b"\x14" + rng.bytes(32) for _ in range(100))
    assert inspect(data).duration == pytest.approx(2.0)
    with pytest.raises(TruncatedAudio):
        inspect(data[:-5])
    with pytest.raises(TruncatedAudio, match=r"damaged at (1\.0|2\.0) s"):
        inspect(data[: 9 + 33 * 50] + b"\x54" * 20 + data[9 + 33 * 50 :])


@pytest.mark.parametrize("rate", ["8000", "16000", "32000"])
def test_speex_is_heard_whole_and_refused_cut(rate: str) -> None:
    data = ffmpeg(WAV, "spx", "-ar", rate, "-c:a", "libspeex")
    assert inspect(data).duration == pytest.approx(SECONDS, abs=0.1)
    with pytest.raises(TruncatedAudio):
        inspect(data[: int(0.7 * len(data))])


def a_dss(blocks: int, coding: int = 0) -> bytes:
    """A recording of silence as an Olympus or Philips writes it: times, a coding, and blocks of 512 bytes."""
    head = bytearray(2 * 512)
    head[:4] = b"\x02dss"
    head[0x26:0x3E] = b"260101120000" * 2
    head[0x2A4] = coding
    return bytes(head) + b"".join(bytes([0, 0, 0, 0, 0, 0xFF]) + bytes(506) for _ in range(blocks))


def test_a_dss_is_read_and_one_that_is_none_is_refused(rng: np.random.Generator) -> None:
    assert inspect(a_dss(40)).duration > 1.0
    with pytest.raises(TruncatedAudio, match="ends inside a block"):
        inspect(a_dss(40)[:-100])
    for data in (a_dss(0), a_dss(20, coding=5), b"\x02dss" + rng.bytes(5_116), b"\x03dss" + bytes(508)):
        with pytest.raises(InvalidAudio):
            inspect(data)


def test_a_ds2_is_told_what_it_is_and_what_to_do() -> None:
    with pytest.raises(UnsupportedAudio, match=r"This is DSS Pro \(DS2\).*export it"):
        inspect(b"\x03ds2" + bytes(2_000))


# --- damage that is skipped


LOSSY_ENDS = {
    "WAV": lambda: WAV,
    "FLAC": lambda: encode(sound(SECONDS), kind="FLAC"),
    "MP3": lambda: ffmpeg(WAV, "mp3"),
    "M4A": lambda: ffmpeg(WAV, "m4a", "-movflags", "+faststart"),
}


@pytest.mark.parametrize("name", LOSSY_ENDS)
def test_what_can_be_read_of_a_cut_recording_is_heard_on_demand(name: str) -> None:
    data = LOSSY_ENDS[name]()
    cut = data[: int(0.6 * len(data))]
    info = inspect(cut, "skip")
    assert info.duration == pytest.approx(SECONDS, abs=0.15)  # the times of the file
    [loss] = info.losses
    assert loss.start + loss.seconds == pytest.approx(SECONDS, abs=0.15)
    assert len(decode(cut, info)) == pytest.approx(info.duration * SAMPLE_RATE, abs=1)
    assert "could not be read" in " ".join(text for _, text in notes.of(info))


@pytest.mark.parametrize("kind", ["overwritten", "lost"])
def test_fragments_behind_a_damaged_one_are_heard_at_their_time(kind: str) -> None:
    fragments = ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "500000"]
    data = ffmpeg(encode(sound(8.0)), "m4a", *fragments)
    whole = inspect(data)
    a, b = int(0.4 * len(data)), int(0.5 * len(data))
    damaged = data[:a] + (b"\xaa" * (b - a) if kind == "overwritten" else b"") + data[b:]
    with pytest.raises(TruncatedAudio, match=r"damaged at [123]\.\d s"):
        inspect(damaged)
    info = inspect(damaged, "skip")
    assert info.duration == pytest.approx(whole.duration, abs=0.1)
    assert 0.5 < sum(loss.seconds for loss in info.losses) < 2.5
    behind = slice(6 * SAMPLE_RATE, 7 * SAMPLE_RATE)
    heard, said = decode(damaged, info)[behind], decode(data, whole)[behind]
    assert np.corrcoef(heard, said)[0, 1] > 0.98


# --- channels


@pytest.mark.parametrize("share", [1.0, 0.3], ids=["all of it", "a third of it"])
def test_channels_that_cancel_are_heard_one_by_one(share: float) -> None:
    mono = sound(6.0)
    other = np.where(np.arange(len(mono)) < share * len(mono), -0.9, 0.9) * mono
    data = encode(np.stack((mono, other), axis=1))
    info = inspect(data)
    assert info.channel == 0
    assert np.corrcoef(decode(data, info), mono)[0, 1] > 0.999
    assert [code for code, _ in notes.of(info)] == ["channels_cancel"]


def test_channels_that_do_not_cancel_are_mixed(rng: np.random.Generator) -> None:
    mono = sound(3.0)
    for other in (mono, 0 * mono, rng.normal(0, 0.1, len(mono))):
        assert inspect(encode(np.stack((mono, other), axis=1))).channel is None
