"""Nothing of a patient is kept but where docs/privacy.md says so: looked for after everything was tried."""

import base64
import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from medasr_service.accounts import keys_file
from medasr_service.accounts.keys import digest
from tests.conftest import CLIPS, PATIENCE_S, ROOT, Service, until

pytestmark = pytest.mark.e2e

TABLE = ROOT / "docs" / "privacy.md"
CLIP = min(CLIPS, key=lambda clip: clip.path.stat().st_size)
SOUND = CLIP.path.read_bytes()
ROUTE = "/v1/audio/transcriptions"
OF_A_CLIENT = (
    *("file", "prompt", "keyword", "model", "key", "wrongkey", "header", "query", "agent", "path", "body"),
    *(
        "message",
        "cookie",
        "origin",
        "forwarded",
        "tracestate",
        "subprotocol",
        "field",
        "format",
        "idempotency",
        "url",
        "webhook",
        "word",
    ),
)
CANARIES = {name: f"zqcanary{name}qz" for name in OF_A_CLIENT}
REQUEST_ID = "zqcanaryrequestidqz"
LARGE = 3 << 20  # bytes: more than the spool keeps in memory


def said() -> dict[str, str]:
    """Three words in a row, of what the clip says: no log says them by chance."""
    words = re.findall(r"[a-z]+", CLIP.text.lower())
    return {f"said {i}": " ".join(words[i : i + 3]) for i in range(len(words) - 2)}


def needles() -> dict[str, list[bytes]]:
    """What is looked for, as it may be written."""
    found: dict[str, list[bytes]] = {}
    for name, text in (CANARIES | said() | {"request id": REQUEST_ID}).items():
        plain = text.encode()
        coded = [base64.b64encode(b"_" * shift + plain)[4:-4].lower() for shift in range(3)]
        found[name] = [
            plain,
            text.encode("utf-16-le"),
            plain.hex().encode(),
            quote(text).lower().encode(),
            *coded,
        ]
    middle = len(SOUND) // 2
    found["sound"] = [SOUND[middle : middle + 24].lower()]
    return found


NEEDLES = needles()


def found_in(data: bytes) -> set[str]:
    data = data.lower()
    return {name for name, forms in NEEDLES.items() if any(form in data for form in forms)}


# --- Places, by the first column of the table


class Collector:
    """An OTLP receiver, and one of webhooks, that keeps what it is sent; and it has a recording."""

    def __init__(self) -> None:
        self.received = bytearray()
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.extend(self.rfile.read(int(self.headers.get("content-length", 0))))
                self.send_response(200)
                self.end_headers()

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(SOUND)))
                self.end_headers()
                self.wfile.write(SOUND)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Watched:
    """A service with everything switched on that writes, and where it may write."""

    def __init__(self, folder: Path, service: Service, collector: Collector) -> None:
        self.folder, self.service, self.collector = folder, service, collector
        self.begun = time.time()
        self.asked: set[tuple[str, str]] = set()  # methods and paths

    @property
    def processes(self) -> list[psutil.Process]:
        supervisor = psutil.Process(self.service.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def named(self, name: str) -> psutil.Process:
        """A process of the supervisor's."""
        children = psutil.Process(self.service.process.pid).children()
        [found] = [each for each in children if name in each.cmdline()]
        return found

    def places(self) -> dict[str, Callable[[], Iterator[bytes]]]:
        return {
            "recording": self._held,
            "text": self._held,
            "log": lambda: iter([self.service.log.read_bytes()]),
            "metrics": self._metrics,
            "spans": lambda: iter([bytes(self.collector.received)]),
            "usage": lambda: _files(self.folder, "usage.jsonl*"),
            "audit": lambda: _files(self.folder, "audit.jsonl*"),
            "keys": lambda: _files(self.folder, "keys.toml*"),
            "jobs": lambda: _files(self.folder / "jobs"),
            "caches": self._caches,
            "core dumps": self._core_dumps,
            "processes": self._shown,
        }

    def _held(self) -> Iterator[bytes]:
        """What lies behind each open file of each process: also where it has no name any more."""
        for process in self.processes:
            for link in _entries(Path(f"/proc/{process.pid}/fd")):
                with suppress(OSError):
                    target = str(link.readlink())
                    if "(deleted)" in target or target.startswith("/memfd:"):
                        with link.open("rb") as file:
                            yield file.read(64 << 20)

    def _shown(self) -> Iterator[bytes]:
        for process in self.processes:
            folder = Path(f"/proc/{process.pid}")
            for name in ("cmdline", "environ", "comm"):
                with suppress(OSError):
                    yield (folder / name).read_bytes()
            for link in _entries(folder / "fd"):
                with suppress(OSError):
                    yield bytes(link.readlink())

    def _metrics(self) -> Iterator[bytes]:
        yield self.ask("GET", "/metrics").content
        yield from _files(self.folder / "tmp", "medasr-metrics-*/*")

    def _caches(self) -> Iterator[bytes]:
        """All that was written below the home, the temporary folder, and the caches that tests share."""
        own = (
            self.folder / "home",
            self.folder / "tmp",
            self.folder / "spool",
            self.service.log.parent / "bentoml",
        )
        for folder in own:
            yield from _files(folder)
            yield from (os.fsencode(path) for path in folder.rglob("*"))
        for path in Path(os.environ["MEDASR_CACHE_DIR"]).rglob("*"):
            with suppress(OSError):
                if path.is_file() and path.stat().st_mtime > self.begun and path.stat().st_size < 1 << 20:
                    yield path.read_bytes()

    def _core_dumps(self) -> Iterator[bytes]:
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0), process.cmdline()
        yield from (path.read_bytes() for path in ROOT.glob("core*") if path.is_file())

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        self.asked.add((method, path.partition("?")[0]))
        headers = {"Authorization": f"Bearer {CANARIES['key']}", **HEADERS, **arguments.pop("headers", {})}
        return httpx.request(
            method, self.service.url + path, headers=headers, timeout=PATIENCE_S, **arguments
        )

    def post(
        self, sound: bytes = SOUND, path: str = ROUTE, field: str = "file", **fields: str
    ) -> httpx.Response:
        name = f"{CANARIES['file']}.flac"
        files = {field: (name, sound, f"audio/{CANARIES['format']}")}
        data = {"prompt": CANARIES["prompt"], "keywords[]": CANARIES["keyword"], "language": "en", **fields}
        return self.ask("POST", f"{path}?{CANARIES['query']}=1", files=files, data=data)

    def live(self, query: str = "", **headers: str) -> Any:
        self.asked.add(("GET", "/v1/realtime"))
        url = f"{self.service.url.replace('http', 'ws')}/v1/realtime?{query}"
        return connect(
            url, additional_headers={"Authorization": f"Bearer {CANARIES['key']}", **HEADERS, **headers}
        )


OF_MACHINES = ("/livez", "/readyz", "/healthz", "/health", "/metrics")
HEADERS = {
    "User-Agent": CANARIES["agent"],
    "Cookie": f"session={CANARIES['cookie']}",
    "X-Custom": CANARIES["header"],
    "Referer": f"http://{CANARIES['header']}.example/",
    "X-Forwarded-For": CANARIES["forwarded"],
    "Forwarded": f"for={CANARIES['forwarded']}",
    "X-Forwarded-Host": CANARIES["forwarded"],
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": f"vendor={CANARIES['tracestate']}",
    "baggage": f"patient={CANARIES['tracestate']}",
}


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _files(folder: Path, pattern: str = "**/*") -> Iterator[bytes]:
    for path in folder.glob(pattern):
        with suppress(OSError):
            if path.is_file():
                yield path.read_bytes()


# --- What is tried


def succeed(watched: Watched) -> None:
    """All forms of a text, from every route; they are what the words are for."""
    for form in ("json", "text", "srt", "vtt", "verbose_json"):
        answer = watched.post(response_format=form)
        assert answer.status_code == 200, answer.text
    assert "said 0" in found_in(answer.content)
    assert watched.post(stream="true", response_format="verbose_json").status_code == 200
    assert watched.post(path="/v1/audio/translations").status_code == 200
    assert watched.post(path="/transcribe", field="audio").status_code == 200
    words = [{"written": f" {CANARIES['word']}", "start": 0, "end": 1}]
    cut = watched.ask("POST", "/v1/audio/subtitles", json={"response_format": "srt", "words": words})
    assert "word" in found_in(cut.content)
    named = watched.ask("GET", "/v1/models", headers={"X-Request-ID": REQUEST_ID})
    assert named.headers["X-Request-ID"] == REQUEST_ID
    [model] = watched.ask("GET", "/v1/models").json()["data"]
    for path in (*OF_MACHINES, "/", "/docs", "/openapi.json", "/asyncapi.yaml", f"/v1/models/{model['id']}"):
        assert watched.ask("GET", f"{path}?{CANARIES['query']}={CANARIES['query']}").status_code == 200, path


def hand_in(watched: Watched) -> None:
    """Jobs: one whose recording comes with it, one that says where it is, and who is to be told."""
    headers = {"Idempotency-Key": CANARIES["idempotency"]}
    there = watched.collector.url
    elsewhere = {
        "url": f"{there}/{CANARIES['url']}.flac?{CANARIES['query']}=1",
        "webhook_url": f"{there}/{CANARIES['webhook']}?{CANARIES['query']}=1",
        "prompt": CANARIES["prompt"],
    }
    jobs = [
        watched.post(path="/v1/jobs").json()["id"],
        watched.ask("POST", "/v1/jobs", json=elsewhere, headers=headers).json()["id"],
    ]
    for job in jobs:
        end_of(watched, job, "succeeded")
        for part in ("result", "events"):
            assert "said 0" in found_in(watched.ask("GET", f"/v1/jobs/{job}/{part}").content)
    broken = watched.post(SOUND[: len(SOUND) // 2] + CANARIES["body"].encode(), path="/v1/jobs")
    end_of(watched, broken.json()["id"], "failed")
    assert watched.ask("POST", f"/v1/jobs/{jobs[0]}/cancel").status_code < 500  # it is over
    assert len(watched.ask("GET", "/v1/jobs").json()["data"]) == len(jobs) + 1
    until(lambda: jobs[1].encode() in watched.collector.received)  # who was to be told is
    assert watched.ask("DELETE", f"/v1/jobs/{jobs[1]}").status_code == 200


def end_of(watched: Watched, job: str, state: str) -> None:
    until(lambda: watched.ask("GET", f"/v1/jobs/{job}").json()["status"] == state)


def fail(watched: Watched) -> None:
    """Whatever a client may get wrong. Each answer is a refusal, and so no success by mistake."""
    field, query = CANARIES["field"], CANARIES["query"]
    answers = [
        watched.post(model=CANARIES["model"]),
        watched.post(response_format=field),
        watched.post(temperature=field),
        watched.post(language=field),
        watched.post(chunking_strategy=f'{{"type": "{field}"}}'),
        watched.post(known_speaker_names=field),
        watched.post(CANARIES["body"].encode() * 100),
        watched.post(SOUND[: len(SOUND) // 2] + CANARIES["body"].encode()),
        watched.post(b""),
        watched.post(path=f"/v1/{CANARIES['path']}"),
        watched.ask("GET", f"/v1/models/{CANARIES['path']}?{query}=1"),
        watched.ask("GET", f"/panel/{CANARIES['path']}.js"),
        watched.ask("GET", f"/v1/jobs/{CANARIES['path']}"),
        watched.ask("POST", "/v1/jobs", json={"url": f"https://{CANARIES['url']}.example/a.flac"}),
        watched.ask("POST", "/v1/jobs", json={"url": "file:///", "webhook_url": CANARIES["webhook"]}),
        watched.ask("POST", "/v1/audio/subtitles", json={CANARIES["field"]: CANARIES["word"]}),
        watched.ask("DELETE", f"{ROUTE}?{query}=1"),
        watched.ask("POST", ROUTE, json={"file": CANARIES["body"]}),
        watched.ask("POST", ROUTE, content=CANARIES["body"], headers={"Content-Type": CANARIES["format"]}),
        watched.ask(
            "POST",
            ROUTE,
            content=f"--x\r\n{CANARIES['body']}",
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        ),
        watched.ask("POST", ROUTE, headers={"Origin": f"https://{CANARIES['origin']}.example"}),
        watched.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {CANARIES['wrongkey']}"}),
        watched.ask("GET", "/v1/models", headers={"Authorization": f"Basic {CANARIES['wrongkey']}"}),
        watched.ask("GET", "/v1/models", headers={"X-Large": CANARIES["header"] * 8000}),
    ]
    assert [answer.status_code for answer in answers if not 400 <= answer.status_code < 500] == []
    raw(watched, f"{CANARIES['body']}\r\n\r\n".encode())


def raw(watched: Watched, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", watched.service.port), timeout=PATIENCE_S) as connection:
        connection.sendall(data)
        return connection.makefile("rb").read()


def head(length: int) -> bytes:
    lines = [
        f"POST {ROUTE}?{CANARIES['query']}=1 HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {CANARIES['key']}",
        "Content-Type: multipart/form-data; boundary=x",
        f"Content-Length: {length}",
    ]
    part = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{CANARIES["file"]}.flac"\r\n\r\n'
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + part.encode()


def stall_and_hang_up(watched: Watched) -> None:
    """Half a recording and then nothing (408); half of one, and away; all of one, and away."""
    assert b" 408 " in raw(watched, head(1 << 20) + SOUND)
    for data in (
        head(1 << 20) + SOUND,
        head(len(head(0).partition(b"\r\n\r\n")[2]) + len(SOUND) + 9) + SOUND + b"\r\n--x--\r\n",
    ):
        with socket.create_connection(("127.0.0.1", watched.service.port)) as connection:
            connection.sendall(data)


def speak(watched: Watched) -> None:
    """A session that hears, and is told nonsense; refused ones; one that is cut off in the middle."""
    pcm = (CLIP.waveform * 32_767).astype("<i2").repeat(3)[::2].tobytes()
    append = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})
    message = CANARIES["message"]
    with watched.live() as live:
        for text in (
            message,
            json.dumps({"type": message, "event_id": message}),
            json.dumps({"type": "session.update", "session": {message: message}}),
            json.dumps({"type": "input_audio_buffer.append", "audio": message + "!"}),
        ):
            live.send(text)
        live.send(message.encode())
        options = {"model": CANARIES["model"], "prompt": CANARIES["prompt"]}
        session = {"type": "transcription", "audio": {"input": {"transcription": options}}}
        live.send(json.dumps({"type": "session.update", "session": session}))
        guesses = {"include": ["item.input_audio_transcription.hypothesis"]}
        live.send(json.dumps({"type": "session.update", "session": guesses}))
        live.send(append)
        live.send(json.dumps({"type": "input_audio_buffer.commit"}))
        event: dict[str, Any] = {}
        while not str(event.get("type")).endswith("completed"):
            event = json.loads(live.recv(PATIENCE_S))
        assert "said 0" in found_in(json.dumps(event).encode())
    for query in (
        f"model={CANARIES['model']}",
        f"intent={CANARIES['query']}",
        f"{CANARIES['query']}=1&rate=1",
    ):
        with watched.live(query) as live, suppress(ConnectionClosed):
            while True:
                live.recv(5)
    for headers in (
        {"Authorization": f"Bearer {CANARIES['wrongkey']}"},
        {"Origin": f"https://{CANARIES['origin']}.example"},
    ):
        with pytest.raises(InvalidStatus):
            watched.live(**headers)
    url = f"{watched.service.url.replace('http', 'ws')}/{CANARIES['path']}"
    for protocol in (CANARIES["subprotocol"], f"openai-insecure-api-key.{CANARIES['wrongkey']}"):
        with pytest.raises(InvalidStatus):
            connect(url, subprotocols=[protocol], additional_headers=HEADERS)  # type: ignore[list-item]
    with watched.live() as live:
        live.send(append)
        live.socket.close()


def kill_the_model(watched: Watched) -> None:
    """In the middle of a recording: it is heard by the next one, or honestly refused."""
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(watched.post().status_code))
    model = watched.named("medasr-model")
    model.suspend()
    asking.start()
    time.sleep(0.3)
    model.kill()
    asking.join()
    assert answers[0] in (200, 503, 504)
    until(lambda: watched.ask("GET", "/readyz").status_code == 200)


def run_out_of_time(watched: Watched) -> None:
    """While the model stands still, what fails without it does so, too."""
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(watched.post().status_code))
    model = watched.named("medasr-model")
    model.suspend()
    try:
        asking.start()
        fail(watched)
        stall_and_hang_up(watched)
        asking.join()
    finally:
        model.resume()
    assert answers == [504]
    until(lambda: watched.post().status_code == 200)


def fill_the_disk(watched: Watched) -> None:
    """No file of the entry may grow beyond: an upload that goes to the disk fails, as nobody foresaw."""
    entry = watched.named("medasr").pid
    _, hard = resource.prlimit(entry, resource.RLIMIT_FSIZE)
    resource.prlimit(entry, resource.RLIMIT_FSIZE, (2 << 20, hard))
    try:
        assert watched.post(SOUND + CANARIES["body"].encode() + bytes(LARGE)).status_code >= 500
    finally:
        resource.prlimit(entry, resource.RLIMIT_FSIZE, (hard, hard))


# --- The proof


@pytest.fixture(scope="module")
def watched(
    start_service: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    for name in ("home", "tmp", "spool", "jobs"):
        (folder / name).mkdir()
    keys_file.add(folder / "keys.toml", keys_file.section("ward-3", digest(CANARIES["key"]).hex()))
    collector = Collector()
    service = start_service(
        command=[Path(sys.executable).with_name("bentoml"), "serve", "--debug", "service:MedASR"],
        BENTOML_DEBUG="True",
        HOME=str(folder / "home"),
        XDG_CACHE_HOME=str(folder / "home" / ".cache"),
        TMPDIR=str(folder / "tmp"),
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="200",
        MEDASR_LOG_FORMAT="json",
        MEDASR_API_KEYS_FILE=str(folder / "keys.toml"),
        MEDASR_AUDIT=str(folder / "audit.jsonl"),
        MEDASR_USAGE_FILE=str(folder / "usage.jsonl"),
        MEDASR_SPOOL_DIR=str(folder / "spool"),
        MEDASR_SPOOL_MB="1",
        MEDASR_JOBS="on",
        MEDASR_JOBS_DIR=str(folder / "jobs"),
        MEDASR_JOB_URL_HOSTS="127.0.0.1",
        MEDASR_JOB_WEBHOOK_HOSTS="127.0.0.1",
        MEDASR_JOB_WEBHOOK_SECRET=f"whsec_{base64.b64encode(os.urandom(32)).decode()}",
        MEDASR_JOBS_KEY=base64.b64encode(os.urandom(32)).decode(),
        MEDASR_UPLOAD_IDLE_TIMEOUT_S="2",
        MEDASR_REQUEST_TIMEOUT_S="12",
        MEDASR_MODEL_TIMEOUT_S="600",  # the model may stand still: nobody replaces it
    )
    try:
        service.wait_until_ready()
        yield Watched(folder, service, collector)
    finally:
        service.stop()
        collector.close()


def rows() -> dict[str, str]:
    """What each row of the table keeps of a client, by its first column."""
    found = re.findall(r"^\| ([a-z ]+) \| (?:.*) \| (?:.*) \| (.*) \|$", TABLE.read_text(), re.MULTILINE)
    return {what: kept for what, kept in found if what != "what"}


def not_asked(watched: Watched) -> set[tuple[str, str]]:
    """Of the routes that the service describes, and those of BentoML."""
    described = {
        (method.upper(), path)
        for path, methods in watched.ask("GET", "/openapi.json").json()["paths"].items()
        for method in methods
    }
    routes = described | {("GET", path) for path in OF_MACHINES}
    return {
        (method, path)
        for method, path in routes
        if not any(
            method == each and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked)
            for each, asked in watched.asked
        )
    }


def test_nothing_is_kept_but_what_the_table_says(watched: Watched) -> None:
    """The last thing is the stop: what is written then is looked at, too."""
    for step in (succeed, hand_in, speak, kill_the_model, run_out_of_time, fill_the_disk):
        step(watched)
    assert watched.post().status_code == 200
    assert not_asked(watched) == set()
    places = watched.places()
    assert set(places) == set(rows())
    until(lambda: len(watched.collector.received) > 0)
    for at, look in places.items():
        data = list(look())
        found = set().union(*map(found_in, data)) if data else set()
        allowed = {"request id"} if "X-Request-ID" in rows()[at] else set()
        assert found == allowed, f"{at} keeps {found}"
    watched.service.stop()
    for at in ("log", "spans", "usage", "audit", "keys", "jobs", "caches"):
        for each in places[at]():
            assert found_in(each) <= {"request id"}, at
    log = watched.service.log.read_text()
    assert len(log.splitlines()) > 50
    assert '"key": "ward-3"' in log  # it is written, and read
    assert (watched.folder / "usage.jsonl").read_bytes()
    assert not list((watched.folder / "tmp").glob("medasr-metrics-*"))  # until it ends, says the table


def test_what_is_planted_is_found(tmp_path: Path) -> None:
    """In each of its forms, and in each kind of place: the search sees."""
    text = CANARIES["prompt"]
    for form in (
        f'{{"message": "{text}"}}'.encode(),
        text.upper().encode(),
        text.encode("utf-16-le"),
        base64.b64encode(f"x{text}y".encode()),
        text.encode().hex().encode(),
    ):
        assert found_in(b"before " + form + b" behind") == {"prompt"}
    assert "said 0" in found_in(CLIP.text.lower().encode())
    assert found_in(b"RIFF" + SOUND) == {"sound"}
    (tmp_path / "home" / "deep").mkdir(parents=True)
    (tmp_path / "home" / "deep" / "cache").write_text(text)
    assert set().union(*map(found_in, _files(tmp_path))) == {"prompt"}
    program = (
        "import os, sys, tempfile\n"
        "held = tempfile.TemporaryFile(); held.write(sys.stdin.buffer.readline()); held.flush()\n"
        f"named = open(os.path.join({str(tmp_path)!r}, '{CANARIES['file']}'), 'w')\n"
        "print(flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PLANTED": CANARIES["key"]},
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{CANARIES['body']}\n".encode())
    process.stdin.flush()
    process.stdout.readline()
    service: Any = type("Service", (), {"process": process})
    planted = Watched(tmp_path, service, None)  # type: ignore[arg-type]
    assert set().union(*map(found_in, planted._held())) == {"body"}
    assert set().union(*map(found_in, planted._shown())) >= {"key", "file"}
    process.communicate()


def test_a_line_too_many_in_the_log_would_be_seen(watched: Watched) -> None:
    """The one thing that a client may write there is what shows that the log is read."""
    assert found_in(watched.service.log.read_bytes()) == {"request id"}
