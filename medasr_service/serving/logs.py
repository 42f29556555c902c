"""What the log may hold, however loud it is set: nothing that a stranger wrote, nothing that was said."""

import logging

from medasr_service.telemetry import logs
from medasr_service.telemetry.logs import LogFormat

# With `bentoml serve --debug` the root is at DEBUG. uvicorn writes addresses with their queries then,
# websockets each message, which is what was said, and httpx and the parsers of forms what they read.
OF_OTHERS = (
    "uvicorn",
    "uvicorn.error",
    "websockets",
    "httpx",
    "httpcore",
    "python_multipart",
    "multipart",
    "PIL",
)


# What uvicorn says behind a socket that was refused with an answer: that has a line of ours already. An
# application that really returns without one has, too, with status 500.
REFUSED_SOCKET = "ASGI callable returned without completing handshake."
TWICE = ("uvicorn.error", "circus")  # which BentoML lets write themselves, and their parent too
LOUD = ("", "bentoml", "uvicorn.error", "circus")  # those to which BentoML gives a handler


def set_up(log_format: LogFormat) -> None:
    """--debug is of BentoML and of ours; called behind BentoML's own setting up, in each process."""
    logs.shape(LOUD, log_format)
    for name in TWICE:
        logging.getLogger(name).propagate = False
    logging.getLogger("uvicorn.error").addFilter(_not_refused)
    for name in OF_OTHERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.INFO))


def _not_refused(record: logging.LogRecord) -> bool:
    return record.msg != REFUSED_SOCKET
