"""The shape of a line, whoever writes it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from medasr_service.serving.logs import REFUSED_SOCKET, _not_refused
from medasr_service.telemetry import logs
from medasr_service.telemetry.account import Account, opened
from medasr_service.telemetry.logs import LogFormat


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What the logger "test.shape" writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("test.shape")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logging.captureWarnings(False)


def say(log_format: LogFormat, *message: object, **more: object) -> None:
    logs.shape(["test.shape"], log_format)
    with opened(Account("/", request_id="four", trace_id="ab" * 16)):
        logging.getLogger("test.shape").info(*message, **more)  # type: ignore[arg-type]


def test_a_line_of_text_ends_with_the_names_of_its_request(said: io.StringIO) -> None:
    say("text", "100 %% of %d", 2)
    assert said.getvalue().endswith(f" 100 % of 2 (request_id=four, trace_id={'ab' * 16})\n")
    assert "[INFO]" in said.getvalue()


def test_a_line_of_json_is_an_object_also_with_a_traceback_in_it(said: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        say("json", "it failed: %s", "ä", exc_info=error, extra={"audio_s": 1.5, "nothing": None})
    line = json.loads(said.getvalue())
    assert said.getvalue().count("\n") == 1
    assert (line["message"], line["level"], line["logger"]) == ("it failed: ä", "INFO", "test.shape")
    assert (line["request_id"], line["trace_id"], line["audio_s"]) == ("four", "ab" * 16, 1.5)
    assert "ValueError" in line["exc_info"]
    assert not {"nothing", "component"} & set(line)


def test_outside_of_a_request_there_are_no_names(said: io.StringIO) -> None:
    logs.shape(["test.shape"], "json")
    logging.getLogger("test.shape").warning("by itself")
    assert not {"request_id", "trace_id"} & set(json.loads(said.getvalue()))


@pytest.mark.parametrize(
    ("message", "kept"), [(REFUSED_SOCKET, False), ("Exception in ASGI application", True)]
)
def test_only_the_false_alarm_behind_a_refused_socket_is_dropped(message: str, kept: bool) -> None:
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, message, None, None)
    assert _not_refused(record) is kept
