"""One line in the log for each request, and for each live session."""

import logging

from medasr_service.telemetry.account import Account

log = logging.getLogger("bentoml.access")


def write(account: Account) -> None:
    """As text all in the message; as JSON each under its name (logs.py)."""
    fields = fields_of(account)
    shown = " ".join(f"{name}={value}" for name, value in fields.items() if name not in IN_FRONT)
    log.info(
        "%s %s %s %d %s",
        *(fields[name] for name in IN_FRONT),
        shown,
        extra=dict(fields),
    )


IN_FRONT = ("client", "method", "route", "status")


def fields_of(account: Account) -> dict[str, object]:
    """Seconds as ``_s``; what there was none of is left out."""
    stages = {f"{name}_s": round(seconds, 4) for name, seconds in account.stages.items()}
    fields = {
        "client": account.address or NOWHERE,
        "method": account.method,
        "route": account.route,
        "status": account.status,
        "code": account.code,
        "reason": account.reason,
        "key": account.key,
        "format": account.format,
        "upload_bytes": account.upload_bytes,
        "audio_s": round(account.audio_s, 3),
        "transcribed_s": round(account.transcribed_s, 3),
        **stages,
        "first_byte_s": account.first_byte_s and round(account.first_byte_s, 4),
        "whole_s": round(account.whole_s, 4),
    }
    return {name: value for name, value in fields.items() if value not in (None, 0) or name == "status"}


NOWHERE = "-"  # another process of this machine
