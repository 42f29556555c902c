"""Whom a job may ask, and for how much."""

import socket
from collections.abc import Callable
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler

import pytest

from medasr_service.errors import InvalidRequest, UploadTooLarge, UrlRefused
from medasr_service.jobs.outward import Allowed, Unreachable, fetch
from tests.jobs.conftest import Web, reply

HERE = "127.0.0.1/32"  # of tests: named as an address, it is allowed although it is inside
INSIDE = (
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1"),
    *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:1::1", "fd00:ec2::254"),
)


async def got(allowed: Allowed, url: str, max_bytes: int = 1 << 20) -> bytes:
    blocks = []
    async with aclosing(fetch(allowed, url, max_bytes=max_bytes, idle_s=5, total_s=20)) as coming:
        async for block in coming:
            blocks.append(block)
    return b"".join(blocks)


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_is_asked_unless_it_is_named(address: str) -> None:
    assert not Allowed(["*", "10.9.0.0/16"]).address(address)


def test_an_address_outside_is_asked_and_one_inside_where_it_is_named() -> None:
    assert Allowed([]).address("93.184.215.14")
    assert Allowed([]).address("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    assert Allowed(["10.9.0.0/16"]).address("10.9.1.1")
    assert Allowed(["10.9.0.0/16"]).address("::ffff:10.9.1.1")
    with pytest.raises(ValueError, match="does not appear"):
        Allowed([]).address("example.org")


@pytest.mark.parametrize(
    "url",
    ["https://media.example.org/a.wav?sig=1", "http://Media.Example.Org:8080/", "https://a.b.example.net/x"],
)
def test_a_host_that_is_named_is_asked(url: str) -> None:
    assert str(Allowed(["media.example.org", "*.example.net"]).check(url, "url"))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://example.org/",
            "https://media.example.org.evil.test/",
            "https://evil.test/media.example.org",
        ),
        *(
            "https://media.example.org@evil.test/",
            "https://evil.test#media.example.org",
            "https://example.net/",
        ),
        *(
            "file:///etc/passwd",
            "ftp://media.example.org/",
            "gopher://media.example.org",
            "//media.example.org/",
        ),
        *("media.example.org", "", "https://", "http://[::1]/", "http://127.0.0.1/", "http://2130706433/"),
        *("http://169.254.169.254/latest/meta-data", "http://[::ffff:7f00:1]/", "http://[", "https://\x00/"),
    ],
)
def test_any_other_is_not_and_the_url_stays_unsaid(url: str) -> None:
    with pytest.raises(UrlRefused) as refused:
        Allowed(["media.example.org", "*.example.net"]).check(url, "url")
    assert refused.value.param == "url"
    assert "example.org" not in refused.value.message
    assert "evil" not in refused.value.message


async def test_a_recording_is_fetched_as_it_is(web: Web) -> None:
    body = bytes(range(256)) * 1000
    web.answer = lambda handler: reply(handler, 200, body)
    assert await got(Allowed([HERE]), f"{web.url}/a.wav") == body
    assert web.received[0].headers["accept-encoding"] == "identity"


async def test_a_name_that_leads_inside_is_refused_at_the_connection(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name is allowed, what the name server says of it is not."""
    real = socket.getaddrinfo

    def rebound(host: object, port: object, *rest: object, **named: object) -> list[object]:
        return list(real("127.0.0.1", port, *rest, **named))  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    url = f"http://media.example.org:{web.port}/a.wav"
    with pytest.raises(Unreachable):
        await got(Allowed(["media.example.org"]), url)
    assert web.received == []
    assert await got(Allowed(["media.example.org", HERE]), url) == b""


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/", "http://localhost/", "file:///etc/passwd"]
)
async def test_a_redirect_to_where_nobody_may_ask_is_refused(web: Web, target: str) -> None:
    web.answer = lambda handler: reply(handler, 302, Location=target)
    with pytest.raises(UrlRefused):
        await got(Allowed([HERE]), f"{web.url}/a.wav")
    assert len(web.received) == 1


async def test_a_redirect_within_what_is_allowed_is_followed_not_for_ever(web: Web) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/a.wav":
            reply(handler, 307, Location="/b.wav")
        elif handler.path == "/b.wav":
            reply(handler, 200, b"sound")
        else:
            reply(handler, 302, Location="/again")

    web.answer = answer
    assert await got(Allowed([HERE]), f"{web.url}/a.wav") == b"sound"
    with pytest.raises(InvalidRequest, match="too often"):
        await got(Allowed([HERE]), f"{web.url}/again")


def endless(length: int | None) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(1 << 16))

    return answer


@pytest.mark.parametrize("length", [10 << 30, None])
async def test_a_file_of_ten_gigabytes_is_refused_as_soon_as_it_is_known(
    web: Web, length: int | None
) -> None:
    web.answer = endless(length)
    with pytest.raises(UploadTooLarge, match="1 MiB"):
        await got(Allowed([HERE]), f"{web.url}/a.wav")


@pytest.mark.parametrize("status", [401, 403, 404, 204, 206, 300])
async def test_what_is_not_there_is_said(web: Web, status: int) -> None:
    web.answer = lambda handler: reply(handler, status)
    with pytest.raises(InvalidRequest, match=str(status)):
        await got(Allowed([HERE]), f"{web.url}/a.wav")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_go_well_in_a_while_is_told_apart(web: Web, status: int) -> None:
    web.answer = lambda handler: reply(handler, status)
    with pytest.raises(Unreachable):
        await got(Allowed([HERE]), f"{web.url}/a.wav")


async def test_a_body_that_ends_early_is_no_recording(web: Web) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b"half", length=False, **{"Content-Length": "8"})
        handler.close_connection = True

    web.answer = answer
    with pytest.raises(Unreachable):
        await got(Allowed([HERE]), f"{web.url}/a.wav")


async def test_no_proxy_of_the_environment_is_asked(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    web.answer = lambda handler: reply(handler, 200, b"sound")
    assert await got(Allowed([HERE]), f"{web.url}/a.wav") == b"sound"
