"""Where sound and text of jobs lie."""

import errno
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medasr_service.errors import NoRoom
from medasr_service.jobs.sealed import Seal
from medasr_service.jobs.store import Store, StoreAway, made_s, new_place
from tests.jobs.conftest import MASTER

PLACE = new_place(1_700_000_000.5)


def files(store: Store) -> set[str]:
    root = Path(str(store.folder))
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_a_place_says_when_it_was_made_and_cannot_be_guessed() -> None:
    assert made_s(PLACE) == 1_700_000_000.5
    assert new_place(1_700_000_001) > PLACE
    assert new_place(1.0) != new_place(1.0)


def test_what_is_written_is_read_under_the_same_name_alone(store: Store) -> None:
    store.write(PLACE, "record", [b"what", b" was said"], about="a")
    assert store.load(PLACE, "record", about="a") == b"what was said"
    assert store.load(PLACE, "record", about="b") is None
    assert store.load(PLACE, "sound") is None
    assert files(store) == {f"{PLACE}/record"}
    assert b"said" not in (Path(str(store.folder)) / PLACE / "record").read_bytes()
    assert Path(str(store.folder)).stat().st_mode & 0o077 == 0


def test_a_file_that_was_cut_counts_as_none(store: Store) -> None:
    store.write(PLACE, "result", [b"text"])
    path = Path(str(store.folder)) / PLACE / "result"
    path.write_bytes(path.read_bytes()[:-1])
    assert store.load(PLACE, "result") is None


def test_a_file_that_is_written_again_is_whole_before_and_after(store: Store) -> None:
    store.write(PLACE, "part-0", [b"one"])

    def broken() -> Iterator[bytes]:
        yield b"two"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.write(PLACE, "part-0", broken())
    assert store.load(PLACE, "part-0") == b"one"
    assert files(store) == {f"{PLACE}/part-0"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_leaves_nothing_behind(store: Store, number: int) -> None:
    def full() -> Iterator[bytes]:
        yield b"some"
        raise OSError(number, "full")

    with pytest.raises(NoRoom):
        store.write(PLACE, "sound", full())
    assert files(store) == set()


def test_files_go_by_name_by_pattern_and_with_their_place(store: Store) -> None:
    for name in ("sound", "window-0", "window-11", "part-0", "result"):
        store.write(PLACE, name, [b""])
    store.remove(PLACE, "window-*", "sound", "never-there")
    assert files(store) == {f"{PLACE}/part-0", f"{PLACE}/result"}
    assert store.places() == [PLACE]
    store.remove(PLACE)
    store.remove(PLACE)
    assert store.places() == []


def test_a_file_that_goes_by_itself_meanwhile_keeps_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(PLACE, "sound", [b"x"])
    remove, calls = store._files.rm, []

    def rm(path: str, recursive: bool) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise FileNotFoundError  # as shutil.rmtree does, in the middle
        remove(path, recursive=recursive)

    monkeypatch.setattr(store._files, "rm", rm)
    store.remove(PLACE)
    assert files(store) == set()


@pytest.mark.parametrize("place", ["", ".", "..", "../x", "a" * 27, PLACE + "/x", PLACE.upper()])
def test_nothing_but_a_place_is_touched(store: Store, place: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        store.remove(place)


@pytest.fixture(params=["memory", "s3"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    root = f"memory://{tmp_path.name}" if request.param == "memory" else request.getfixturevalue("s3")
    return Store(f"{root}/jobs", Seal([MASTER]))


def test_it_lies_wherever_files_appear_whole(elsewhere: Store) -> None:
    store = elsewhere
    store.write(PLACE, "window-1", [b"x" * 1000])
    assert store.folder is None
    assert store.places() == [PLACE]
    assert store.has(PLACE, "window-1")
    assert not store.has(PLACE, "result")
    assert store.load(PLACE, "window-1") == b"".join(store.read(PLACE, "window-1")) == b"x" * 1000
    store.write(PLACE, "sound", [b""])
    store.remove(PLACE, "window-*", "never-there")
    assert store.load(PLACE, "window-1") is None
    store.remove(PLACE)
    store.remove(PLACE)
    assert store.places() == []


def test_what_another_machine_writes_is_seen_at_once(s3: str) -> None:
    one, other = (Store(f"{s3}/jobs", Seal([MASTER])) for _ in range(2))
    assert not one.has(PLACE, "result")
    assert one.places() == []
    other.write(PLACE, "result", [b"text"])
    assert one.has(PLACE, "result")
    assert one.places() == [PLACE]


@pytest.mark.parametrize("size_mb", [1, 51], ids=["in one piece", "in several"])
def test_of_a_write_that_breaks_off_a_store_has_nothing(s3: str, size_mb: int) -> None:
    """s3fs would put what it has when its file is closed; above 50 MB parts of it are in the bucket then."""
    store = Store(f"{s3}/jobs", Seal([MASTER]))
    store.write(PLACE, "part-0", [b"one"])

    def broken() -> Iterator[bytes]:
        for _ in range(size_mb):
            yield bytes(1 << 20)
        raise NoRoom

    with pytest.raises(NoRoom):
        store.write(PLACE, "part-0", broken())
    gc.collect()  # which closes files that are lost
    assert store.load(PLACE, "part-0") == b"one"
    begun = store._files.call_s3("list_multipart_uploads", Bucket=s3.removeprefix("s3://"))
    assert "Uploads" not in begun


@pytest.mark.parametrize("question", ["info", "cat_file", "open", "glob", "rm", "ls"])
def test_a_store_that_does_not_answer_is_not_an_empty_one(
    elsewhere: Store, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    class Strange(Exception): ...

    def away(*_: object, **__: object) -> None:
        raise Strange("no route to a host whose name is nobody's business")

    elsewhere.write(PLACE, "result", [b"text"])
    monkeypatch.setattr(elsewhere._files, question, away)
    asked: dict[str, Callable[[], object]] = {
        "info": lambda: elsewhere.has(PLACE, "result"),
        "cat_file": lambda: elsewhere.load(PLACE, "result"),
        "open": lambda: list(elsewhere.read(PLACE, "result")),
        "glob": lambda: elsewhere.remove(PLACE, "window-*"),
        "rm": lambda: elsewhere.remove(PLACE),
        "ls": elsewhere.places,
    }
    with pytest.raises(StoreAway) as raised:
        asked[question]()
    assert raised.value.status == 503
    assert "host" not in raised.value.message


def test_a_folder_that_is_away_for_a_while_is_not_an_empty_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(store._files, "info", stale)
    with pytest.raises(StoreAway):
        store.has(PLACE, "result")


@pytest.mark.parametrize(
    "root", ["sftp://host/jobs", "http://host/jobs", "file+x://jobs", "simplecache::s3://a"]
)
def test_what_shows_files_by_halves_is_no_place_for_jobs(root: str) -> None:
    with pytest.raises(ValueError, match="neither a folder nor one of"):
        Store(root, Seal([MASTER]))
