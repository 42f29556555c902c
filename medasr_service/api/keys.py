"""API keys: who may use the service. Checked before a request's body is read, and on every route.

A key comes as ``Authorization: Bearer KEY``. A browser's WebSocket cannot send headers: there it comes as the
subprotocol ``openai-insecure-api-key.KEY``, as OpenAI takes it. Never in an address: those end up in logs.
"""

from functools import partial
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from medasr_service.accounts.keys import Key, Keys, digest
from medasr_service.api.rate_limit import telling
from medasr_service.api.receipts import Receipt, put
from medasr_service.api.refusals import refuse
from medasr_service.errors import AuditUnavailable, RateLimited, Unauthorized
from medasr_service.settings import Settings
from medasr_service.telemetry import account

if TYPE_CHECKING:
    from medasr_service.accounts.audit import Audit
    from medasr_service.accounts.quotas import Quotas
    from medasr_service.accounts.usage import Usage

SUBPROTOCOL = "openai-insecure-api-key."
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/health"})
METRICS = frozenset({"/metrics"})
PAGE, PAGE_FILES = frozenset({"/"}), ("/panel/",)  # static: it asks for the key
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DOCS = ("/docs", "/redoc", "/openapi.json", "/asyncapi.yaml", "/static-offline-docs/")


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

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        keys: Keys | None = None,
        quotas: "Quotas | None" = None,
        usage: "Usage | None" = None,
        audit: "Audit | None" = None,
    ) -> None:
        self._app = app
        self._keys = Keys(settings.keys) if keys is None else keys
        self._quotas = quotas
        self._usage = usage
        self._audit = audit
        self._open = PROBES | PAGE | (METRICS if settings.public_metrics else frozenset())
        self._open_below = (*PAGE_FILES, *(DOCS if settings.public_docs else ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_open(scope):
            return await self._app(scope, receive, send)
        if self._keys.is_open:
            return await self._counted(Receipt(usage=self._usage, audit=self._audit), scope, receive, send)
        presented = presented_key(scope)
        try:
            key = self._checked(presented)
        except Unauthorized as error:
            return await refuse(error, scope, receive, send, {"WWW-Authenticate": "Bearer"})
        is_let_in = partial(self._keys.lets_in, digest(presented or ""))
        receipt = Receipt(key, is_let_in, self._quotas, self._usage, self._audit)
        await self._counted(receipt, scope, receive, telling(send, receipt) if self._quotas else send)

    async def _counted(self, receipt: Receipt, scope: Scope, receive: Receive, send: Send) -> None:
        """What does more than look counts as a request; a socket, once it is open: browsers see no status."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            try:
                await receipt.begin()
            except (RateLimited, AuditUnavailable) as error:
                return await refuse(error, scope, receive, send)
        await self._app(put(scope, receipt), receive, send)

    def _checked(self, presented: str | None) -> Key:
        key = self._keys.find(presented)
        if key is None:
            raise Unauthorized(
                "The API key is missing or wrong: send a key of this service as 'Authorization: Bearer KEY'."
            )
        if found := account.current():
            found.key = key.name
        if self._keys.has_expired(key):
            raise Unauthorized("The API key has expired.", code="expired_api_key")
        return key

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return scope["type"] == "http" and (path in self._open or path.startswith(self._open_below))
