"""What the log may hold, however loud it is set: nothing that a stranger wrote, nothing that was said."""

import logging

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


def keep_quiet() -> None:
    """--debug is of BentoML and of ours; called behind BentoML's own setting up, in each process."""
    for name in OF_OTHERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.INFO))
