"""Which pages a browser may bring here, and under which names this service may be called.

A browser sends what any page asks it to, also to a service on the user's own machine. So the live socket, and
what changes or costs something, are refused to pages of other origins unless ``allow_origins`` names them;
those that it names may read the answers (CORS). A page's own origin passes, and so does a client that names
none: only browsers do.

A page can also give its own host name the address of this service, and is then of the same origin (DNS
rebinding). Where no key stands in its way, the Host must be one that no stranger's page can have: an IP
address, localhost, a name without a dot (of a container network), or one of ``allow_hosts``.
"""

import re
from contextlib import suppress
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from medasr_service.api.keys import PROBES, SAFE_METHODS
from medasr_service.api.rate_limit import EXPOSED as LIMITS
from medasr_service.api.refusals import refuse
from medasr_service.errors import Forbidden
from medasr_service.settings import Settings

METHODS = ("DELETE", "GET", "HEAD", "POST")
EXPOSED = (
    "Retry-After",
    "X-Request-ID",
    *LIMITS,
)  # what a page may read besides the headers that every page may
_HOST = re.compile(r"(\[(?P<v6>[^\[\]]+)\]|(?P<name>[^:\[\]/@]+))(:[0-9]{0,5})?")


class OriginCheck:
    """ASGI middleware: 403 to foreign pages, and under foreign names; CORS for the pages that are allowed."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._allowed = frozenset(settings.origins)
        self._hosts = frozenset(settings.hosts) if settings.is_open else None
        self._app = app
        if self._allowed:
            self._app = CORSMiddleware(
                app,
                allow_origins=settings.origins,
                allow_methods=METHODS,
                allow_headers=("*",),
                allow_private_network=True,
                expose_headers=EXPOSED,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if not self._is_named_well(scope, headers):
            error = Forbidden(
                "Without API keys, this service answers only under an IP address, localhost, a name without a"
                " dot, or a host that MEDASR_ALLOW_HOSTS names.",
                code="host_not_allowed",
            )
            return await refuse(error, scope, receive, send)
        if _costs(scope, headers) and not self._may_ask(headers):
            error = Forbidden(
                "Pages of this origin may not use the service; MEDASR_ALLOW_ORIGINS names those that may.",
                code="origin_not_allowed",
            )
            return await refuse(error, scope, receive, send)
        await self._app(scope, receive, send)

    def _is_named_well(self, scope: Scope, headers: Headers) -> bool:
        if self._hosts is None or scope["path"] in PROBES:
            return True
        return all(_is_own(host, self._hosts) for host in headers.getlist("host"))

    def _may_ask(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or "*" in self._allowed or origin.lower() in self._allowed:
            return True
        # The browser's own word, which no page can forge: right also where a proxy changed the Host.
        if headers.get("sec-fetch-site") == "same-origin":
            return True
        _, _, host = origin.lower().partition("://")
        return bool(host) and host == headers.get("host", "").lower()


def _costs(scope: Scope, headers: Headers) -> bool:
    """Whether it does more than look: a socket, a request that changes something, or the question for one."""
    if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
        return True
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def _is_own(host: str, allowed: frozenset[str]) -> bool:
    """Whether no stranger's page can have this Host; ``*.example.org`` in ``allowed``: all below it."""
    found = _HOST.fullmatch(host.lower())
    if not found:
        return not host  # HTTP/1.0 needs none, and a browser always sends one
    name = found["v6"] or found["name"].removesuffix(".")
    with suppress(ValueError):
        ip_address(name)
        return True
    if "." not in name or name.endswith(".localhost") or "*" in allowed or name in allowed:
        return True
    return any(each.startswith("*.") and name.endswith(each[1:]) for each in allowed)
