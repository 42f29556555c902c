"""API keys: who may use the service. Checked before a request's body is read, and on every route.

A key comes as ``Authorization: Bearer KEY``. A browser's WebSocket cannot send headers: there it comes as the
subprotocol ``openai-insecure-api-key.KEY``, as OpenAI takes it. Never in an address: those end up in logs.
"""

import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from medasr_service.api.refusals import refuse
from medasr_service.errors import Unauthorized
from medasr_service.settings import Settings

SUBPROTOCOL = "openai-insecure-api-key."
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/health"})
METRICS = frozenset({"/metrics"})
PAGE, PAGE_FILES = frozenset({"/"}), ("/panel/",)  # static: it asks for the key
DOCS = ("/docs", "/redoc", "/openapi.json", "/asyncapi.yaml", "/static-offline-docs/")


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class Keys:
    """The keys that are accepted; without any, everyone is."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accepts(self, presented: str | None) -> bool:
        """Takes the same time for every wrong key."""
        if not self._digests:
            return True
        found = digest(presented or "")
        same = [hmac.compare_digest(found, each) for each in self._digests]
        return presented is not None and any(same)


def presented_key(scope: Scope) -> str | None:
    """The key that a request or a WebSocket brings."""
    headers = Headers(scope=scope)
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    if scope["type"] == "websocket":
        for protocol in scope.get("subprotocols", []):
            if protocol.startswith(SUBPROTOCOL):
                return str(protocol.removeprefix(SUBPROTOCOL))
    return None


class KeyCheck:
    """ASGI middleware: 401 without a key, except for the panel's files, probes, and what settings open."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._keys = Keys(settings.keys)
        self._open = PROBES | PAGE | (METRICS if settings.public_metrics else frozenset())
        self._open_below = (*PAGE_FILES, *(DOCS if settings.public_docs else ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_open(scope) or self._keys.accepts(presented_key(scope)):
            return await self._app(scope, receive, send)
        error = Unauthorized(
            "The API key is missing or wrong: send a key of this service as 'Authorization: Bearer KEY'."
        )
        await refuse(error, scope, receive, send, {"WWW-Authenticate": "Bearer"})

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return scope["type"] == "http" and (path in self._open or path.startswith(self._open_below))
