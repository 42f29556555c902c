"""Spans for an OpenTelemetry collector, which the standard variables name: OTEL_EXPORTER_OTLP_ENDPOINT.

Where they name none, nothing of OpenTelemetry is imported for it, and a span is a call that does nothing. It
holds lengths, counts, times and words of ours; of what a client writes, the ids of ``traceparent`` alone.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

HEADER = "traceparent"  # W3C Trace Context
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"
STOP_S = 2.0

log = logging.getLogger("bentoml.medasr")

_tracer: Any = None
_provider: Any = None


def is_wanted(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether a collector is named, or its usual address is to be taken."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = variables.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return exporter == "otlp" or (not exporter and any(map(variables.get, ENDPOINTS)))


def start(version: str) -> None:
    """In each process, before its first request. Also that which cannot deliver costs the service nothing."""
    global _tracer, _provider
    if not is_wanted() or _tracer is not None:
        return
    if (protocol := next(filter(None, map(os.environ.get, PROTOCOLS)), SPOKEN)) != SPOKEN:
        log.warning("spans are sent as %s, not as %s", SPOKEN, protocol)
    from medasr_service.telemetry import otlp

    try:
        _provider = otlp.provider(version)
    except ValueError as error:
        log.error("there are no spans: %s", error)  # it says what is wrong in OTEL_*
        return
    _tracer = _provider.get_tracer("medasr_service", version)


def stop() -> None:
    """Delivers what is there, for a moment: a collector that does not answer holds nothing up."""
    global _tracer, _provider
    if _provider is not None:
        delivering = threading.Thread(target=_provider.shutdown, daemon=True)
        delivering.start()
        delivering.join(STOP_S)
    _tracer = _provider = None


def trace_id_of(traceparent: str) -> str:
    """Empty where it is none."""
    found = _PARENT.fullmatch(traceparent)
    return found[1] if found and int(found[1], 16) and int(found[2], 16) else ""


class Span:
    """What is done in it; ``trace_id`` is empty where nothing is traced."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    @property
    def trace_id(self) -> str:
        return f"{self._span.get_span_context().trace_id:032x}" if self._span else ""

    def note(self, **attributes: float | str) -> None:
        """Under names of ours: ``audio_s`` is medasr.audio_s."""
        if self._span:
            self._span.set_attributes({_named(name): value for name, value in attributes.items()})

    def fail(self, code: str) -> None:
        if self._span:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", code)
            self._span.set_status(StatusCode.ERROR)


_NOTHING = Span()


@contextmanager
def span(name: str, **attributes: float | str) -> Iterator[Span]:
    """A part of whatever span is open; what fails in it is not written down, only that it did."""
    if _tracer is None:
        yield _NOTHING
        return
    with _tracer.start_as_current_span(
        name,
        attributes={_named(each): value for each, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        yield Span(opened)


@contextmanager
def served(name: str, traceparent: str = "") -> Iterator[Span]:
    """A request, within the trace that its client names."""
    if _tracer is None:
        yield _NOTHING
        return
    from medasr_service.telemetry import otlp

    with _tracer.start_as_current_span(
        name,
        context=otlp.context_of(_PARENT.fullmatch(traceparent)),
        kind=otlp.SERVER,
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        yield Span(opened)


def here() -> Any:
    """The span that is open, for ``for_all``; None where none is, or none is recorded."""
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    found = get_current_span()
    return found if found.is_recording() else None


@contextmanager
def for_all(name: str, spans: Sequence[Any], **attributes: float | str) -> Iterator[None]:
    """What is done once for several spans (``here``): a part of the first, linked with each of the others."""
    if _tracer is None or not spans:
        yield
        return
    from medasr_service.telemetry import otlp

    first, *others = spans
    with _tracer.start_as_current_span(
        name,
        context=otlp.within(first),
        links=otlp.links(others),
        attributes={_named(each): value for each, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        for each in others:
            each.add_link(opened.get_span_context())
        yield


def past(name: str, seconds: float, **attributes: float | str) -> None:
    """One that has just ended."""
    if _tracer is not None:
        end_ns = time.time_ns()
        opened = _tracer.start_span(
            name,
            start_time=end_ns - round(seconds * 1e9),
            attributes={_named(each): value for each, value in attributes.items()},
        )
        opened.end(end_ns)


def _named(name: str) -> str:
    return name if "." in name else f"medasr.{name}"
