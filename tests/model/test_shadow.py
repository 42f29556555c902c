"""The way of google/medasr through the service, on a shadow of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from huggingface_hub import constants
from safetensors import safe_open

from medasr_service.decoding.ctc import Vocabulary
from medasr_service.decoding.keywords import Keywords
from medasr_service.decoding.language_model import read
from medasr_service.model import checkpoint
from medasr_service.settings import Settings
from tests.conftest import CLIPS, PATIENCE_S, Service, needs_flashlight
from tests.model import shadow
from tests.model.fake_hub import COMMIT, FakeHub, serve

CLIP = CLIPS[0].path


@dataclass(frozen=True)
class Shadow:
    """In a hub cache, with no hub; ``folder`` is the snapshot."""

    folder: Path
    variables: dict[str, str]

    def medasr(self, *arguments: str | Path, expect: int = 0, **variables: str) -> str:
        """What the command prints."""
        done = subprocess.run(
            [Path(sys.executable).with_name("medasr"), *arguments],
            env={**os.environ, **self.variables, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == expect, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Shadow:
    """Exported already, and so with its artefact beside it."""
    home = tmp_path_factory.mktemp("shadow")
    folder = shadow.in_cache(home / "hub")
    variables = {
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_HUB_OFFLINE": "1",
        "MEDASR_MODEL": shadow.MODEL,
        "MEDASR_CACHE_DIR": str(home / "artefacts"),
    }
    made = Shadow(folder, variables)
    made.medasr("export")
    return made


def test_the_layout_is_the_real_one(real: Shadow) -> None:
    with safe_open(real.folder / "model.safetensors", framework="np") as weights:
        assert len(weights.keys()) == shadow.TENSORS
        assert weights.metadata() is None
    config = json.loads((real.folder / "config.json").read_text())
    assert not {"architectures", "dtype"} & set(config)
    assert not (real.folder / "generation_config.json").exists()
    assert json.loads((real.folder / "added_tokens.json").read_text())["<pad>"] == 612


def test_the_numbers_inside_are_as_large_as_the_real_ones(real: Shadow) -> None:
    found = shadow.magnitudes(real.folder)
    assert 0.5e5 < found.subsampled < 2e5
    assert 1e6 < found.first_block < 4e6
    assert found.lowest < -20
    assert found.highest > 10


def test_the_artefact_in_fp32_writes_what_the_reference_writes(real: Shadow) -> None:
    found = json.loads(real.medasr("verify", "--json", *(clip.path for clip in CLIPS[:3])))
    assert found["passed"]
    assert found["model"] == shadow.MODEL
    assert found["counts"]["words"] > 10  # so that there is something to agree on


def test_what_it_cannot_emit_is_not_in_its_vocabulary(real: Shadow) -> None:
    vocabulary = Vocabulary.load(real.folder)
    assert len(vocabulary.pieces) == shadow.PIECES
    assert {vocabulary.pieces[i] for i in vocabulary.silent} == {"<epsilon>", "<s>", "</s>"}
    assert not [each for each in vocabulary.pieces if "extra_id" in each or each == "<pad>"]


@needs_flashlight
def test_its_language_model_knows_its_pieces(real: Shadow) -> None:
    vocabulary = Vocabulary.load(real.folder)
    assert read(real.folder / "lm_6.kenlm", vocabulary)
    greedy = real.medasr("transcribe", CLIP, "--formatting", "raw")
    searched = real.medasr("transcribe", CLIP, "--formatting", "raw", "--decoding", "lm")
    assert searched != greedy


@needs_flashlight
def test_a_language_model_of_any_size_is_read(real: Shadow, tmp_path: Path) -> None:
    shadow.write_language_model(tmp_path / "large.kenlm", size=20_000_000)
    assert abs((tmp_path / "large.kenlm").stat().st_size - 20_000_000) < 1_000
    assert read(tmp_path / "large.kenlm", Vocabulary.load(real.folder))


def test_keywords_that_it_cannot_write_are_named_with_the_characters_it_lacks(real: Shadow) -> None:
    vocabulary = Vocabulary.load(real.folder)
    terms = ["Crohn's", "naïve", "T<4", "β-blocker", "5 mg/m2"]
    [warned] = Keywords(terms, vocabulary, 1.0).warnings(terms)
    assert warned.message == (
        "The model cannot write these keywords: 'naïve', 'T<4', 'β-blocker' (it has no ï < β)."
    )


@pytest.mark.e2e
def test_it_is_served_under_its_name_and_writes_what_the_command_line_writes(
    real: Shadow, start_service: Callable[..., Service]
) -> None:
    service = start_service(**real.variables)
    service.wait_until_ready()
    health = httpx.get(f"{service.url}/health", timeout=PATIENCE_S).json()
    assert (health["model"], health["revision"]) == (shadow.MODEL, COMMIT)
    [card] = httpx.get(f"{service.url}/v1/models", timeout=PATIENCE_S).json()["data"]
    assert (card["id"], card["owned_by"], card["revision"]) == (shadow.MODEL, "google", COMMIT)
    assert not card.get("demo")
    for decoding in ("greedy", "lm"):
        with CLIP.open("rb") as file:
            answer = httpx.post(
                f"{service.url}/v1/audio/transcriptions",
                files={"file": file},
                data={
                    "model": shadow.MODEL,
                    "formatting": "raw",
                    "response_format": "text",
                    "decoding": decoding,
                },
                timeout=PATIENCE_S,
            )
        printed = real.medasr("transcribe", CLIP, "--formatting", "raw", "--decoding", decoding)
        assert answer.text.strip() == printed.strip()
        assert answer.text.strip()


def test_of_the_hub_only_what_is_needed_is_fetched(
    real: Shadow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with serve(FakeHub(shadow.MODEL, real.folder)) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        found = checkpoint.resolve(Settings(model=shadow.MODEL, cache_dir=tmp_path / "none"), ask_hub=True)
    assert (found.id, found.revision, found.demo) == (shadow.MODEL, COMMIT, False)
    fetched = {file.name for file in found.folder.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= fetched
    assert not fetched & {"lm_6.kenlm", "test_audio.wav", "notebook.ipynb", "spiece.model", "README.md"}
