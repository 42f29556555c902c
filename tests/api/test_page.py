"""The panel's files: their types, their caching, and what their policy lets them reach."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from medasr_service.api.app import create_app
from medasr_service.api.keys import KeyCheck
from medasr_service.api.page import FOLDER, HEADERS, content_security_policy
from medasr_service.settings import Settings
from tests.conftest import ROOT

TYPES = {".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml", ".js": "javascript"}
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.*") if path.name != "index.html")
OURS = [path for path in FOLDER.iterdir() if path.is_file()]


@pytest.fixture(scope="module")
def page() -> TestClient:
    """Without a model: the page must load before the model has."""
    return TestClient(create_app(Settings()))


@pytest.mark.parametrize("path", ["/", *(f"/panel/{name}" for name in FILES)])
def test_every_file_has_its_type_and_the_headers(page: TestClient, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code == 200
    suffix = ".html" if path == "/" else path[path.rindex(".") :]
    assert TYPES[suffix] in answer.headers["content-type"]
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")


def test_the_page_is_asked_for_again_and_sent_only_when_it_has_changed(page: TestClient) -> None:
    first = page.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = page.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert page.head("/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/panel", "/panel/", "/panel/nope.js", "/panel/../keys.py", "/panel/%2e%2e/app.py"]
)
def test_nothing_but_the_files_is_served(page: TestClient, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_other_methods_are_refused_in_the_error_shape(page: TestClient) -> None:
    for path in ("/", "/panel/app.js"):
        answer = page.post(path)
        assert answer.status_code == 405
        assert answer.json()["error"]["code"] == "method_not_allowed"


def test_the_page_asks_for_a_key_and_so_needs_none() -> None:
    keyed = Settings(api_keys=SecretStr("alice-0123456789abcdef"))
    guarded = TestClient(KeyCheck(create_app(keyed), keyed))
    assert [guarded.get(path).status_code for path in ("/", "/panel/app.js")] == [200, 200]
    assert [guarded.get(path).status_code for path in ("/v1/models", "/panels", "/panel")] == [401] * 3


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split(";"))}


def test_the_policy_allows_no_inline_code_and_no_other_host() -> None:
    policy = directives(content_security_policy("asr.clinic.example:8443"))
    sources = {source for values in policy.values() for source in values}
    assert sources == {
        "'none'",
        "'self'",
        "'script'",
        "blob:",
        "ws://asr.clinic.example:8443",
        "wss://asr.clinic.example:8443",
    }
    assert policy["script-src"] == policy["style-src"] == ["'self'"]


@pytest.mark.parametrize("host", ["127.0.0.1:8400", "localhost", "[::1]:8400", "asr-1.clinic.example"])
def test_sockets_go_to_the_host_of_the_page(host: str) -> None:
    assert directives(content_security_policy(host))["connect-src"] == [
        "'self'",
        f"ws://{host}",
        f"wss://{host}",
    ]


@pytest.mark.parametrize(
    "host", ["", "a; script-src *", "evil.example *", "a\tb", "x" * 300, "[::1", "a:port"]
)
def test_a_strange_host_adds_nothing_to_the_policy(host: str) -> None:
    assert content_security_policy(host) == content_security_policy("")
    assert directives(content_security_policy(host))["connect-src"] == ["'self'"]


NAMES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}  # of languages, not of hosts


def test_the_page_names_no_other_host() -> None:
    for path in OURS:
        addresses = re.findall(
            r"(?:https?:)?//[a-z][^\s\"'`)]*", re.sub(r"(?m)^\s*//.*$|\s// .*$", "", path.read_text())
        )
        assert set(addresses) <= NAMES, path.name


def test_every_element_that_the_code_asks_for_is_in_the_page() -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', (FOLDER / "index.html").read_text()))
    code = "\n".join(path.read_text() for path in FOLDER.glob("*.js"))
    wanted = set(re.findall(r'(?:\$|onClick)\("([\w-]+)"', code))
    assert len(wanted) > 30
    assert wanted <= ids


def test_the_code_of_the_page_passes_its_linter() -> None:
    oxlint = Path(sys.executable).with_name("oxlint")
    found = subprocess.run([oxlint, "--deny-warnings", FOLDER], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("path", sorted((FOLDER / "vendor").iterdir()), ids=lambda path: path.name)
def test_a_library_brings_its_licence_and_version_and_makes_no_code(path: Path) -> None:
    code = path.read_text()
    banner = code[: code.index("*/")]
    assert re.search(r"\n[a-z_]+ \d+\.\d+\.\d+, (MIT|Apache-2\.0)\n", banner)
    assert "Permission is hereby granted" in banner or "Apache License" in banner
    assert len(code) < 1_000_000
    assert not re.findall(r"\beval\(|new Function\b|XMLHttpRequest|\bfetch\(|WebSocket|sendBeacon", code)


def test_what_the_page_says_stands_in_one_file() -> None:
    """starter.js and the table of commands are data, which users change or say."""
    page = (FOLDER / "index.html").read_text()
    own = re.sub(
        r"<noscript>.*?</noscript>|<title>.*?</title>|<kbd[^>]*>[^<]*</kbd>|<[^>]+>",
        " ",
        page,
        flags=re.DOTALL,
    )
    words = re.findall(r"[A-Za-z]{2,}", own)
    assert set(words) <= {"html", "MedASR", "txt", "docx", "srt", "vtt", "json", "wav", "zip"}, words
    assert not re.findall(r'\s(?:aria-label|title|placeholder)="', page)
    sentence = re.compile(
        r"""["'`][^"'`\n]*\b[A-Z]?[a-z]+ [a-z]+ [a-z]+\b[^"'`\n]*["'`]|["'`][A-Z][a-z]+ [a-z]+"""
    )
    for path in OURS:
        if path.suffix == ".js" and path.name not in ("texts.js", "starter.js", "commands.js"):
            code = re.sub(r"/\*.*?\*/|(?m:(^|\s)//.*$)", "", path.read_text(), flags=re.DOTALL)
            assert not sentence.findall(code), path.name


def test_text_reaches_the_page_as_text_only() -> None:
    code = "\n".join(path.read_text() for path in FOLDER.glob("*.js"))
    assert not re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", code
    )
