"""Each file of a model is read once per start, and again when it is another one."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from medasr_service.model import digests

CONTENT = b"weights"


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """As a process that has read nothing yet."""
    digests._known.cache_clear()
    yield
    digests._known.cache_clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    return path


def test_the_digest_is_that_of_the_content(file: Path) -> None:
    assert digests.sha256(file) == hashlib.sha256(CONTENT).hexdigest()


def test_what_one_process_has_read_another_need_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = digests.sha256(file)
    monkeypatch.setenv(digests.VARIABLE, digests.to_tell())
    digests._known.cache_clear()
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("it was read again"))
    assert digests.sha256(file) == read


def test_a_file_that_was_changed_in_place_is_read_again(file: Path) -> None:
    before, stat = digests.sha256(file), file.stat()
    file.write_bytes(CONTENT[::-1])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert digests.sha256(file) != before


def test_a_file_that_was_replaced_is_read_again(file: Path) -> None:
    before, stat = digests.sha256(file), file.stat()
    other = file.with_suffix(".new")
    other.write_bytes(CONTENT[::-1])
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(file)
    assert digests.sha256(file) != before
