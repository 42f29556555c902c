"""Which checkpoint is served: no fallback, and one line that says what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from medasr_service.errors import ModelUnavailable
from medasr_service.model import checkpoint, manifest
from medasr_service.model import hub as hub_module
from medasr_service.model.checkpoint import DEMO_FOLDER, Checkpoint
from medasr_service.model.digests import sha256
from medasr_service.model.geometry import FrameGeometry
from medasr_service.model.manifest import FORMAT
from medasr_service.settings import Settings

TOKEN = "hf_NeverShowThisToken"
FILES = [
    file for file in DEMO_FOLDER.iterdir() if file.is_file() and file.suffix in {".json", ".safetensors"}
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled checkpoint under another name."""
    target = tmp_path / "my-model"
    target.mkdir()
    for file in FILES:
        shutil.copy(file, target)
    return target


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | Path], list[dict[str, Any]]]:
    """The hub answers with this; returns the calls made to it."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    def answer_with(answer: Exception | Path) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def snapshot_download(model: str, **options: Any) -> str:
            calls.append({"model": model, **options})
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

        monkeypatch.setattr(hub_module, "snapshot_download", snapshot_download)
        return calls

    return answer_with


def refusal(**settings: Any) -> str:
    """The one line with which these settings are refused."""
    with pytest.raises(ModelUnavailable) as refused:
        checkpoint.resolve(Settings(**settings))
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 300
    return line


def hub_error(kind: type[Exception]) -> Exception:
    """As the hub raises it, with the token in its text."""
    error: Exception = kind.__new__(kind, f"401 for https://huggingface.co with Bearer {TOKEN}")
    return error


def test_the_default_is_the_bundled_model_and_says_so() -> None:
    found = checkpoint.resolve(Settings())
    assert found == Checkpoint(DEMO_FOLDER, "medasr-demo", frozenset({"demo"}), "bundled", demo=True)


def test_a_local_folder_is_served_under_its_name(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(_resaved(folder))
    found = checkpoint.resolve(Settings(model=str(folder)))
    assert (found.folder, found.id, found.revision, found.demo) == (folder, "my-model", "local", False)


def _resaved(folder: Path) -> bytes:
    """The same weights as other bytes: one more entry in the header's metadata."""
    content = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header.setdefault("__metadata__", {})["note"] = "another model"
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def test_a_copy_of_the_bundled_model_stays_a_demo(folder: Path) -> None:
    assert checkpoint.resolve(Settings(model=str(folder))).demo


def test_a_folder_may_be_given_from_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert checkpoint.resolve(Settings(model="~/my-model")).folder == folder


def test_the_geometry_comes_from_the_files(folder: Path) -> None:
    assert checkpoint.resolve(Settings(model=str(folder))).geometry == FrameGeometry()
    for file in ("processor_config.json", "preprocessor_config.json"):
        (folder / file).unlink(missing_ok=True)
    front_end = {"sampling_rate": 8000, "win_length": 200, "hop_length": 80}
    (folder / "preprocessor_config.json").write_text(json.dumps(front_end))
    geometry = checkpoint.resolve(Settings(model=str(folder))).geometry
    assert (geometry.sample_rate, geometry.window, geometry.hop) == (8000, 200, 80)
    assert geometry.frame_s == 0.04


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "config.json" in refusal(model=str(tmp_path))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(model=str(folder)).endswith(f"has no {name}")


@pytest.mark.parametrize("keep", [0, 7, 1000, 100_000, -1])
def test_cut_off_weights_are_refused(folder: Path, keep: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    assert "damaged or incomplete" in refusal(model=str(folder))


def _edit(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("kind", ["whisper", "wav2vec2", None])
def test_a_model_of_another_kind_is_refused(folder: Path, kind: str | None) -> None:
    _edit(folder, model_type=kind)
    line = refusal(model=str(folder))
    assert str(kind) in line
    assert "lasr_ctc" in line


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"model_type": "lasr_ctc"}'),
        ("processor_config.json", '{"feature_extractor": {"hop_length": 160}}'),
        ("processor_config.json", "not json"),
        ("tokenizer.json", "{"),
        ("tokenizer.json", ""),
    ],
)
def test_a_damaged_file_is_refused(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    assert refusal(model=str(folder))


def test_a_configuration_without_the_front_end_is_refused(folder: Path) -> None:
    (folder / "processor_config.json").unlink()
    assert "preprocessor_config.json" in refusal(model=str(folder))


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (GatedRepoError, ["accept its terms on huggingface.co/google/medasr", "HF_TOKEN"]),
        (RepositoryNotFoundError, ["neither a folder here nor a model on the hub", "HF_TOKEN"]),
        (RevisionNotFoundError, ["no revision 'v9'"]),
        (LocalEntryNotFoundError, ["cannot be reached", "accept its terms", "HF_TOKEN"]),
        (HfHubHTTPError, ["cannot be reached", "HF_TOKEN"]),
        (OSError, ["cannot be reached", "HF_TOKEN"]),
        (ConnectionError, ["cannot be reached", "HF_TOKEN"]),
    ],
)
def test_what_the_hub_refuses_is_one_line_with_advice(
    hub: Callable[..., list[dict[str, Any]]], kind: type[Exception], advice: list[str]
) -> None:
    hub(hub_error(kind))
    line = refusal(model="google/medasr", revision="v9")
    assert line.startswith("google/medasr ")
    assert all(part in line for part in advice)
    assert TOKEN not in line


def test_the_refusal_does_not_carry_the_hub_error_along(hub: Callable[..., object]) -> None:
    """A printed chain of causes would show what the hub said, token and all."""
    hub(hub_error(GatedRepoError))
    with pytest.raises(ModelUnavailable) as refused:
        checkpoint.resolve(Settings(model="google/medasr"))
    assert refused.value.__suppress_context__
    assert refused.value.__cause__ is None


def test_a_missing_folder_is_not_looked_for_on_the_hub() -> None:
    assert refusal(model="/no/such/folder").startswith("/no/such/folder is neither a folder here")


@pytest.mark.parametrize("revision", [None, "main", "0123abc"])
def test_the_revision_goes_to_the_hub(
    hub: Callable[..., list[dict[str, Any]]], folder: Path, revision: str | None
) -> None:
    commit = folder.rename(folder.with_name("9f1c0ffee"))
    calls = hub(commit)
    found = checkpoint.resolve(Settings(model="google/medasr", revision=revision))
    [call] = calls
    assert (call["model"], call["revision"]) == ("google/medasr", revision)
    assert (found.id, found.revision, found.aliases) == ("google/medasr", "9f1c0ffee", frozenset({"medasr"}))


def test_the_hub_is_not_asked_for_the_demo_or_a_folder(
    hub: Callable[..., list[dict[str, Any]]], folder: Path
) -> None:
    calls = hub(OSError("no network"))
    checkpoint.resolve(Settings())
    checkpoint.resolve(Settings(model=str(folder)))
    assert calls == []


def test_a_snapshot_without_weights_is_refused(hub: Callable[..., object], folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    hub(folder)
    assert "has no model.safetensors" in refusal(model="google/medasr")


def keep(folder: Path, cache: Path, made_at: str = "2026-01-01", **changes: Any) -> Path:
    """An artefact of a hub model, as `medasr export` leaves it but for its network."""
    kept = cache / f"kept-{len(list(cache.glob('*')))}"
    kept.mkdir(parents=True)
    for file in FILES:
        if file.suffix == ".json":
            shutil.copy(folder / file.name, kept)
    (kept / "model.onnx").write_bytes(b"graph")
    source = {"format": FORMAT, "model": "google/medasr", "revision": "9f1c0ffee", "precision": "fp32"}
    files = {file.name: sha256(file) for file in sorted(kept.iterdir())}
    manifest = {"requested_revision": None, "demo": False, "made_at": made_at, "files": files, **changes}
    manifest["source"] = {**source, **changes.get("source", {})}
    (kept / "manifest.json").write_text(json.dumps(manifest))
    return kept


def test_an_artefact_serves_without_weights_and_without_the_hub(
    hub: Callable[..., list[dict[str, Any]]], folder: Path, tmp_path: Path
) -> None:
    calls = hub(OSError("no network"))
    kept = keep(folder, tmp_path / "cache")
    found = checkpoint.resolve(Settings(model="google/medasr", cache_dir=tmp_path / "cache"))
    assert calls == []
    assert (found.folder, found.id, found.revision, found.demo) == (kept, "google/medasr", "9f1c0ffee", False)
    assert found.aliases == {"medasr"}
    assert found.geometry == FrameGeometry()


def test_an_artefact_may_be_named_by_its_folder(folder: Path, tmp_path: Path) -> None:
    kept = keep(folder, tmp_path / "cache", demo=True)
    found = checkpoint.resolve(Settings(model=str(kept)))
    assert (found.folder, found.id, found.demo) == (kept, "google/medasr", True)


def test_an_export_asks_the_hub_for_a_newer_model(
    hub: Callable[..., list[dict[str, Any]]], folder: Path, tmp_path: Path
) -> None:
    calls = hub(folder)
    keep(folder, tmp_path / "cache")
    found = checkpoint.resolve(Settings(model="google/medasr", cache_dir=tmp_path / "cache"), ask_hub=True)
    assert len(calls) == 1
    assert found.artefact is None


@pytest.mark.parametrize(
    ("asked", "requested", "serves"),
    [
        (None, None, True),
        ("9f1c0ffee", None, True),
        ("9f1c0ffee", "v1", True),
        ("v1", "v1", True),
        ("v2", "v1", False),
        (None, "v1", False),
        ("main", None, False),
    ],
)
def test_an_artefact_is_never_served_for_another_revision(
    hub: Callable[..., list[dict[str, Any]]],
    folder: Path,
    tmp_path: Path,
    asked: str | None,
    requested: str | None,
    serves: bool,
) -> None:
    hub(folder)
    keep(folder, tmp_path / "cache", requested_revision=requested)
    settings = Settings(model="google/medasr", revision=asked, cache_dir=tmp_path / "cache")
    assert (checkpoint.resolve(settings).artefact is not None) == serves


def test_the_newest_artefact_is_served(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    keep(folder, cache, "2026-01-01T10:00:00+00:00")
    newest = keep(folder, cache, "2026-02-01T09:00:00+00:00")
    keep(folder, cache, "2025-12-31T10:00:00+00:00")
    assert checkpoint.resolve(Settings(model="google/medasr", cache_dir=cache)).folder == newest


@pytest.mark.parametrize(
    "source", [{"format": FORMAT - 1}, {"precision": "int1"}, {"model": "google/medasr-2"}]
)
def test_another_artefact_does_not_count(
    hub: Callable[..., list[dict[str, Any]]], folder: Path, tmp_path: Path, source: dict[str, Any]
) -> None:
    calls = hub(folder)
    keep(folder, tmp_path / "cache", source=source)
    checkpoint.resolve(Settings(model="google/medasr", cache_dir=tmp_path / "cache"))
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_damaged_artefact_is_passed_over_and_refused_by_name(
    hub: Callable[..., list[dict[str, Any]]], folder: Path, tmp_path: Path, name: str
) -> None:
    calls = hub(folder)
    kept = keep(folder, tmp_path / "cache")
    (kept / name).write_bytes(b"other")
    checkpoint.resolve(Settings(model="google/medasr", cache_dir=tmp_path / "cache"))
    assert len(calls) == 1
    assert "damaged" in refusal(model=str(kept))


def test_the_torch_engine_wants_the_checkpoint(
    hub: Callable[..., list[dict[str, Any]]], folder: Path, tmp_path: Path
) -> None:
    calls = hub(folder)
    kept = keep(folder, tmp_path / "cache")
    settings = Settings(model="google/medasr", cache_dir=tmp_path / "cache", engine="torch")
    assert checkpoint.resolve(settings).artefact is None
    assert len(calls) == 1
    assert "torch engine" in refusal(model=str(kept), engine="torch")


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAKERS", ("no_such_package_as_torch",))


@pytest.mark.usefixtures("no_torch")
def test_without_torch_and_artefact_nothing_is_downloaded(
    hub: Callable[..., list[dict[str, Any]]], folder: Path, tmp_path: Path
) -> None:
    calls = hub(folder)
    line = refusal(model="google/medasr", cache_dir=tmp_path)
    assert calls == []
    assert all(part in line for part in ("google/medasr", str(tmp_path), "`medasr export`"))


@pytest.mark.usefixtures("no_torch")
def test_without_torch_the_revision_that_is_there_is_named(folder: Path, tmp_path: Path) -> None:
    keep(folder, tmp_path / "cache", requested_revision="v1")
    assert "only of revision 9f1c0ffee" in refusal(model="google/medasr", cache_dir=tmp_path / "cache")
