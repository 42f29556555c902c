"""What stands in the place of BentoML's own middleware, in every process that answers."""

from typing import Any

from bentoml._internal.server.http import traffic
from starlette.types import ASGIApp


def time_limit(app: ASGIApp, timeout: float) -> ASGIApp:
    from medasr_service.api.time_limit import TimeLimit

    return TimeLimit(app, timeout)


def untraced(app: ASGIApp, **_: Any) -> ASGIApp:
    return app


def install(*, answers: bool) -> None:
    """``answers``: this process does, and is not the one that only starts others."""
    # BentoML's own keeps a timer of each request, and with it all of its context, until it would be due.
    traffic.TimeoutMiddleware = time_limit  # type: ignore[misc, assignment]
    if answers:
        from opentelemetry.instrumentation import asgi

        # BentoML's own writes down addresses with their queries, and whatever a client calls itself.
        asgi.OpenTelemetryMiddleware = untraced  # type: ignore[misc, assignment]
