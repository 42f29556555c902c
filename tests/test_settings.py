"""Settings: the file, the environment, the defaults, and what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from medasr_service import settings
from medasr_service.settings import CONFIG_FILE, Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MEDASR_{name.upper()}", raising=False)
    monkeypatch.delenv("MEDASR_CONFIG", raising=False)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file of the test's own; there is none until the test writes it."""
    file = tmp_path / "inference.yaml"
    monkeypatch.setenv("MEDASR_CONFIG", str(file))
    return file


def _defaults() -> dict[str, Any]:
    return {name: field.default for name, field in Settings.model_fields.items()}


def test_the_file_holds_every_setting_with_its_default_and_nothing_else() -> None:
    as_written = {k: str(v) if isinstance(v, Path) else v for k, v in _defaults().items()}
    assert yaml.safe_load(CONFIG_FILE.read_text()) == {"medasr": as_written}


def test_the_file_keeps_the_order_of_the_settings() -> None:
    assert list(yaml.safe_load(CONFIG_FILE.read_text())["medasr"]) == list(_defaults())


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_line_of_the_file_has_a_comment(name: str) -> None:
    assert re.search(rf"^  {name}: \S+ +# \w.{{10}}", CONFIG_FILE.read_text(), re.MULTILINE)


def test_the_file_wins_over_the_defaults(config: Path) -> None:
    config.write_text("medasr:\n  chunk_length_s: 12.5\n")
    assert Settings().chunk_length_s == 12.5


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MODEL", "google/medasr", "google/medasr"),
        ("REVISION", "abc123", "abc123"),
        ("PORT", "8401", 8401),
        ("THREADS", "3", 3),
        ("CHUNK_LENGTH_S", "15", 15.0),
        ("NORMALIZE", "false", False),
        ("FORMATTING", "raw", "raw"),
        ("SPOOL_DIR", "/spool", Path("/spool")),
        ("HOST", "localhost", "127.0.0.1"),
        ("KEYWORDS", "Ozempic, Wegovy", ["Ozempic", "Wegovy"]),
        ("KEYWORDS", "Ozempic", ["Ozempic"]),
        ("KEYWORDS", '["Ozempic, pen", "Wegovy"]', ["Ozempic, pen", "Wegovy"]),
    ],
)
def test_the_environment_wins_over_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: object
) -> None:
    config.write_text(
        "medasr: {model: x, revision: y, port: 1, threads: 1, chunk_length_s: 9, normalize: true}"
    )
    monkeypatch.setenv(f"MEDASR_{name}", value)
    assert getattr(Settings(), name.lower()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("whisper-1", ["whisper-1"]),
        (" whisper-1, gpt-4o-transcribe,,whisper-1", ["whisper-1", "gpt-4o-transcribe"]),
    ],
)
def test_aliases_are_parted_by_commas(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: list[str]
) -> None:
    monkeypatch.setenv("MEDASR_MODEL_ALIASES", value)
    assert Settings().model_aliases == expected


@pytest.mark.parametrize("value", ["a b", '["whisper-1"]', "x" * 101, "<script>", "../x"])
def test_an_alias_that_is_no_name_stops_the_service(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MEDASR_MODEL_ALIASES", value)
    with pytest.raises(SystemExit, match="is not a name of a model"):
        settings.load()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDASR_PORT", "")
    assert Settings().port is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CHUNK_LENGTH_S", "long", "number"),
        ("CHUNK_LENGTH_S", "0.5", "greater than or equal to 1"),
        ("CHUNK_LENGTH_S", "31", "max_chunk_length_s"),
        ("CHUNK_LENGTH_S", "nan", "setting"),
        ("STRIDE_LENGTH_S", "10", "0.4 of chunk_length_s"),
        ("STRIDE_LENGTH_S", "-1", "greater than or equal to 0"),
        ("STRIDE_LENGTH_S", "nan", "setting"),
        ("MAX_CHUNK_LENGTH_S", "401", "less than or equal to 400"),
        ("MAX_DURATION_S", "nan", "setting"),
        ("MAX_GAIN", "nan", "setting"),
        ("PORT", "0", "greater than or equal to 1"),
        ("PORT", "65536", "65535"),
        ("THREADS", "0", "greater than or equal to 1"),
        ("CHUNKS_IN_FLIGHT", "0", "greater than or equal to 1"),
        ("MAX_BATCH_SIZE", "0", "greater than or equal to 1"),
        ("MAX_CONCURRENT_REQUESTS", "0", "greater than or equal to 1"),
        ("FORMATTING", "html", "'dictation' or 'raw'"),
        ("PRECISION", "fp16", "overflow in fp16"),
        ("NORMALIZE", "perhaps", "boolean"),
        ("KEYWORDS", '["Ozempic"', "neither a JSON list nor terms with commas"),
        ("KEYWORDS", "[1]", "string"),
        ("HOST", "my-machine", "no address to listen on"),
    ],
)
def test_a_bad_value_stops_with_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"MEDASR_{name}", value)
    with pytest.raises(SystemExit) as stop:
        settings.load()
    line = str(stop.value)
    assert line.startswith("medasr: setting ")
    assert "\n" not in line
    assert says in line


def test_two_bad_values_give_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDASR_PORT", "0")
    monkeypatch.setenv("MEDASR_THREADS", "0")
    with pytest.raises(SystemExit) as stop:
        settings.load()
    assert [line.split(":")[1].split()[-1] for line in str(stop.value).splitlines()] == ["threads", "port"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("medasr: {chunk_lenght_s: 20}", "chunk_lenght_s"),
        ("medasr: {port: many}", "port"),
        ("medasr: [1, 2]", ""),
        ("medasr: {port: 1", ""),
        ("other: {port: 1}", ""),
    ],
    ids=["unknown key", "bad value", "a list", "not YAML", "no section"],
)
def test_a_bad_file_stops_with_one_line(config: Path, content: str, says: str) -> None:
    config.write_text(content)
    with pytest.raises(SystemExit) as stop:
        settings.load()
    line = str(stop.value)
    assert line.startswith("medasr: ")
    assert "\n" not in line
    assert says in line


def test_a_named_file_that_is_missing_is_refused(config: Path) -> None:
    """MEDASR_CONFIG asks for a file: without it, the defaults would be something else than asked for."""
    with pytest.raises(SystemExit):
        settings.load()


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDASR_MODLE", "google/medasr")
    with pytest.raises(SystemExit, match="MEDASR_MODLE"):
        settings.load()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_an_empty_configuration_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDASR_CONFIG", "")
    assert Settings() == Settings.model_validate(_defaults())
