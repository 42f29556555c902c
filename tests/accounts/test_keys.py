"""Keys with names: what a file of them may say, and how it is read again."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from medasr_service.accounts import keys_file
from medasr_service.accounts.keys import Keys, digest, new, parse, read
from medasr_service.errors import UsageError

ALICE, BOB = "alice-0123456789abcdef", "bob-0123456789abcdef"


def entry(name: str, key: str, more: str = "") -> str:
    return f'[{name}]\nsha256 = "{digest(key).hex()}"\n{more}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.toml"
    file.write_text(entry("alice", ALICE))
    return file


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    log = logging.getLogger("bentoml.medasr")
    log.propagate, before = True, log.propagate
    with caplog.at_level("INFO", "bentoml.medasr"):
        yield caplog
    log.propagate = before


def load(file: Path, *keys: str, now_s: float = 0.0) -> Keys:
    found = Keys(keys, file, clock=lambda: now_s)
    found.reload()
    return found


def test_a_key_is_found_by_its_name_and_what_is_not_there_is_not(file: Path) -> None:
    keys = load(file, BOB)
    assert [key and key.name for key in map(keys.find, (ALICE, BOB))] == [
        "alice",
        f"key-{digest(BOB).hex()[:8]}",
    ]
    for wrong in (None, "", ALICE[:-1], ALICE.upper(), digest(ALICE).hex()):
        assert keys.find(wrong) is None


def test_a_file_without_a_key_lets_nobody_in(tmp_path: Path) -> None:
    empty = tmp_path / "keys.toml"
    empty.touch()
    keys = load(empty)
    assert not keys.is_open
    assert keys.find(ALICE) is None
    assert Keys().is_open


def test_limits_and_two_keys_of_one_name() -> None:
    digests = ", ".join(f'"{digest(key).hex().upper()}"' for key in (ALICE, BOB))
    [key] = parse(
        f"[ward]\nsha256 = [{digests}]\n"
        "requests_per_minute = 60\naudio_seconds_per_hour = 1\nlive_sessions = 0"
    )
    assert key.sha256 == (digest(ALICE).hex(), digest(BOB).hex())
    assert (key.requests_per_minute, key.audio_seconds_per_hour, key.live_sessions) == (60, 1, 0)


@pytest.mark.parametrize("until", ["2027-01-01", "2027-01-01T00:00:00", "2027-01-01T02:00:00+02:00"])
def test_a_key_ends_with_the_moment_that_is_named(tmp_path: Path, until: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(entry("alice", ALICE, f"expires = {until}"))
    for now_s, has_ended in ((1_798_761_599, False), (1_798_761_600, True)):
        keys = load(file, now_s=now_s)
        key = keys.find(ALICE)
        assert key
        assert keys.has_expired(key) is has_ended
        assert keys.lets_in(digest(ALICE)) is not has_ended


GOOD = digest(ALICE).hex()
WRONG = {
    "no TOML": ("[alice\n", "not TOML .at line 1"),
    "a value that is cut off": (f'[alice]\nsha256 = "{GOOD[:20]}', "not TOML .at end of document"),
    "a key in plain": (f'[alice]\nsha256 = "{ALICE}"', r"\[alice\] sha256: the SHA-256"),
    "no digest": ("[alice]", r"\[alice\] sha256: Field required"),
    "an empty list": ("[alice]\nsha256 = []", r"\[alice\] sha256"),
    "a number": ("[alice]\nsha256 = 5", r"\[alice\] sha256"),
    "no table": (f'alice = "{GOOD}"', "alice is no table"),
    "a misspelt limit": (entry("alice", ALICE, "request_per_minute = 5"), r"\[alice\] has something"),
    "a name inside": (entry("alice", ALICE, 'name = "bob"'), r"\[alice\]"),
    "a limit of none": (entry("alice", ALICE, "requests_per_minute = 0"), r"\[alice\] requests_per_minute"),
    "a limit in words": (entry("alice", ALICE, 'live_sessions = "2"'), r"\[alice\] live_sessions"),
    "a limit that is no number": (entry("alice", ALICE, "live_sessions = true"), r"\[alice\] live_sessions"),
    "a date in words": (entry("alice", ALICE, 'expires = "soon"'), r"\[alice\] expires: write it as"),
    "a key twice": (entry("alice", ALICE) + entry("bob", ALICE), "stands there twice"),
    "a name twice": (entry("alice", ALICE) + entry("alice", BOB), "not TOML"),
    "a name with a dot": (entry("ward.3", ALICE), r"ward is no table|\[ward\]"),
    "a name with a space": (entry('"ward 3"', ALICE), "a name has"),
    "a name with a line in it": (entry('"a\\nb"', ALICE), "a name has"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_one_line_that_shows_no_key(tmp_path: Path, name: str) -> None:
    text, said = WRONG[name]
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said) as wrong:
        read(file)
    assert "\n" not in wrong.value.message
    assert ALICE not in wrong.value.message
    assert GOOD[:16] not in wrong.value.message


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="Is a directory"):
        read(tmp_path)
    (tmp_path / "keys").write_bytes(b"\xff\xfe[a]")
    with pytest.raises(UsageError, match="not UTF-8"):
        read(tmp_path / "keys")
    (tmp_path / "keys").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(UsageError, match="more than 1,048,576 bytes"):
        read(tmp_path / "keys")


def test_a_change_holds_once_the_file_is_at_rest(file: Path) -> None:
    keys = load(file)
    file.write_text(entry("bob", BOB))
    keys.look()
    assert keys.find(ALICE)  # whoever writes may not be done yet
    keys.look()
    assert keys.names == ["bob"]
    assert not keys.lets_in(digest(ALICE))


def test_a_file_that_is_put_in_the_place_of_the_other_is_taken(file: Path) -> None:
    keys, before = load(file), file.stat()
    other = file.with_name("new")
    other.write_text(entry("carol", ALICE))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))  # as old, and as long
    other.rename(file)
    keys.look()
    keys.look()
    assert keys.names == ["carol"]


@pytest.mark.parametrize("broken", ["[alice", None])
def test_a_broken_file_keeps_the_keys_and_is_told_once(
    file: Path, said: pytest.LogCaptureFixture, broken: str | None
) -> None:
    keys = load(file)
    said.clear()
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    for _ in range(4):
        keys.look()
    assert keys.find(ALICE)
    [line] = [record.getMessage() for record in said.records]
    assert str(file) in line
    assert "the 1 from before stay" in line
    file.write_text(entry("bob", BOB))
    keys.look()
    keys.look()
    assert keys.names == ["bob"]
    assert said.records[-1].getMessage() == "1 keys in the file; new: bob; gone: alice"


def test_a_new_key_is_added_and_everything_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    for name in ("alice", "bob"):
        keys_file.add(file, keys_file.section(name, digest(name).hex(), requests_per_minute=5, expires=None))
    file.write_text(f"# ours\n{file.read_text().rstrip()}\n\n# of the second floor\n{entry('carol', ALICE)}")
    file.chmod(0o640)
    keys_file.revoke(file, "bob")
    assert [key.name for key in read(file)] == ["alice", "carol"]
    assert file.read_text().startswith("# ours\n[alice]\n")
    assert "# of the second floor\n[carol]" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", ["alice", "", "a b", "-a", "a.b", "x" * 65])
def test_what_cannot_be_added_changes_nothing(file: Path, name: str) -> None:
    before = file.read_text()
    with pytest.raises(UsageError):
        keys_file.add(file, keys_file.section(name, digest(BOB).hex()))
    with pytest.raises(UsageError, match="no key"):
        keys_file.revoke(file, "nobody")
    assert file.read_text() == before


def test_a_way_to_write_that_is_not_understood_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f'alice = {{ sha256 = "{GOOD}" }}\n')
    with pytest.raises(UsageError, match="only you can change"):
        keys_file.revoke(file, "alice")
    assert read(file)


def test_no_two_new_keys_are_alike() -> None:
    keys = {new() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) >= 48 and key.isascii() and key.startswith("medasr_") for key in keys)
