"""Runs over an archive: each recording once, whatever was there before."""

import json
import logging
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import medasr_service.archive
from medasr_service.archive import places, worker
from medasr_service.archive.places import Place, SourceFailed, TargetFailed
from medasr_service.errors import UsageError
from tests.archive.conftest import SHORT, Archive, Watcher
from tests.conftest import CLIPS, PATIENCE_S

pytestmark = pytest.mark.usefixtures("one_engine")


def test_each_recording_has_one_row_and_a_second_run_does_nothing(archive: Archive) -> None:
    for at, clip in enumerate(SHORT):
        archive.add(f"2024/{at}.flac", clip)
    watcher = Watcher()
    report = archive.run(watcher)
    assert (report.now.recordings, report.before.recordings, report.now.failed) == (4, 0, 0)
    assert (watcher.pending, watcher.rows) == (4, 4)
    assert len(archive.texts()) == 4
    written = {part: part.stat().st_mtime_ns for part in archive.parts}
    report = archive.run()
    assert (report.now.recordings, report.before.recordings) == (0, 4)
    assert {part: part.stat().st_mtime_ns for part in archive.parts} == written


def test_only_what_is_new_is_done(archive: Archive) -> None:
    archive.add("a.flac", SHORT[0])
    archive.run()
    [before] = archive.parts
    untouched = before.read_bytes()
    archive.add("b.flac", SHORT[1])
    assert archive.run().now.recordings == 1
    assert before.read_bytes() == untouched
    assert set(archive.texts()) == {"a.flac", "b.flac"}


def test_a_recording_that_has_changed_replaces_its_row(archive: Archive) -> None:
    archive.add("a.flac", SHORT[0])
    archive.add("b.flac", SHORT[1])
    archive.run()
    before = archive.texts()
    archive.add("a.flac", SHORT[2])
    assert archive.run().now.recordings == 1
    after = archive.texts()
    assert after["b.flac"] == before["b.flac"]
    assert after["a.flac"] != before["a.flac"]


def test_the_row_of_a_recording_that_is_gone_stays(archive: Archive) -> None:
    archive.add("a.flac", SHORT[0])
    gone = archive.add("b.flac", SHORT[1])
    archive.run()
    gone.unlink()
    archive.add("a.flac", SHORT[2])
    report = archive.run()
    assert (report.recordings, report.all.recordings) == (1, 1)
    assert set(archive.texts()) == {"a.flac", "b.flac"}


def test_a_broken_recording_is_a_row_and_tried_again_only_when_asked(archive: Archive) -> None:
    archive.add("a.flac", SHORT[0])
    (archive.source / "b.mp3").write_bytes(b"no sound at all")
    (archive.source / "c.wav").touch()
    report = archive.run()
    assert report.all.failures == {"unsupported_format": 1, "empty_audio": 1}
    assert archive.texts()["b.mp3"] == "unsupported_format"
    assert archive.run().now.recordings == 0
    assert archive.run(retry_failed=True).now.recordings == 2
    assert len(archive.texts()) == 3


def test_a_recording_that_changes_while_it_is_read_is_a_row_that_says_so(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = archive.add("a.flac", SHORT[0])
    whole = worker._sha256

    def grow(opened: Any) -> str:
        with file.open("ab") as more:
            more.write(b"\0")
        return whole(opened)

    with monkeypatch.context() as patch:
        patch.setattr(worker, "_sha256", grow)
        archive.run()
    [row] = archive.rows()
    assert (row.code, row.content.get("text")) == ("changed", None)
    archive.add("a.flac", SHORT[0])
    assert archive.run().now.recordings == 1
    assert archive.rows()[0].code == ""


@pytest.mark.parametrize(
    ("form", "damage"), [("jsonl", "flip"), ("jsonl", "cut"), ("jsonl", "empty"), ("parquet", "cut")]
)
def test_a_damaged_part_is_found_and_made_anew(archive: Archive, form: str, damage: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    for at, clip in enumerate(SHORT[:2]):
        archive.add(f"{at}.flac", clip)
    archive.run(format=form)
    before = archive.texts()
    [part] = archive.parts
    content = bytearray(part.read_bytes())
    if damage == "flip":
        content[len(content) // 3] ^= 1
    part.write_bytes(bytes({"flip": content, "cut": content[:-100], "empty": bytearray()}[damage]))
    report = archive.run(format=form)
    assert report.damaged_parts == (damage != "empty")
    assert 1 <= report.now.recordings <= 2
    assert archive.texts() == before


def test_a_row_that_is_there_twice_is_there_once_after_the_next_run(archive: Archive) -> None:
    archive.add("a.flac", SHORT[0])
    archive.run()
    [part] = archive.parts
    part.write_bytes(2 * part.read_bytes())
    report = archive.run()
    assert (report.damaged_parts, report.now.recordings) == (1, 0)
    assert len(archive.texts()) == 1


def test_other_settings_are_another_folder(archive: Archive) -> None:
    archive.add("a.flac", SHORT[0])
    first = archive.run()
    second = archive.run(settings={"max_gain": 2.0})
    assert first.folder != second.folder
    assert [report.now.recordings for report in (first, second)] == [1, 1]
    told = json.loads((Path(second.folder) / "conditions.json").read_text())
    assert told["gain"] == "up to 2"


def test_a_target_keeps_its_format(archive: Archive) -> None:
    pytest.importorskip("pyarrow")
    archive.add("a.flac", SHORT[0])
    archive.run()
    with pytest.raises(UsageError, match="has parts in jsonl"):
        archive.run(format="parquet")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_manifest_names_recordings_and_what_is_missing_is_a_row(archive: Archive, suffix: str) -> None:
    archive.add("sub/a.flac", SHORT[0])
    other = archive.add("b.flac", SHORT[1])
    names = ["sub/a.flac", str(other), "gone.flac"]
    manifest = archive.source / f"these{suffix}"
    if suffix == ".jsonl":
        manifest.write_text("".join(json.dumps({"audio": name}) + "\n" for name in names))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"audio": names, "id": [1, 2, 3]}), manifest)
    report = archive.run(source=str(manifest))
    assert (report.recordings, report.all.failures) == (3, {"not_found": 1})
    archive.add("gone.flac", SHORT[2])
    assert archive.run(source=str(manifest)).now.recordings == 1
    assert archive.run(source=str(manifest)).all.failed == 0


def test_a_pattern_names_recordings(archive: Archive) -> None:
    for name in ("a/1.flac", "a/2.flac", "b/1.flac"):
        archive.add(name)
    assert archive.run(source=f"{archive.source}/*/1.flac").recordings == 2


@pytest.mark.parametrize("store", ["memory", "s3", "sftp"])
def test_stores_are_sources_and_targets(archive: Archive, store: str, request: pytest.FixtureRequest) -> None:
    root = places.place("memory://a" if store == "memory" else request.getfixturevalue(store))
    put = root.fs.pipe_file
    root.fs.makedirs(root.at("in", "2024").path, exist_ok=True)
    for at, clip in enumerate(SHORT[:2]):
        put(root.at("in", "2024", f"{at}.flac").path, clip.read_bytes())
    put(root.at("in", "notes.doc").path, b"x")
    wanted: dict[str, Any] = {"source": root.at("in").url, "target": root.at("out").url, "shard": 4}
    report = archive.run(**wanted)
    assert (report.now.recordings, report.all.failed, report.passed_over) == (2, 0, 1)
    assert archive.run(**wanted).now.recordings == 0
    put(root.at("in", "2024", "0.flac").path, SHORT[2].read_bytes())
    put(root.at("in", "2024", "2.mp3").path, b"no sound at all")
    report = archive.run(**wanted, beside=("srt",))
    assert (report.now.recordings, report.all.failures) == (2, {"unsupported_format": 1})
    assert archive.run(**wanted, retry_failed=True).now.recordings == 1
    assert b"-->" in root.fs.cat_file(root.at("in", "2024", "0.flac.srt").path)
    names = [name for name in root.fs.find(root.at("out").path) if "/part-" in name]
    rows = [line for name in names for line in root.fs.cat_file(name).splitlines()]
    assert sorted(json.loads(row)["file"] for row in rows) == [
        root.at("in", "2024", name).url for name in ("0.flac", "1.flac", "2.mp3")
    ]
    assert archive.run(**{**wanted, "source": f"{root.at('in').url}/*/1.flac"}).now.recordings == 0


def test_a_host_that_is_not_known_gets_nothing(
    archive: Archive, sftp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(archive.source))
    other = sftp.replace("127.0.0.1", "localhost")
    with pytest.raises(UsageError, match="not found in known_hosts"):
        archive.run(source=other)


def test_no_password_is_in_the_name_of_a_recording(archive: Archive, sftp: str) -> None:
    with pytest.raises(UsageError, match="no password in it") as refused:
        archive.run(source=sftp.replace("sftp://", "sftp://me:secret@"))
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("password", ["secret", "sec/ret", "sec@ret", "se@c/r:ret", "s#ecret"])
@pytest.mark.parametrize("user", ["me", "me@clinic"])
def test_a_password_is_in_no_message_whatever_is_in_it(user: str, password: str) -> None:
    pytest.importorskip("paramiko", reason="paramiko is not installed (the extra test)")
    for protocol in ("sftp", "foo"):
        with pytest.raises(UsageError) as refused:
            places.place(f"{protocol}://{user}:{password}@127.0.0.1:1/folder")
        assert f"{protocol}://{user}@127.0.0.1:1/folder: " in refused.value.message
        said = refused.value.message.partition("/folder: ")[2]
        assert not [piece for piece in re.split(r"[/@:#]", password) if f"'{piece}'" in said]


def test_a_connection_that_is_lost_or_without_an_answer_is_made_anew(
    sftp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medasr_service.archive import sftp as connections

    monkeypatch.setattr(connections, "_made", {})
    monkeypatch.setattr(connections, "ANSWER_S", 0.1)
    first, path = connections.of(sftp)
    assert connections.of(sftp)[0] is first
    monkeypatch.setattr(first.ftp, "_send_packet", lambda *_: None)  # which gets no answer
    with pytest.raises(TimeoutError):
        first.info(path)
    monkeypatch.setattr(connections, "ANSWER_S", 60.0)
    second, _ = connections.of(sftp)
    assert second is not first
    assert second.isdir(path)
    second.client.get_transport().close()
    third, _ = connections.of(sftp)
    assert third.isdir(path)
    third.client.close()


@pytest.mark.parametrize("channels", [2, 1])
def test_a_long_recording_holds_up_no_question_unless_the_server_allows_one_channel(
    sftp: str, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    import paramiko

    from medasr_service.archive import sftp as connections

    monkeypatch.setattr(connections, "_made", {})
    left, channel = iter(range(channels)), connections.Sftp._channel

    def allowed(self: connections.Sftp) -> paramiko.SFTPClient:
        if next(left, None) is None:
            raise paramiko.ChannelException(1, "Administratively prohibited")
        return channel(self)

    monkeypatch.setattr(connections.Sftp, "_channel", allowed)
    connection, path = connections.of(sftp)
    connection.pipe_file(f"{path}/a", b"sound")
    with ThreadPoolExecutor(2) as pool:
        with connection._reading:  # as for as long as one is read
            reading = pool.submit(connection.cat_file, f"{path}/a")
            asking = pool.submit(connection.info, f"{path}/a")
            if channels == 2:
                assert asking.result(PATIENCE_S)["size"] == 5
            assert not reading.done()
            assert asking.done() is (channels == 2)
        assert reading.result(PATIENCE_S) == b"sound"
        assert asking.result(PATIENCE_S)["size"] == 5
    connection.client.close()


def test_captions_lie_beside_the_recordings(archive: Archive) -> None:
    file = archive.add("a.flac")
    archive.run(beside=("srt", "text"))
    assert "-->" in file.with_name("a.flac.srt").read_text()
    assert file.with_name("a.flac.txt").read_text().strip() == archive.texts()["a.flac"].strip()


def test_a_name_that_is_not_utf_8_is_a_name(archive: Archive) -> None:
    os.link(archive.add("a.flac"), os.fsencode(archive.source) + b"/\xff.flac")
    report = archive.run()
    assert (report.now.recordings, report.now.failed) == (2, 0)
    assert r"\xff.flac" in {Path(row.file).name for row in archive.rows()}
    assert archive.run().now.recordings == 0


def test_a_target_that_cannot_be_written_is_one_line(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("a.flac")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "a name")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TargetFailed, match=r"cannot be written: No space left on device$"):
        archive.run()
    assert not [each for each in archive.target.rglob("*") if each.is_file()]


def test_a_store_that_goes_away_ends_the_run_and_leaves_no_rows(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(worker.SUSPICIOUS):
        archive.add(f"{at}.flac")

    version, watcher = places.version, Watcher()

    def gone(at: Place) -> str:
        """From the moment in which all is listed."""
        if watcher.pending:
            raise ConnectionError("no route")
        return version(at)

    monkeypatch.setattr(places, "version", gone)
    with pytest.raises(SourceFailed, match="cannot be read any more"):
        archive.run(watcher)
    assert not archive.parts


def test_neither_names_nor_texts_are_in_the_log(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="bentoml")
    archive.add("mustermann.flac", CLIPS[0].path)
    (archive.source / "mustermann.mp3").write_bytes(b"junk")
    archive.run()
    assert "mustermann" not in caplog.text
    assert not [
        word for text in archive.texts().values() for word in text.split() if f" {word} " in caplog.text
    ]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("nowhere", "there is no "),
        ("sftp://host/folder", r"pip install 'medasr-service\[sftp\]'"),
        ("foo://x", "Protocol not known"),
        ("simplecache::s3://x", "several parts"),
    ],
)
def test_what_cannot_be_a_source_is_said(
    archive: Archive, source: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "medasr_service.archive.sftp", None)  # as where paramiko is missing
    monkeypatch.delattr(medasr_service.archive, "sftp", raising=False)
    with pytest.raises(UsageError, match=says):
        archive.run(source=source)


def test_what_a_crash_left_half_written_goes_when_it_is_nobody_s(archive: Archive) -> None:
    archive.add("a.flac")
    folder = Path(archive.run().folder)
    left, new = folder / ".part-x.1.part", folder / ".part-y.2.part"
    for each in (left, new):
        each.write_bytes(b"half")
    os.utime(left, (0, 0))
    archive.run()
    assert (left.exists(), new.exists()) == (False, True)
