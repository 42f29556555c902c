"""Requests that a job makes to others: only to hosts that the settings name, never to an address inside.

The address is checked where the connection is made, whatever a name server has said before (DNS rebinding).
No proxy is asked, also where the environment names one: it would look the name up by itself.
"""

import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiohttp
from yarl import URL

from medasr_service.errors import InvalidRequest, UploadTooLarge, UrlRefused

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
LATER = (408, 425, 429)  # besides 500 and above: it may go well in a while
CONNECT_S = 10.0
# An IPv4 address may hide in these: of 6to4, Teredo, NAT64.
TRANSLATED = tuple(map(IPv6Network, ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48")))


class Unreachable(Exception):
    """It does not answer as it should, for now."""


class Allowed:
    """``hosts``: names, ``*.example.org`` for all below, and addresses or networks (10.1.0.0/16), which are
    allowed although they are inside."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._names, self._networks = [], []
        for host in hosts:
            try:
                self._networks.append(ip_network(host))
            except ValueError:
                self._names.append(host.lower().rstrip("."))

    def check(self, text: str, param: str) -> URL:
        """The URL. Raises UrlRefused; what it says names no secret part of it."""
        try:
            url = URL(text)
            host = (url.host or "").lower().rstrip(".")
        except ValueError:
            host = ""
        if not host or url.scheme not in ("http", "https"):
            raise UrlRefused(f"{param} is no address: it begins with https://", param=param)
        try:
            found = self.address(host)
        except ValueError:
            found = any(fnmatchcase(host, name) for name in self._names)
        if not found:
            raise UrlRefused(
                f"The host of {param} is not among those that this service may ask.", param=param
            )
        return url

    def address(self, text: str) -> bool:
        """Whether a connection may be made to it. Raises ValueError where it is none."""
        address = ip_address(text.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if any(address in network for network in self._networks if network.version == address.version):
            return True
        return _is_outside(address)

    @asynccontextmanager
    async def session(self, *, idle_s: float, total_s: float) -> AsyncGenerator[aiohttp.ClientSession, None]:
        connector = aiohttp.TCPConnector(socket_factory=self._socket, force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=CONNECT_S, sock_read=idle_s)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, trust_env=False, auto_decompress=False
        ) as session:
            yield session

    def _socket(self, found: Any) -> socket.socket:
        family, kind, protocol, _, address = found
        if not self.address(str(address[0])):
            raise OSError("an address inside")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def _is_outside(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and any(address in network for network in TRANSLATED):
        return False
    return address.is_global and not address.is_multicast


async def fetch(
    allowed: Allowed, text: str, *, max_bytes: int, idle_s: float, total_s: float
) -> AsyncGenerator[bytes, None]:
    """The bytes of a recording, as they come.

    Raises UrlRefused, UploadTooLarge, InvalidRequest where there is nothing to be had, Unreachable.
    """
    url = allowed.check(text, "url")
    try:
        async with allowed.session(idle_s=idle_s, total_s=total_s) as session:
            for _ in range(MAX_REDIRECTS + 1):
                async with session.get(
                    url, allow_redirects=False, headers={"Accept-Encoding": "identity"}
                ) as answer:
                    if answer.status in REDIRECTS:
                        url = _next(allowed, url, answer.headers.get("Location", ""))
                        continue
                    _check(answer, max_bytes)
                    received = 0
                    async for block in answer.content.iter_chunked(1 << 16):
                        received += len(block)
                        if received > max_bytes:
                            raise _too_large(max_bytes)
                        yield block
                    return
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(type(error).__name__) from None
    raise InvalidRequest("The url redirects too often.", param="url", code="url_unusable")


def _next(allowed: Allowed, url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location))
    except ValueError:
        target = URL()
    if url.scheme == "https" and target.scheme != "https":
        raise UrlRefused("The url redirects to a place that is not encrypted.", param="url")
    return allowed.check(str(target), "url")


def _check(answer: aiohttp.ClientResponse, max_bytes: int) -> None:
    if answer.status in LATER or answer.status >= 500:
        raise Unreachable(str(answer.status))
    if answer.status != 200:
        raise InvalidRequest(
            f"The url cannot be fetched: its server answers {answer.status}.",
            param="url",
            code="url_unusable",
        )
    if (answer.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(
        f"The recording is larger than {max_bytes >> 20:,} MiB, the limit of this service.", param="url"
    )
