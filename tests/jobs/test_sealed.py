"""What is sealed is read by nobody else, and not at all where a byte of it is another."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.jobs import sealed
from medasr_service.jobs.sealed import CHUNK_BYTES, Broken, KeyUnusable, Seal
from medasr_service.settings import Settings
from tests.jobs.conftest import MASTER

OTHER = b"another key, of thirty-two bytes"
SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7)
SEAL = Seal([MASTER])


def sealed_bytes(content: bytes, name: str = "a/sound") -> bytes:
    return b"".join(SEAL.seal(name, [content]))


def opened(data: bytes, name: str = "a/sound", seal: Seal = SEAL) -> bytes:
    return b"".join(seal.open(name, [data]))


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_is_opened_again(size: int) -> None:
    content = (b"what was said " * (size // 14 + 1))[:size]
    data = sealed_bytes(content)
    assert opened(data) == content
    assert b"said" not in data
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    assert b"".join(SEAL.open("a/sound", pieces)) == content


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_it_does_not_matter_in_which_pieces_it_comes(pieces: list[bytes]) -> None:
    assert opened(b"".join(SEAL.seal("a/sound", pieces))) == b"".join(pieces)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_cut_is_refused_wherever_it_was(size: int) -> None:
    data = sealed_bytes(bytes(size))
    ends = {0, 1, 23, 24, len(data) - 1, len(data) - 16, 24 + CHUNK_BYTES + 16, 24 + 2 * (CHUNK_BYTES + 16)}
    for end in ends:
        if 0 <= end < len(data):
            with pytest.raises(Broken):
                opened(data[:end])
    with pytest.raises(Broken):
        opened(data + b"\0")


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_is_refused(at: int, by: int) -> None:
    data = bytearray(sealed_bytes(b"ten milligrams" * 100))
    data[at % len(data)] ^= by
    with pytest.raises(Broken):
        opened(bytes(data))


def test_chunks_that_change_places_are_refused() -> None:
    data = sealed_bytes(bytes(3 * CHUNK_BYTES))
    size = CHUNK_BYTES + 16
    first, second = data[24 : 24 + size], data[24 + size : 24 + 2 * size]
    with pytest.raises(Broken):
        opened(data[:24] + second + first + data[24 + 2 * size :])


def test_a_file_under_another_name_or_key_is_refused() -> None:
    data = sealed_bytes(b"text")
    with pytest.raises(Broken):
        opened(data, "b/sound")
    with pytest.raises(Broken):
        opened(data, seal=Seal([OTHER]))


def test_a_key_can_be_changed_while_files_of_the_old_one_are_kept() -> None:
    data = sealed_bytes(b"text")
    assert opened(data, seal=Seal([OTHER, MASTER])) == b"text"
    assert SEAL.names("job", "x")[0] == Seal([OTHER, MASTER]).names("job", "x")[1]


def test_the_keys_are_those_of_the_settings(tmp_path: Path) -> None:
    first, second = (base64.b64encode(key).decode() for key in (MASTER, OTHER))
    assert sealed.keys(Settings(jobs_key=f"{first},{second}")) == [MASTER, OTHER]
    file = tmp_path / "key"
    file.write_text(first + "\n")
    assert sealed.keys(Settings(jobs_key_file=file)) == [MASTER]


@pytest.mark.parametrize(
    "text", ["", " ", "short", "not base64!", base64.b64encode(b"31 bytes" * 4).decode()[:-4]]
)
def test_what_is_no_key_is_said_without_showing_it(text: str) -> None:
    with pytest.raises(KeyUnusable) as refused:
        sealed.keys(Settings(jobs_key=text or None))
    assert not text.strip() or text not in str(refused.value)
    assert "openssl rand -base64 32" in str(refused.value)
