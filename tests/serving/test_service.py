"""The service as users run it: `bentoml serve`, driven by curl, openai and BentoML's own client."""

import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bentoml
import httpx
import openai
import pytest

from medasr_service.model.checkpoint import DEMO_FOLDER, DEMO_NOTICE
from tests.conftest import CLIPS, HAS_FLASHLIGHT, PATIENCE_S, SAMPLE, SAMPLE_TEXT, Service

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def sdk(service: Service) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0)


def post(service: Service, path: Path, **fields: str) -> httpx.Response:
    with path.open("rb") as file:
        return httpx.post(
            f"{service.url}/v1/audio/transcriptions", files={"file": file}, data=fields, timeout=PATIENCE_S
        )


def raw_text(service: Service, path: Path) -> str:
    response = post(service, path, formatting="raw")
    assert response.status_code == 200, response.text
    return str(response.json()["text"])


def batches(service: Service) -> tuple[float, float]:
    """How many windows the model service has run, and in how many batches."""
    metrics = httpx.get(f"{service.url}/metrics").text
    name = r'bentoml_service_adaptive_batch_size_{}\{{[^}}]*method_name="infer"[^}}]*\}} (\S+)'
    total, count = (re.findall(name.format(part), metrics) for part in ("sum", "count"))
    return sum(map(float, total)), sum(map(float, count))


def test_curl_prints_the_text_of_the_sample(service: Service) -> None:
    command = ["curl", "-sS", f"{service.url}/v1/audio/transcriptions", "-F", f"file=@{SAMPLE}"]
    answer = subprocess.run(
        [*command, "-F", "formatting=raw", "-F", "response_format=text"], capture_output=True
    )
    assert answer.stdout.decode().strip() == SAMPLE_TEXT


def test_the_sample_is_a_readable_report(sdk: openai.OpenAI) -> None:
    text = sdk.audio.transcriptions.create(model="medasr-demo", file=SAMPLE).text
    assert text.splitlines()[0].isupper()
    assert not set("{}[]") & set(text)


def test_openai_reads_verbose_json_with_words(sdk: openai.OpenAI) -> None:
    answer = sdk.audio.transcriptions.create(
        model="medasr-demo",
        file=SAMPLE,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert answer.segments is not None
    assert answer.words is not None
    assert "".join(segment.text for segment in answer.segments) == answer.text
    assert "".join(word.written for word in answer.words) == answer.text  # type: ignore[attr-defined]
    assert [word.word for word in answer.words] == [
        word.written.strip()  # type: ignore[attr-defined]
        for word in answer.words
    ]
    assert " ".join(word.raw for word in answer.words) == SAMPLE_TEXT  # type: ignore[attr-defined]
    assert answer.usage is not None
    assert answer.usage.seconds == pytest.approx(answer.duration)
    assert answer.notice == DEMO_NOTICE  # type: ignore[attr-defined]


@pytest.mark.parametrize(("response_format", "start"), [("srt", "1\n00:00:"), ("vtt", "WEBVTT\n\n00:00:")])
def test_openai_reads_subtitles(sdk: openai.OpenAI, response_format: str, start: str) -> None:
    answer = sdk.audio.transcriptions.create(
        model="medasr-demo",
        file=SAMPLE,
        response_format=response_format,  # type: ignore[call-overload]
    )
    assert str(answer).startswith(start)


def test_openai_reads_plain_text_and_logprobs(sdk: openai.OpenAI) -> None:
    clip = CLIPS[0].path
    plain = sdk.audio.transcriptions.create(model="medasr-demo", file=clip, response_format="text")
    scored = sdk.audio.transcriptions.create(model="medasr-demo", file=clip, include=["logprobs"])
    assert str(plain).strip() == scored.text
    assert scored.logprobs
    assert all(token.logprob is not None and token.logprob <= 0 for token in scored.logprobs)


def test_openai_lists_and_retrieves_the_model(sdk: openai.OpenAI) -> None:
    [model] = sdk.models.list().data
    assert model.id == "medasr-demo"
    assert model.notice == DEMO_NOTICE  # type: ignore[attr-defined]
    assert sdk.models.retrieve("medasr-demo").id == model.id
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("google/medasr")


def test_openai_raises_its_own_errors(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.audio.transcriptions.create(model="medasr-demo", file=SAMPLE, language="de")
    assert caught.value.param == "language"
    with pytest.raises(openai.APIStatusError) as refused:
        sdk.audio.transcriptions.create(model="medasr-demo", file=("a.wav", b"not audio at all"))
    assert refused.value.status_code == 415


def test_bentoml_client_gets_the_transcript(service: Service) -> None:
    with bentoml.SyncHTTPClient(service.url) as client:
        answer = client.transcribe(audio=SAMPLE)
    assert answer["raw_text"] == SAMPLE_TEXT
    assert answer["notice"] == DEMO_NOTICE


def test_the_native_api_fetches_no_urls_and_keeps_the_error_shape(service: Service) -> None:
    def asked_for_docs() -> int:
        return service.log.read_text().count("path=/docs")

    before = asked_for_docs()  # by other tests, of the same service
    answer = httpx.post(f"{service.url}/transcribe", files={"audio": (None, f"{service.url}/docs")})
    assert answer.status_code == 415
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert asked_for_docs() == before


def test_health_names_what_is_served(service: Service) -> None:
    answer = httpx.get(f"{service.url}/health")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["model"], body["demo"]) == ("healthy", "medasr-demo", True)
    assert body["type"] == "automatic-speech-recognition"
    assert body["decodings"] == (["greedy", "lm"] if HAS_FLASHLIGHT else ["greedy"])
    assert {"revision", "engine", "version", "notice"} <= set(body)


@pytest.mark.parametrize("route", ["livez", "readyz", "metrics", "docs", "openapi.json", "v1/models"])
def test_the_routes_of_operations_answer(service: Service, route: str) -> None:
    assert httpx.get(f"{service.url}/{route}").status_code == 200


def test_docs_need_no_other_host(service: Service) -> None:
    page = httpx.get(f"{service.url}/docs").text
    assert not re.findall(r'(?:src|href)="https?://', page)


@pytest.mark.parametrize(("method", "route", "status"), [("GET", "nope", 404), ("DELETE", "v1/models", 405)])
def test_unknown_routes_and_methods_have_the_error_shape(
    service: Service, method: str, route: str, status: int
) -> None:
    answer = httpx.request(method, f"{service.url}/{route}")
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_concurrent_clips_meet_in_batches_and_keep_their_text(service: Service) -> None:
    paths = [CLIPS[i % len(CLIPS)].path for i in range(16)]
    alone = {path: raw_text(service, path) for path in set(paths)}
    windows_before, runs_before = batches(service)
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda path: raw_text(service, path), paths * 3))
    windows, runs = batches(service)
    assert together == [alone[path] for path in paths * 3]
    assert windows - windows_before == len(together)
    assert runs - runs_before < len(together)


def test_two_hundred_requests_from_24_clients_all_succeed(service: Service) -> None:
    """Fails without runner_connection in service.py: BentoML's client drops calls that are under way."""
    paths = [CLIPS[i % len(CLIPS)].path for i in range(200)]
    with ThreadPoolExecutor(24) as pool:
        statuses = list(pool.map(lambda path: post(service, path).status_code, paths))
    assert statuses == [200] * 200


def test_one_bad_clip_disturbs_no_other(service: Service, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF\x00\x00\x00\x00WAVEjunk")
    good = raw_text(service, CLIPS[0].path)
    paths = [bad if i % 3 == 0 else CLIPS[0].path for i in range(24)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda path: post(service, path, formatting="raw"), paths))
    for path, answer in zip(paths, answers, strict=True):
        if path == bad:
            assert 400 <= answer.status_code < 500
        else:
            assert answer.json()["text"] == good


def test_a_large_upload_is_refused_before_it_is_read(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = start_service(MEDASR_MAX_UPLOAD_MB="1")
    service.wait_until_ready()
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(64 << 20))
    for route, field in (("v1/audio/transcriptions", "file"), ("transcribe", "audio")):
        command = ["curl", "-sS", "-w", " %{http_code} %{size_upload}", f"{service.url}/{route}"]
        answer = subprocess.run([*command, "-F", f"{field}=@{large}"], capture_output=True, text=True)
        body, status, sent = answer.stdout.rsplit(" ", 2)
        assert status == "413", answer
        assert "1 MiB" in body
        assert int(sent) < 16 << 20


def test_two_services_run_side_by_side(
    service: Service, start_service: Callable[..., Service], tmp_path: Path
) -> None:
    folder = tmp_path / "our-model"
    shutil.copytree(DEMO_FOLDER, folder)
    second = start_service(MEDASR_MODEL=str(folder))
    second.wait_until_ready()
    assert httpx.get(f"{second.url}/health").json()["model"] == "our-model"
    assert raw_text(second, SAMPLE) == raw_text(service, SAMPLE)


def test_without_access_to_the_model_the_service_stops_with_one_line(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = start_service(MEDASR_MODEL="google/medasr", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert service.process.wait(timeout=PATIENCE_S) != 0
    [line] = [line for line in service.log.read_text().splitlines() if "medasr:" in line]
    assert "google/medasr is not in the local cache" in line
    assert "HF_HUB_OFFLINE" in line
    assert "Traceback" not in service.log.read_text()


def test_the_log_holds_no_word_of_a_transcript_and_no_file_name(service: Service) -> None:
    raw_text(service, SAMPLE)
    log = service.log.read_text().lower()
    spoken = {word.lower() for word in SAMPLE_TEXT.split() if word.isalpha() and len(word) > 6}
    assert spoken
    assert not [word for word in spoken if re.search(rf"\b{word}\b", log)]
    assert SAMPLE.name not in log
