"""The panel: static files, under a policy that lets them reach nothing but this service."""

import re
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "panel"
HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked for again: an update must reach the page as a whole
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), usb=(), payment=(), hid=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


def add_panel(app: FastAPI) -> None:
    """The page at ``/`` and what it loads at ``/panel/...``."""
    files = _Files(directory=FOLDER)

    async def index(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    app.add_route("/", index, methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/panel", files, name="panel")


def content_security_policy(host: str) -> str:
    """Nothing but this service's own files and API; sounds from the page's memory.

    "self" covers WebSockets in current browsers; older ones want them spelled out, as far as the Host header
    can be trusted to be nothing but a host.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "media-src": "blob:",
        "worker-src": "'self'",
        "connect-src": f"'self'{sockets}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in policy.items())


class _Files(StaticFiles):
    """With the headers, also where the answer is that nothing has changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        host = Request(scope).headers.get("host", "")
        response.headers.update({**HEADERS, "Content-Security-Policy": content_security_policy(host)})
        return response
