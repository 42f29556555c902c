"""What can go wrong with the hub, each from a hub that does it, is one line that says what to do."""

import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from medasr_service.errors import ModelUnavailable
from medasr_service.model import hub
from tests.model.fake_hub import COMMIT, FakeHub, serve

MODEL, TOKEN = "google/medasr", "hf_abcdefghijklmnopqrstuvwxyz"
FINE_GRAINED = (
    "Please enable access to public gated repositories in your fine-grained token settings"
    " to view this repository."
)
UNKNOWN = "Invalid credentials in Authorization header"
Make = Callable[..., FakeHub]


@pytest.fixture
def make_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A hub with a small model, which huggingface_hub takes for the real one, and an empty cache."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4000)
    (folder / "lm_6.kenlm").write_bytes(b"mmap lm")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with ExitStack() as stack:

        def make(**how: object) -> FakeHub:
            made = stack.enter_context(serve(FakeHub(MODEL, folder, **how)))  # type: ignore[arg-type]
            monkeypatch.setattr(constants, "ENDPOINT", made.url)
            template = f"{made.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            return made

        yield make


def refusal(get: Callable[[], object]) -> str:
    with pytest.raises(ModelUnavailable) as refused:
        get()
    line = str(refused.value)
    assert "\n" not in line
    assert len(line) < 300
    assert TOKEN not in line
    assert refused.value.__suppress_context__
    return line


def model() -> Path:
    return hub.download(MODEL, None)


def language_model() -> Path:
    return hub.download_file(MODEL, None, "lm_6.kenlm")


def test_a_snapshot_is_named_after_its_commit_and_has_what_is_needed_alone(make_hub: Make) -> None:
    make_hub()
    folder = model()
    assert folder.name == COMMIT
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert language_model().read_bytes() == b"mmap lm"


@pytest.mark.parametrize("get", [model, language_model])
@pytest.mark.parametrize(
    ("refuses", "advice"),
    [
        ((401, "", UNKNOWN), ["does not know the token", "settings/tokens"]),
        ((403, "", FINE_GRAINED), ["may not read gated repositories", "settings/tokens"]),
        ((403, "GatedRepo", "restricted"), ["has not been let in", "huggingface.co/google/medasr"]),
        ((404, "RepoNotFound", ""), ["neither a folder here nor a model on the hub"]),
        ((404, "RevisionNotFound", ""), ["has no revision"]),
        ((407, "", ""), ["the proxy wants a login", "HTTPS_PROXY"]),
        ((403, "", ""), ["answers 403", "proxy"]),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_with_what_to_do(
    make_hub: Make, get: Callable[[], Path], refuses: tuple[int, str, str], advice: list[str]
) -> None:
    make_hub(refuses=refuses)
    line = refusal(get)
    assert all(part in line for part in advice), line
    assert MODEL in line


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("407 Proxy Authentication Required", ["the proxy wants a login", "user:password@host:port"]),
        ("403 Forbidden", ["the proxy of HTTPS_PROXY refuses"]),
    ],
)
def test_a_proxy_that_lets_no_tunnel_through_is_one_line(
    make_hub: Make, monkeypatch: pytest.MonkeyPatch, status: str, advice: list[str]
) -> None:
    make_hub()
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    template = "https://hub.invalid/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    with refusing_proxy(status) as (url, asked):
        monkeypatch.setenv("HTTPS_PROXY", url)
        close_session()  # the client reads the environment where it is made
        line = refusal(model)
    close_session()
    assert all(part in line for part in advice), line
    assert asked
    assert set(asked) == {"CONNECT hub.invalid:443 HTTP/1.1"}


@contextmanager
def refusing_proxy(status: str) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the first line of each request."""
    asked: list[str] = []

    class Refusing(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().strip())
            while self.rfile.readline().strip():
                pass
            self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "advice"), [(503, "answers 503; try again later"), (429, "too many requests")]
)
def test_a_hub_that_is_busy_is_called_so(make_hub: Make, status: int, advice: str) -> None:
    make_hub(refuses=(status, "", ""))
    assert advice in refusal(model)


def test_without_a_token_a_gated_model_asks_for_one(make_hub: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make_hub(refuses=(401, "GatedRepo", ""))
    monkeypatch.setattr(hub, "get_token", lambda: None)
    assert "then set HF_TOKEN to a token of that account" in refusal(model)


def test_a_file_that_is_not_there_is_named(make_hub: Make) -> None:
    make_hub()
    assert refusal(lambda: hub.download_file(MODEL, COMMIT, "other.kenlm")).startswith(
        f"{MODEL} has no other.kenlm at revision {COMMIT}"
    )


def test_no_connection_is_called_so(make_hub: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make_hub()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    assert "is not in the local cache and the hub cannot be reached" in refusal(model)


def test_offline_is_called_so(make_hub: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make_hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refusal(model)


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def test_a_download_that_is_cut_off_goes_on_next_time(make_hub: Make) -> None:
    made = make_hub(cuts_after=100_000)
    assert "was cut off: start again" in refusal(model)
    made.cuts_after = None
    assert (model() / "model.safetensors").stat().st_size == 256 * 4000


def test_storage_that_cannot_be_reached_is_gone_round(
    make_hub: Make, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("hf_xet")
    make_hub(xet=f"http://127.0.0.1:{closed_port()}")
    with caplog.at_level(logging.WARNING, "bentoml.medasr"):
        assert (model() / "model.safetensors").stat().st_size == 256 * 4000
    assert "HF_HUB_DISABLE_XET=1" in caplog.text


def test_a_long_download_tells_how_far_it_is(make_hub: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_hub()
    give, told, lines = made.give, threading.Event(), []

    def hear(*record: object) -> None:
        lines.append(record[0] % record[1:])  # type: ignore[operator]
        told.set()

    def wait(*arguments: object, **options: object) -> None:
        assert told.wait(20)
        give(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(hub, "TOLD_EVERY_S", 0.05)
    monkeypatch.setattr(hub.log, "info", hear)
    monkeypatch.setattr(made, "give", wait)
    model()
    assert lines[0] == "downloading google/medasr: 0 MB so far"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(28, "No space left on device"), "the disk of"),
        (PermissionError(13, "Permission denied"), "cannot be written"),
        (RuntimeError("CAS client"), "HF_HUB_DISABLE_XET=1"),
    ],
)
def test_what_goes_wrong_here_is_called_so(
    make_hub: Make, monkeypatch: pytest.MonkeyPatch, error: Exception, advice: str
) -> None:
    make_hub()

    def download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert advice in refusal(model)
