"""medasr keys: a key is shown once, and stands nowhere."""

from pathlib import Path

import pytest

from medasr_service import cli
from medasr_service.accounts.keys import Keys, read


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = cli.main(["keys", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_new_key_is_shown_once_opens_by_its_digest_and_goes_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.toml"
    limits = ("--requests-per-minute", "60", "--live-sessions", "2", "--expires", "2027-01-01")
    status, key, said = run(capsys, "new", "ward-3", "--file", file, *limits)
    assert (status, len(key.split())) == (0, 1)
    assert key.strip() not in said + file.read_text()
    keys = Keys((), file)
    keys.reload()
    found = keys.find(key.strip())
    assert found
    assert (found.name, found.requests_per_minute, found.live_sessions) == ("ward-3", 60, 2)
    assert keys.find(f"{key.strip()}x") is None
    status, shown, _ = run(capsys, "list", "--file", file)
    assert (status, shown.startswith("ward-3\trequests_per_minute=60")) == (0, True)
    before = file.read_text()
    assert run(capsys, "new", "ward-3", "--file", file)[0] == 2  # one of that name is there
    assert file.read_text() == before
    assert run(capsys, "revoke", "ward-3", "--file", file)[0] == 0
    assert read(file) == []
    assert run(capsys, "revoke", "ward-3", "--file", file)[0] == 2


def test_without_a_file_the_key_is_on_stdout_and_what_belongs_into_the_file_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, key, said = run(capsys, "new", "ward-3")
    (tmp_path / "keys.toml").write_text(said.partition("\n\n")[2])
    assert status == 0
    keys = Keys((), tmp_path / "keys.toml")
    keys.reload()
    assert keys.find(key.strip())


@pytest.mark.parametrize(
    "wrong",
    [("new", "Ward 3"), ("new", "a", "--expires", "soon"), ("new", "a", "--live-sessions", "-1"), ("list",)],
)
def test_what_is_asked_for_wrongly_is_one_line(
    capsys: pytest.CaptureFixture[str], wrong: tuple[str, ...]
) -> None:
    status, out, said = run(capsys, *wrong)
    assert (status, out) == (2, "")
    assert said.startswith("medasr: ")
    assert said.count("\n") == 1
