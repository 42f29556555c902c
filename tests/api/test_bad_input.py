"""What a client can send wrong: each a 4xx with a sentence in OpenAI's shape, and nothing else disturbed."""

import asyncio
import io
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import av
import httpx2 as httpx  # Starlette's test client answers with its classes
import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message

from medasr_service.api.pace import Patience
from medasr_service.api.uploads import BodyLimit
from medasr_service.audio import containers
from medasr_service.audio import stream as audio
from medasr_service.errors import AudioTooLong, InvalidAudio
from medasr_service.transcriber import Transcriber
from tests.audio.test_stream import encode, ffmpeg, sound
from tests.conftest import CLIPS, http_scope

ROUTE = "/v1/audio/transcriptions"
BOUNDARY = "a-boundary"
MULTIPART = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
GOOD = min((clip.path for clip in CLIPS), key=lambda path: path.stat().st_size).read_bytes()
INTERNALS = re.compile(r"""(^|[\s'"(])/\w|\.py\b|Traceback|0x[0-9a-f]{6}|<_io|BytesIO|libsndfile|av\.""")

WAV = encode(sound(1.0))
FLAC = encode(sound(1.0), kind="FLAC")


def send(client: TestClient, data: bytes, name: str = "speech.wav", **fields: Any) -> httpx.Response:
    return client.post(ROUTE, files={"file": (name, data)}, data=fields)


def part(headers: str, body: bytes) -> bytes:
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def message_of(response: httpx.Response, status: int, param: str | None, code: str | None = None) -> str:
    """The error's sentence, once its shape and what it does not tell are checked."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    if code:
        assert error["code"] == code
    message: str = error["message"]
    assert message.endswith((".", "?"))
    assert " " in message
    assert not INTERNALS.search(message), message
    return message


def assert_works(client: TestClient) -> None:
    response = send(client, GOOD)
    assert response.status_code == 200, response.text
    assert response.json()["text"]


def with_header(data: bytes, at: int, layout: str, value: int) -> bytes:
    return data[:at] + struct.pack(layout, value) + data[at + struct.calcsize(layout) :]


def big_endian(samples: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", endian="BIG")
    return file.getvalue()


def with_count(data: bytes, table: bytes, offset: int, count: int) -> bytes:
    return with_header(data, data.index(table) + len(table) + offset, ">I", count)


def with_sample(value: float, coding: str = "FLOAT") -> bytes:
    samples = sound(1.0)
    samples[2_000] = value
    return encode(samples, coding=coding)


def flac_of_zeros(hours: float, *, announced: bool) -> bytes:
    """Zeros at 8 kHz in frames of 65,535 samples, each 14 bytes: 60 kB unpack to ten hours."""
    size = 65_535
    frames = int(hours * 3600 * 8_000 / size)
    total = frames * size if announced else 0
    format_bits = (8_000 << 44) | (0 << 41) | (15 << 36) | total  # rate, channels - 1, bits - 1, samples
    info = struct.pack(">HH", size, size) + bytes(6) + struct.pack(">Q", format_bits) + bytes(16)
    made = [b"fLaC", b"\x80", len(info).to_bytes(3, "big"), info]
    for number in range(frames):
        head = b"\xff\xf8\x70\x08" + chr(number).encode() + struct.pack(">H", size - 1)
        head += bytes([_crc(head, 0x07, 8)])
        body = head + b"\x00\x00\x00"  # one subframe: the constant 0
        made += [body, _crc(body, 0x8005, 16).to_bytes(2, "big")]
    return b"".join(made)


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    register, top = 0, 1 << (bits - 1)
    for byte in data:
        register ^= byte << (bits - 8)
        for _ in range(8):
            register = (register << 1) ^ (polynomial if register & top else 0)
        register &= (1 << bits) - 1
    return register


BAD: dict[str, tuple[bytes, int, str, str]] = {  # bytes, status, code, what the sentence says
    "an empty upload": (b"", 400, "empty_audio", "file is empty"),
    "one byte": (b"R", 415, "unsupported_format", "not audio"),
    "text": (b"This is a letter, not a recording.\n" * 20, 415, "unsupported_format", "not audio"),
    "HTML": (b"<!doctype html><html><body>404</body></html>", 415, "unsupported_format", "not audio"),
    "an HLS playlist": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        415,
        "unsupported_format",
        "not audio",
    ),
    "a list of files": (
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        415,
        "unsupported_format",
        "not audio",
    ),
    "an XML manifest": (
        b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>',
        415,
        "unsupported_format",
        "not audio",
    ),
    "a description of a session": (
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        415,
        "unsupported_format",
        "not audio",
    ),
    "zeros": (bytes(5_000), 415, "unsupported_format", "not audio"),
    "a ZIP": (b"PK\x03\x04" + bytes(500), 415, "unsupported_format", "not audio"),
    "a truncated FLAC": (FLAC[: len(FLAC) // 2], 400, "truncated_audio", "cut off"),
    "a FLAC without its last bytes": (FLAC[:-20], 400, "truncated_audio", "cut off"),
    "a truncated WAV": (WAV[: len(WAV) // 2], 400, "truncated_audio", "announces 32,000 bytes"),
    "a WAV of endless chunks": (
        WAV[:12] + b"junk\0\0\0\0" * 100_000,
        400,
        "invalid_audio",
        "more than 1,000 chunks",
    ),
    "an AIFF of endless chunks": (
        b"FORM\x00\x10\x00\x00AIFF" + b"junk\0\0\0\0" * 100_000,
        415,
        "unsupported_format",
        "damaged",
    ),
    "a WAV behind a tag": (b"ID3\x04" + bytes(6) + WAV, 415, "unsupported_format", "not audio"),
    "a truncated WAV of the other byte order": (
        big_endian(sound(1.0))[:-1_000],
        400,
        "truncated_audio",
        "announces 32,000 bytes",
    ),
    "a WAV header alone": (WAV[:44], 400, "truncated_audio", "holds 0"),
    "a WAV that claims 4 GB": (
        with_header(with_header(WAV, 40, "<I", 4_000_000_000), 4, "<I", 4_000_000_036),
        400,
        "truncated_audio",
        "announces 4,000,000,000 bytes",
    ),
    "a WAV without samples": (encode(np.zeros(0)), 400, "empty_audio", "no audio"),
    "a FLAC without samples": (encode(np.zeros(0), kind="FLAC"), 400, "", ""),
    "3 ms": (encode(sound(0.003)), 400, "invalid_audio", "0.003 s long"),
    "99.9 ms": (encode(sound(0.0999)), 400, "invalid_audio", "0.100 s long; at least"),
    "NaN": (with_sample(np.nan), 400, "invalid_audio", "not numbers"),
    "infinity": (with_sample(np.inf), 400, "invalid_audio", "not numbers"),
    "minus infinity in float64": (with_sample(-np.inf, "DOUBLE"), 400, "invalid_audio", "not numbers"),
    "more than float32 holds": (with_sample(1e300, "DOUBLE"), 400, "invalid_audio", "not numbers"),
    "100 channels": (encode(np.zeros((2_000, 100))), 400, "invalid_audio", "100 channels; the limit is 8"),
    "9 channels": (encode(np.zeros((2_000, 9))), 400, "invalid_audio", "9 channels"),
    "no channel": (with_header(WAV, 22, "<H", 0), 415, "unsupported_format", ""),
    "no rate": (with_header(WAV, 24, "<I", 0), 415, "unsupported_format", ""),
    "1 sample per second": (encode(sound(1.0), 1), 400, "invalid_audio", "1 samples per second"),
    "3,999 samples per second": (encode(sound(1.0), 3_999), 400, "invalid_audio", "3,999 samples"),
    "1 MHz": (encode(sound(1.0), 1_000_000), 400, "invalid_audio", "1,000,000 samples per second"),
    "2 GHz": (encode(sound(1.0), 2**31 - 1), 400, "invalid_audio", "samples per second"),
    "4 GHz": (with_header(WAV, 24, "<I", 2**32 - 1), 415, "unsupported_format", ""),
    "a broken MP4": (b"\x00\x00\x00\x20ftypM4A " + bytes(300), 415, "unsupported_format", "damaged"),
    "a broken WebM": (b"\x1aE\xdf\xa3" + bytes(300), 415, "unsupported_format", "damaged"),
}


ANNOUNCING = {  # which box of an MP4 announces what number, where; the reason that is told
    "samples": ((), b"stsz", 8, 20_000_000, "announces 20,000,000 samples"),
    "plays of its edits": ((), b"elst", 4, 1_000_000, "more than a recording can have"),
    "samples of a fragment": (
        ("-movflags", "frag_keyframe+empty_moov"),
        b"trun",
        4,
        20_000_000,
        "more than a recording can have",
    ),
}


@pytest.mark.parametrize("name", ANNOUNCING)
def test_an_mp4_that_announces_millions_is_refused(client: TestClient, name: str) -> None:
    options, box, offset, count, says = ANNOUNCING[name]
    data = with_count(ffmpeg(WAV, "mp4", "-c:a", "aac", *options), box, offset, count)
    assert says in message_of(send(client, data), 400, "file", "invalid_audio")
    assert_works(client)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recording_is_refused_with_its_reason(client: TestClient, name: str) -> None:
    data, status, code, says = BAD[name]
    message = message_of(send(client, data), status, "file", code)
    assert says in message
    assert_works(client)


def test_a_playlist_is_never_given_to_ffmpeg(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "open", lambda *_, **__: pytest.fail("FFmpeg was asked"))
    for name in ("an HLS playlist", "a list of files", "an XML manifest", "a description of a session"):
        for file_name in ("a.m3u8", "a.mp4", "a.webm"):
            assert send(client, BAD[name][0], file_name).status_code == 415


SAMPLES_TOO_LARGE = [1e10, 1e30, 3e38]


@pytest.mark.parametrize("value", SAMPLES_TOO_LARGE)
def test_samples_far_beyond_full_scale_do_no_harm(client: TestClient, value: float) -> None:
    response = send(client, with_sample(value), response_format="verbose_json")
    assert response.status_code in (200, 400), response.text
    assert_works(client)


CUT: dict[str, Callable[[], bytes]] = {  # files that show where they end: in a header, an index, in pages
    "MP3 with a count": lambda: ffmpeg(encode(sound(4.0)), "mp3"),
    "MP3 of libsndfile": lambda: encode(sound(4.0), kind="MP3", coding="MPEG_LAYER_III"),
    "M4A": lambda: ffmpeg(encode(sound(4.0)), "m4a"),
    "M4A with the index in front": lambda: ffmpeg(encode(sound(4.0)), "m4a", "-movflags", "+faststart"),
    "WebM": lambda: ffmpeg(encode(sound(4.0)), "webm"),
    "OGG with Vorbis": lambda: encode(sound(4.0), kind="OGG", coding="VORBIS"),
    "OGG with Opus": lambda: encode(sound(4.0), kind="OGG", coding="OPUS"),
    "OGG of ffmpeg through a pipe": lambda: ffmpeg(encode(sound(4.0)), "ogg", piped=True),
    "Matroska": lambda: ffmpeg(encode(sound(4.0)), "mka", "-c:a", "flac"),
    "FLAC": lambda: encode(sound(4.0), kind="FLAC"),
    "WAV": lambda: encode(sound(4.0)),
    "RF64": lambda: encode(sound(4.0), kind="RF64"),
    "AIFF": lambda: encode(sound(4.0), kind="AIFF"),
    "AU": lambda: encode(sound(4.0), kind="AU"),
    "W64": lambda: encode(sound(4.0), kind="W64"),
}


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("name", CUT)
def test_a_recording_that_shows_its_end_is_never_shortened_in_silence(
    client: TestClient, name: str, share: float
) -> None:
    data = CUT[name]()
    response = send(client, data[: int(len(data) * share)])
    assert 400 <= response.status_code < 500, response.text
    message = message_of(response, response.status_code, "file")
    assert re.search("cut off|incomplete|announces|not audio", message)


@pytest.mark.parametrize("kind", ["webm", "aac"])
def test_half_a_recording_of_unknown_length_is_no_failure_of_the_service(
    client: TestClient, kind: str
) -> None:
    data = ffmpeg(encode(sound(4.0)), kind, piped=True)
    assert send(client, data[: len(data) // 2]).status_code in (200, 400, 415)


UNUSABLE: dict[str, Callable[[], bytes]] = {  # whole containers, but nothing to hear in them
    "MP4 with a picture alone": lambda: ffmpeg(
        WAV, "mp4", "-f", "lavfi", "-i", "color=s=16x16:d=1", "-map", "1:v", "-c:v", "mpeg4"
    ),
    "WebM in a coding that nobody knows": lambda: ffmpeg(WAV, "webm").replace(b"A_OPUS", b"A_XPUS"),
    "Matroska in a coding that nobody knows": lambda: ffmpeg(WAV, "mka", "-c:a", "flac").replace(
        b"A_FLAC", b"A_XXXX"
    ),
    "WebM with a broken head of Opus": lambda: ffmpeg(WAV, "webm").replace(b"OpusHead\x01", b"OpusHead\xff"),
    "MP4 in a coding that nobody knows": lambda: (
        ffmpeg(WAV, "mp4").replace(b"mp4a", b"x??y").replace(b"esds", b"free")
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_container_without_usable_sound_is_refused(client: TestClient, name: str) -> None:
    response = send(client, UNUSABLE[name](), "speech.webm")
    assert response.status_code in (400, 415), response.text
    message_of(response, response.status_code, "file")


def test_a_broken_index_of_an_mp4_is_refused(client: TestClient) -> None:
    data = ffmpeg(WAV, "m4a", "-movflags", "+faststart")
    for name in (b"mdhd", b"hdlr", b"stsd", b"stsz", b"stco", b"stsc", b"stts", b"mdia", b"trak"):
        response = send(client, data.replace(name, b"free"))
        assert response.status_code in (200, 400, 415), (name, response.text)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_silence_gives_an_empty_text(client: TestClient, kind: str) -> None:
    response = send(client, encode(np.zeros(32_000), kind=kind), response_format="verbose_json")
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["text"], body["segments"], body["duration"], body["gain"]) == ("", [], 2.0, 1.0)


def test_a_tenth_of_a_second_is_enough(client: TestClient) -> None:
    assert send(client, encode(sound(0.1))).status_code == 200


def test_a_recording_over_the_limit_of_duration_is_refused(make_client: Callable[..., TestClient]) -> None:
    client = make_client(max_duration_s=2.0)
    for data in (encode(sound(2.001)), encode(sound(2.1), kind="OGG", coding="VORBIS")):
        message = message_of(send(client, data), 413, "file", "audio_too_long")
        assert "longer than 2 s" in message
    assert send(client, encode(sound(2.0))).status_code == 200


def test_a_flac_that_unpacks_to_ten_hours_is_refused(client: TestClient) -> None:
    bomb = flac_of_zeros(10, announced=True)
    assert len(bomb) < 100_000
    message = message_of(send(client, bomb), 413, "file", "audio_too_long")
    assert "10,800 s" in message
    assert_works(client)


@pytest.mark.parametrize(
    ("announced", "most_s"), [pytest.param(True, 0, id="announced"), pytest.param(False, 620, id="unknown")]
)
def test_the_ten_hours_are_not_decoded_to_find_out(
    monkeypatch: pytest.MonkeyPatch, announced: bool, most_s: float
) -> None:
    decoded = 0
    decode: Any = containers.decode

    def counting_decode(*args: Any, **kwargs: Any) -> Iterator[Any]:
        nonlocal decoded
        for piece in decode(*args, **kwargs):
            decoded += len(piece[0])
            yield piece

    monkeypatch.setattr(containers, "decode", counting_decode)
    with pytest.raises(AudioTooLong):
        audio.inspect(io.BytesIO(flac_of_zeros(10, announced=announced)), max_duration_s=600, max_channels=8)
    assert decoded <= most_s * 8_000


def test_the_ten_hours_are_whole_zeros() -> None:
    made = soundfile.info(io.BytesIO(flac_of_zeros(10, announced=True)))
    assert made.duration == pytest.approx(36_000, abs=10)
    samples = soundfile.read(io.BytesIO(flac_of_zeros(0.02, announced=True)))[0]
    assert len(samples) == 8 * 65_535
    assert not samples.any()


NO_FILE = {
    "no form": (b"", {}, "multipart/form-data"),
    "JSON": (b'{"file": "a.wav"}', {"content-type": "application/json"}, "multipart/form-data"),
    "audio as the body": (WAV, {"content-type": "audio/wav"}, "multipart/form-data"),
    "a form in the address's notation": (
        b"file=abc&model=demo",
        {"content-type": "application/x-www-form-urlencoded"},
        "multipart/form-data",
    ),
    "other fields alone": (
        form(part('Content-Disposition: form-data; name="model"', b"demo")),
        MULTIPART,
        "no field 'file'",
    ),
    "the file under another name": (
        form(part('Content-Disposition: form-data; name="audio"; filename="a.wav"', WAV)),
        MULTIPART,
        "no field 'file'",
    ),
    "a form without fields": (form(), MULTIPART, "no field 'file'"),
    "a form that breaks off": (
        part('Content-Disposition: form-data; name="file"; filename="a.wav"', GOOD)[:-500],
        MULTIPART,
        "file",
    ),
}


@pytest.mark.parametrize("name", NO_FILE)
def test_a_request_without_a_file_says_so(client: TestClient, name: str) -> None:
    body, headers, says = NO_FILE[name]
    response = client.post(ROUTE, content=body, headers=headers)
    assert says in message_of(response, 400, "file")
    assert_works(client)


MALFORMED = {
    "no boundary": (form(part('Content-Disposition: form-data; name="file"', WAV)), "multipart/form-data"),
    "another boundary": (form(part('Content-Disposition: form-data; name="file"', WAV)), "other"),
    "no name": (form(part("Content-Disposition: form-data", WAV)), BOUNDARY),
    "no disposition": (form(part("Content-Type: audio/wav", WAV)), BOUNDARY),
    "a header without colon": (form(part("Content-Disposition form-data", WAV)), BOUNDARY),
    "no form at all": (b"This is not a form.", BOUNDARY),
    "two files": (
        form(
            part('Content-Disposition: form-data; name="file"; filename="a.wav"', WAV),
            part('Content-Disposition: form-data; name="file"; filename="b.wav"', WAV),
        ),
        BOUNDARY,
    ),
    "two files without names": (
        form(*[part('Content-Disposition: form-data; name="file"', WAV)] * 2),
        BOUNDARY,
    ),
    "a hundred fields": (
        form(*[part('Content-Disposition: form-data; name="model"', b"demo")] * 100),
        BOUNDARY,
    ),
    "three MB in small fields": (
        form(
            *[part('Content-Disposition: form-data; name="prompt"', b"x" * 100_000)] * 30,
            part('Content-Disposition: form-data; name="file"', GOOD),
        ),
        BOUNDARY,
    ),
    "a field of 2 MB": (
        form(part('Content-Disposition: form-data; name="prompt"', b"x" * 2_000_000)),
        BOUNDARY,
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_form_is_refused(client: TestClient, name: str) -> None:
    body, boundary = MALFORMED[name]
    content_type = boundary if "/" in boundary else f"multipart/form-data; boundary={boundary}"
    response = client.post(ROUTE, content=body, headers={"content-type": content_type})
    assert response.status_code == 400, response.text
    message_of(response, 400, response.json()["error"]["param"])
    assert_works(client)


@pytest.mark.parametrize("charset", ["latin-1", "UTF-8", "nonsense", "hex", "idna", "punycode", "utf-16"])
def test_a_charset_of_the_form_does_no_harm(client: TestClient, charset: str) -> None:
    body = form(
        part('Content-Disposition: form-data; name="prompt"', b"xn--\xff\xfe..\x80"),
        part('Content-Disposition: form-data; name="file"; filename="a.wav"', GOOD),
    )
    headers = {"content-type": f"multipart/form-data; charset={charset}; boundary={BOUNDARY}"}
    response = client.post(ROUTE, content=body, headers=headers)
    assert response.status_code == (200 if charset in ("latin-1", "UTF-8") else 400), response.text


FILE_HEADERS = {
    "no file name": 'Content-Disposition: form-data; name="file"',
    "an empty file name": 'Content-Disposition: form-data; name="file"; filename=""',
    "a path upwards": 'Content-Disposition: form-data; name="file"; filename="../../../../tmp/evil.wav"',
    "an absolute path": 'Content-Disposition: form-data; name="file"; filename="/etc/passwd"',
    "a path of Windows": 'Content-Disposition: form-data; name="file"; filename="C:\\\\audio\\\\a.wav"',
    "a URL": 'Content-Disposition: form-data; name="file"; filename="http://127.0.0.1:9/a.wav"',
    "a pipe": 'Content-Disposition: form-data; name="file"; filename="| touch evil"',
    "unicode": 'Content-Disposition: form-data; name="file"; filename="Röntgen 胸部 🫁.wav"',
    "unicode by RFC 5987": "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''R%C3%B6ntgen.wav",
    "a long file name": f'Content-Disposition: form-data; name="file"; filename="{"a" * 3_000}.wav"',
    "the wrong suffix": 'Content-Disposition: form-data; name="file"; filename="a.mp3"',
    "a NUL": 'Content-Disposition: form-data; name="file"; filename="a\x01b.wav"',
    "text as the type": 'Content-Disposition: form-data; name="file"; filename="a"\r\n'
    "Content-Type: text/plain",
    "video as the type": 'Content-Disposition: form-data; name="file"; filename="a"\r\n'
    "Content-Type: video/mp4",
    "nonsense as the type": 'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: ;;=',
    "capital letters": 'CONTENT-DISPOSITION: form-data; name="file"; filename="a.wav"',
}


@pytest.mark.parametrize("name", FILE_HEADERS)
def test_a_file_name_and_a_type_mean_nothing(client: TestClient, name: str) -> None:
    plain = send(client, GOOD).json()
    response = client.post(ROUTE, content=form(part(FILE_HEADERS[name], GOOD)), headers=MULTIPART)
    assert response.status_code == 200, response.text
    assert response.json() == plain


PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "German": ({"language": "de"}, "language"),
    "a language that is none": ({"language": "entish"}, "language"),
    "another model": ({"model": "whisper-1"}, "model"),
    "a long model": ({"model": "x" * 10_000}, "model"),
    "a stream of subtitles": ({"stream": "true", "response_format": "srt"}, "response_format"),
    "stream that is no boolean": ({"stream": "perhaps"}, "stream"),
    "hot": ({"temperature": "3"}, "temperature"),
    "below zero": ({"temperature": "-0.1"}, "temperature"),
    "temperature that is no number": ({"temperature": "warm"}, "temperature"),
    "temperature NaN": ({"temperature": "nan"}, "temperature"),
    "no window": ({"chunk_length_s": "0"}, "chunk_length_s"),
    "a window too long": ({"chunk_length_s": "31"}, "chunk_length_s"),
    "a window of NaN": ({"chunk_length_s": "nan"}, "chunk_length_s"),
    "a window without end": ({"chunk_length_s": "inf"}, "chunk_length_s"),
    "a window of 1e400": ({"chunk_length_s": "1e400"}, "chunk_length_s"),
    "a window that is text": ({"chunk_length_s": "long"}, "chunk_length_s"),
    "a stride too large": ({"stride_length_s": "10"}, "stride_length_s"),
    "a stride too large for the window": (
        {"chunk_length_s": "5", "stride_length_s": "2.5"},
        "stride_length_s",
    ),
    "a stride below zero": ({"stride_length_s": "-1"}, "stride_length_s"),
    "a stride of NaN": ({"stride_length_s": "nan"}, "stride_length_s"),
    "a format that is none": ({"response_format": "docx"}, "response_format"),
    "bad granularity": (
        {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "letter"]},
        "timestamp_granularities",
    ),
    "granularity without verbose_json": ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
    "granularity of words, in another spelling, without verbose_json": (
        {"timestamp_granularities[0]": "segment,word"},
        "timestamp_granularities",
    ),
    "languages of which one is not English": ({"languages[]": ["en", "de"]}, "languages"),
    "Middle English": ({"language": "enm"}, "language"),
    "names of speakers": ({"known_speaker_names[]": "patient"}, "known_speaker_names"),
    "voices of speakers": (
        {"known_speaker_references[]": "data:audio/wav;base64,UklGRg=="},
        "known_speaker_references",
    ),
    "speakers told apart": ({"response_format": "diarized_json"}, "response_format"),
    "chunks by an unknown strategy": ({"chunking_strategy": "semantic"}, "chunking_strategy"),
    "chunks by an unknown object": ({"chunking_strategy": '{"type": "fixed"}'}, "chunking_strategy"),
    "chunks by an object of many levels": ({"chunking_strategy": "[" * 2_000}, "chunking_strategy"),
    "chunks with a threshold that is none": (
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "high"},
        "chunking_strategy",
    ),
    "include without json": ({"response_format": "text", "include[]": "logprobs"}, "include"),
    "an include that is none": ({"include[]": "secrets"}, "include"),
    "a keyword that is a page": ({"keywords[]": "x" * 5_000}, "keywords"),
    "a formatting that is none": ({"formatting": "pretty"}, "formatting"),
    "a decoding that is none": ({"decoding": "beam"}, "decoding"),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_bad_parameter_is_named(client: TestClient, name: str) -> None:
    fields, param = PARAMETERS[name]
    assert len(message_of(send(client, GOOD, **fields), 400, param)) < 500
    query = client.post(ROUTE, files={"file": ("a.wav", GOOD)}, params=fields)
    message_of(query, 400, param)
    assert_works(client)


def test_a_bad_parameter_is_named_before_the_recording_is_read(client: TestClient) -> None:
    message_of(send(client, b"not audio", language="de"), 400, "language")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", ROUTE, 405),
        ("PUT", ROUTE, 405),
        ("GET", "/v1/audio/translations", 405),
        ("POST", "/v1/audio/speech", 404),
        ("GET", "/../etc", 404),
    ],
)
def test_a_wrong_route_is_refused_in_the_same_shape(
    client: TestClient, method: str, path: str, status: int
) -> None:
    message_of(client.request(method, path), status, None)


def test_an_unexpected_failure_tells_nothing_of_its_cause(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret of /srv/patients")

    monkeypatch.setattr(Transcriber, "inspect", fail)
    response = send(client, GOOD)
    assert response.status_code == 500
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    assert "secret" not in response.text
    assert "patients" not in response.text


def test_bad_recordings_disturb_no_good_one_at_the_same_time(client: TestClient) -> None:
    alone = send(client, GOOD).json()
    names = ["a truncated FLAC", "NaN", "text", "100 channels"]
    clips = [clip for name in names for clip in (BAD[name][0], GOOD)]
    with ThreadPoolExecutor(len(clips)) as pool:
        responses = list(pool.map(lambda data: send(client, data), clips))
    assert [response.json() for response in responses[1::2]] == [alone] * len(names)
    assert [response.status_code for response in responses[::2]] == [BAD[name][1] for name in names]


class Exchange:
    """One request to an ASGI application, with what it reads counted."""

    def __init__(self, app: ASGIApp, chunks: Iterable[bytes], headers: dict[str, str]) -> None:
        self._app = app
        self._chunks = iter(chunks)
        self._headers = [(k.lower().encode(), v.encode()) for k, v in headers.items()]
        self.read = 0
        self._complete = False
        self.sent: list[Message] = []

    async def run(self) -> httpx.Response:
        scope = http_scope(headers=self._headers)
        await self._app(scope, self._receive, self._send)
        start, *bodies = self.sent
        content = b"".join(message.get("body", b"") for message in bodies)
        return httpx.Response(start["status"], headers=start["headers"], content=content)

    async def _receive(self) -> Message:
        if self._complete:
            await asyncio.Event().wait()  # the client waits for the answer
        chunk = next(self._chunks, None)
        self._complete = chunk is None
        self.read += len(chunk or b"")
        return {"type": "http.request", "body": chunk or b"", "more_body": not self._complete}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


MIB = 1 << 20


def _upload(mib: float) -> Iterator[bytes]:
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
    for _ in range(int(mib * 16)):
        yield bytes(MIB // 16)
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture
def limited(make_client: Callable[..., TestClient]) -> ASGIApp:
    return BodyLimit(make_client(max_upload_mb=1).app, 1, Patience(30))


async def test_an_announced_upload_over_the_limit_is_refused_unread(limited: ASGIApp) -> None:
    exchange = Exchange(limited, _upload(50), {**MULTIPART, "Content-Length": str(50 * MIB)})
    message = message_of(await exchange.run(), 413, None, "upload_too_large")
    assert "1 MiB" in message
    assert exchange.read == 0


@pytest.mark.parametrize("announced", [None, "1000"])
async def test_an_upload_over_the_limit_is_read_no_further(limited: ASGIApp, announced: str | None) -> None:
    length = {"Content-Length": announced} if announced else {}
    exchange = Exchange(limited, _upload(50), {**MULTIPART, **length})
    message_of(await exchange.run(), 413, None, "upload_too_large")
    assert exchange.read < 2.2 * MIB  # the limit, the room for other fields, one block


async def test_an_upload_over_the_limit_ends_the_connection(limited: ASGIApp) -> None:
    response = await Exchange(limited, _upload(50), MULTIPART).run()
    assert response.headers["connection"] == "close"
    assert response.headers["content-type"] == "application/json"


def test_an_upload_within_the_limit_passes(limited: ASGIApp) -> None:
    client = TestClient(limited)
    assert send(client, encode(np.zeros(500_000))).status_code == 200  # 0.95 MiB
    message_of(send(client, encode(np.zeros(1_100_000))), 413, None, "upload_too_large")  # 2.1 MiB
    assert_works(client)


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)])
async def test_the_limit_is_that_of_the_recording_to_the_byte(
    limited: ASGIApp, over: int, status: int
) -> None:
    """However much the rest of the form has."""
    wav = encode(np.zeros((MIB - 44) // 2 - 6))  # and a chunk of silence's size, to be just as large
    recording = wav + bytes(MIB + over - len(wav))
    recording = with_header(recording, 40, "<I", MIB + over - 44)
    recording = with_header(recording, 4, "<I", MIB + over - 8)
    fields = [part('Content-Disposition: form-data; name="prompt"', b"x" * 1000)] * 900
    body = form(*fields, part(FILE_HEADERS["no file name"], recording))
    answer = await Exchange(limited, [body], {**MULTIPART, "Content-Length": str(len(body))}).run()
    assert answer.status_code == status, answer.text
    if status == 413:
        message_of(answer, 413, None, "upload_too_large")
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("announced", ["-1", "abc", "", "1e9"])
async def test_a_length_that_is_no_number_does_no_harm(limited: ASGIApp, announced: str) -> None:
    body = form(part(FILE_HEADERS["no file name"], GOOD))
    exchange = Exchange(limited, [body], {**MULTIPART, "Content-Length": announced})
    assert (await exchange.run()).status_code in (200, 400)


MAGIC = [
    b"RIFF\xff\xff\xff\x7fWAVEfmt ",
    b"RIFX",
    b"RF64",
    b"fLaC\x00\x00\x00\x22",
    b"OggS\x00\x02",
    b"ID3\x04\x00\x00\x00\x00\x00\x00",
    b"\xff\xfb\x90\x64",
    b"\x00\x00\x00\x20ftypM4A ",
    b"\x00\x00\x00\x08moov",
    b"\x00\x00\x00\x08mdat",
    b"\x1aE\xdf\xa3",
    b"\xff\xf1\x50\x80",
    b"FORM\x00\x00\x10\x00AIFF",
    b".snd",
    b"caff",
]


@pytest.mark.parametrize("magic", MAGIC, ids=repr)
def test_noise_behind_a_known_head_is_refused(client: TestClient, magic: bytes) -> None:
    @settings(
        max_examples=8,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(max_size=3_000))
    def check(noise: bytes) -> None:
        response = send(client, magic + noise)
        message_of(response, response.status_code, "file")
        assert response.status_code in (400, 413, 415)

    check()


WHOLE: dict[str, Callable[[], bytes]] = {**CUT, "AAC": lambda: ffmpeg(WAV, "aac", piped=True)}


@pytest.mark.parametrize("name", WHOLE)
def test_a_flipped_byte_never_fails_the_service(name: str) -> None:
    data = WHOLE[name]()

    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.tuples(st.integers(0, min(len(data), 2_000) - 1), st.integers(0, 255)), max_size=8))
    def check(flips: list[tuple[int, int]]) -> None:
        broken = bytearray(data)
        for at, value in flips:
            broken[at] = value
        # a refusal is fine, any other exception is not
        with suppress(InvalidAudio):
            audio.inspect(io.BytesIO(broken), max_duration_s=60, max_channels=8)

    check()
