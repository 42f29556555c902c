"""What a line of the log looks like: as text for people, or as JSON, an object a line, for programs."""

import logging
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from medasr_service.telemetry import account

LogFormat: TypeAlias = Literal["text", "json"]
OF_BENTOML = ("levelname_bracketed", "trace_msg", "service_name")  # which it puts on each record
TEXT = "%(asctime)s [%(levelname)s] %(component)s %(message)s"
DATES = "%Y-%m-%dT%H:%M:%S%z"


class _Whose(logging.Filter):
    """A line that is written while a request is answered has its names."""

    def filter(self, record: logging.LogRecord) -> bool:
        found = account.current()
        record.request_id = found.request_id if found else ""
        record.trace_id = found.trace_id if found else ""
        return True


class _Text(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        names = [f"{name}={value}" for name in ("request_id", "trace_id") if (value := getattr(record, name))]
        return super().formatMessage(record) + (f" ({', '.join(names)})" if names else "")


class _Json(JsonFormatter):
    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        log_data["component"] = (log_data["component"] or "").strip("[]")  # as BentoML writes it
        return {name: value for name, value in log_data.items() if value not in ("", None)}


def shape(loggers: Iterable[str], log_format: LogFormat) -> None:
    """Gives all lines of these loggers, whoever writes them, one shape; theirs must be set up already."""
    formatter = _formatter(log_format)
    handlers = {handler for name in loggers for handler in logging.getLogger(name).handlers}
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.addFilter(_WHOSE)  # a second time it is there already
    if log_format == "json":
        logging.captureWarnings(True)


_WHOSE = _Whose()


def _formatter(log_format: LogFormat) -> logging.Formatter:
    if log_format == "text":
        return _Text(TEXT, DATES, defaults={"component": ""})
    return _Json(
        "%(levelname)s %(name)s %(component)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger"},
        reserved_attrs=[*RESERVED_ATTRS, *OF_BENTOML],
        timestamp="time",
        json_ensure_ascii=False,
        defaults={"component": ""},
    )
