"""Which language model is used, and what happens when it is the wrong one; the demo's, in noise."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import httpx2
import jiwer
import numpy as np
import pytest
from fastapi.testclient import TestClient
from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

from tests.conftest import CLIPS, NO_FLASHLIGHT, SAMPLE, SAMPLE_TEXT

pytest.importorskip("flashlight.lib.text", reason=NO_FLASHLIGHT)

from medasr_service import cli
from medasr_service.decoding import ctc, language_model
from medasr_service.decoding.beam import Search
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.errors import InvalidRequest, ModelUnavailable
from medasr_service.model import hub as hub_module
from medasr_service.model.checkpoint import DEMO_FOLDER, Checkpoint
from medasr_service.model.geometry import Emission, FrameGeometry
from medasr_service.settings import Settings
from medasr_service.text.transcript import Token
from medasr_service.transcriber import Options, Transcriber
from tests.decoding.test_beam import ARPA

NOT_FOUND = httpx2.Response(404, request=httpx2.Request("GET", "https://hub"))
FILE = DEMO_FOLDER / "lm_6.kenlm"


def raw(tokens: Sequence[Token], geometry: FrameGeometry) -> str:
    return " ".join(word.text for word in ctc.words(tokens, geometry))


@pytest.fixture
def hub(demo: Checkpoint, tmp_path: Path) -> Checkpoint:
    """A checkpoint of the hub, without its language model."""
    return replace(demo, folder=tmp_path, id="google/medasr", revision="4f1c", demo=False)


def test_the_demo_model_brings_a_small_language_model(demo: Checkpoint) -> None:
    assert language_model.locate(demo, Settings()) == FILE
    assert FILE.stat().st_size <= 3_000_000


def test_it_is_mapped_into_memory_and_not_copied(demo: Checkpoint, vocabulary: Vocabulary) -> None:
    held = language_model.load(demo, vocabulary, Settings())
    assert held
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    rights = {line[1] for line in lines if line[-1] == str(FILE)}
    assert rights == {"r--s"}  # shared, with every other process that maps the file


def test_in_noise_it_halves_the_word_errors_and_changes_no_number(
    demo: Checkpoint, vocabulary: Vocabulary, engine: TorchCTC
) -> None:
    decoder = language_model.load(demo, vocabulary, Settings())
    assert decoder
    rng = np.random.default_rng(5)
    spoken, greedy, lm = [], [], []
    for clip in CLIPS:
        noise = rng.normal(0, clip.waveform.std() * 10 ** (-10 / 20), len(clip.waveform))
        [emission] = engine.infer([(clip.waveform + noise).astype(np.float32)])
        tokens = ctc.greedy(emission, vocabulary), decoder.decode(emission)
        digits = ["".join(c for c in raw(each, demo.geometry) if c.isdigit()) for each in tokens]
        assert digits[0] == digits[1]
        spoken.append(clip.text)
        greedy.append(raw(tokens[0], demo.geometry))
        lm.append(raw(tokens[1], demo.geometry))
    assert jiwer.wer(spoken, greedy) > 0.05
    assert jiwer.wer(spoken, lm) <= 0.5 * jiwer.wer(spoken, greedy)


async def test_a_transcript_in_segments_is_that_of_all_frames_at_once(
    demo: Checkpoint, vocabulary: Vocabulary, engine: TorchCTC, make_transcriber: Callable[..., Transcriber]
) -> None:
    decoder = language_model.load(demo, vocabulary, Settings())
    assert decoder
    emissions: list[Emission] = []
    push = Search.push

    def kept(search: Search, emission: Emission, *, final: bool = False) -> list[Token]:
        emissions.append(emission)
        return push(search, emission, final=final)

    with pytest.MonkeyPatch.context() as patch, SAMPLE.open("rb") as file:
        patch.setattr(Search, "push", kept)
        transcript = await make_transcriber().transcribe(file, Options(4.0, 0.8, "dictation", "lm"))
    assert len(transcript.segments) >= 5
    assert len(emissions) > 10
    assert transcript.raw_text == raw(decoder.decode(np.concatenate(emissions)), demo.geometry)
    times = [time for word in transcript.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 < word.probability <= 1 for word in transcript.words)


def test_a_request_may_choose_it(client: TestClient) -> None:
    files = {"file": ("a.wav", SAMPLE.read_bytes())}
    url = "/v1/audio/transcriptions?formatting=raw"
    for answer in (
        client.post(url, files=files, data={"decoding": "lm"}),
        client.post(f"{url}&decoding=lm", files=files),
    ):
        assert answer.json()["text"] == SAMPLE_TEXT
    refused = client.post(url, files=files, data={"decoding": "beam"})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "decoding"


def test_without_one_a_request_for_it_is_refused(make_client: Callable[..., TestClient]) -> None:
    client = make_client(lm="off")
    files = {"file": ("a.wav", CLIPS[0].path.read_bytes())}
    for stream in ("false", "true"):
        data = {"decoding": "lm", "stream": stream}
        answer = client.post("/v1/audio/transcriptions", files=files, data=data)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "decoding"
        assert (
            answer.json()["error"]["message"] == "decoding is 'lm', but this service has no language model."
        )


async def test_the_setting_decides_where_a_request_says_nothing(
    make_transcriber: Callable[..., Transcriber],
) -> None:
    with pytest.raises(InvalidRequest, match="no language model"), SAMPLE.open("rb") as file:
        await make_transcriber(lm="off").transcribe(file, Options.defaults(Settings(decoding="lm")))


def test_the_command_line_may_choose_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["transcribe", str(SAMPLE), "--formatting", "raw", "--decoding", "lm"]
    assert cli.main(arguments) == cli.EXIT_OK
    assert capsys.readouterr().out == SAMPLE_TEXT + "\n"


def test_the_command_line_asks_the_hub_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def locate(_: Checkpoint, settings: Settings) -> None:
        raise ModelUnavailable(f"asked for it with {settings.decoding}")

    monkeypatch.setattr(language_model, "locate", locate)
    assert cli.main(["transcribe", str(SAMPLE), "--decoding", "lm"]) == cli.EXIT_USAGE
    assert "asked for it with lm" in capsys.readouterr().err


def test_the_command_line_refuses_it_once_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDASR_LM", "off")
    assert cli.main(["transcribe", str(SAMPLE), "other.wav", "--decoding", "lm"]) == cli.EXIT_USAGE
    assert capsys.readouterr().err.count("no language model") == 1


def test_without_flashlight_it_is_refused_and_greedy_decoding_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(language_model, "KenLM", None)
    arguments = ["transcribe", str(SAMPLE), "--formatting", "raw"]
    assert cli.main([*arguments, "--decoding", "lm"]) == cli.EXIT_USAGE
    assert "flashlight-text, which is not installed" in capsys.readouterr().err
    assert cli.main([*arguments, "--keyword", "Ozempic"]) == cli.EXIT_OK
    printed = capsys.readouterr()
    assert printed.out == SAMPLE_TEXT + "\n"
    assert printed.err.count("flashlight-text") <= 1


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="decoding is lm, but lm is off"):
        Settings(decoding="lm", lm="off")


@pytest.mark.parametrize("size", [0, 10, 60, 100, 1000, 1_000_000, 2_200_000])
def test_a_truncated_file_is_one_line(
    demo: Checkpoint, vocabulary: Vocabulary, tmp_path: Path, size: int
) -> None:
    file = tmp_path / "cut.kenlm"
    file.write_bytes(FILE.read_bytes()[:size])
    with pytest.raises(ModelUnavailable, match="is damaged, or is no KenLM file") as caught:
        language_model.load(demo, vocabulary, Settings(lm=str(file)))
    assert "\n" not in caught.value.message


def test_a_file_of_another_kind_is_one_line(
    demo: Checkpoint, vocabulary: Vocabulary, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a language model\n")
    with pytest.raises(ModelUnavailable, match="is damaged, or is no KenLM file"):
        language_model.load(demo, vocabulary, Settings(lm=str(file)))
    assert capfd.readouterr() == ("", "")  # not a word of KenLM's own


def test_a_truncated_arpa_file_is_one_line(demo: Checkpoint, vocabulary: Vocabulary, tmp_path: Path) -> None:
    file = tmp_path / "cut.arpa"
    file.write_text(ARPA[: len(ARPA) // 2])
    with pytest.raises(ModelUnavailable, match="is damaged, or is no KenLM file"):
        language_model.load(demo, vocabulary, Settings(lm=str(file)))


def test_a_missing_file_is_one_line(demo: Checkpoint, vocabulary: Vocabulary, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"the language model .*absent.kenlm is not there"):
        language_model.load(demo, vocabulary, Settings(lm=str(tmp_path / "absent.kenlm")))


def test_the_language_model_of_another_tokenizer_is_refused(
    demo: Checkpoint, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.arpa"
    file.write_text(ARPA)
    with pytest.raises(ModelUnavailable, match=r"knows \d of the 510 pieces .* another tokenizer"):
        language_model.load(demo, vocabulary, Settings(lm=str(file)))


def test_a_local_checkpoint_without_one_serves_greedily_and_says_so_when_asked(
    demo: Checkpoint, tmp_path: Path
) -> None:
    local = replace(demo, folder=tmp_path, revision="local")
    assert language_model.locate(local, Settings()) is None
    for settings in (Settings(lm="on"), Settings(decoding="lm")):
        with pytest.raises(ModelUnavailable, match="has no language model"):
            language_model.locate(local, settings)
    shutil.copy(FILE, tmp_path)
    assert language_model.locate(local, Settings()) == tmp_path / "lm_6.kenlm"


def test_the_language_model_of_an_artefact_is_the_one_that_is_set(demo: Checkpoint, tmp_path: Path) -> None:
    kept = tmp_path / "lm_6.kenlm"
    kept.write_bytes(b"that of an older export")
    language_model.keep(demo, Settings(lm="off"), tmp_path)
    assert kept.read_bytes() == b"that of an older export"
    language_model.keep(demo, Settings(), tmp_path)
    assert kept.read_bytes() == FILE.read_bytes()
    assert list(tmp_path.iterdir()) == [kept]
    with pytest.raises(ModelUnavailable, match="cannot be kept in"):
        language_model.keep(demo, Settings(), tmp_path / "none")


def test_the_hub_is_asked_only_where_the_language_model_is_on(
    hub: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(repo: str, file: str, *, revision: str) -> str:
        asked.append((repo, file, revision))
        return str(FILE)

    monkeypatch.setattr(hub_module, "hf_hub_download", download)
    assert language_model.locate(hub, Settings()) is None
    assert language_model.locate(hub, Settings(lm="off")) is None
    assert asked == []
    assert language_model.locate(hub, Settings(decoding="lm")) == FILE
    assert language_model.locate(hub, Settings(lm="on")) == FILE
    assert asked == [("google/medasr", "lm_6.kenlm", "4f1c")] * 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (LocalEntryNotFoundError("no"), "not in the local cache"),
        (OSError("no"), "not in the local cache"),
        (RemoteEntryNotFoundError("no", response=NOT_FOUND), "has no lm_6.kenlm at revision 4f1c"),
    ],
)
def test_a_hub_that_does_not_give_it_is_one_line(
    hub: Checkpoint, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(hub_module, "hf_hub_download", download)
    with pytest.raises(ModelUnavailable, match=line):
        language_model.locate(hub, Settings(lm="on"))
