"""Who is told that a job has ended: by Standard Webhooks, which their libraries and OpenAI's can verify.

The message names the job and what became of it, and holds no word of it.
"""

import base64
import binascii
import json
from datetime import UTC, datetime

import aiohttp
from standardwebhooks.webhooks import Webhook

from medasr_service.jobs.outward import Allowed

ANSWER_S = 15.0
RETRIES_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0)  # some 16 hours in all
GONE = 410  # nobody is there who would ever want it


def is_secret(text: str) -> bool:
    """As Standard Webhooks writes them: base64 of 24 to 64 bytes, behind whsec_."""
    try:
        return 24 <= len(base64.b64decode(text.removeprefix("whsec_"), validate=True)) <= 64
    except binascii.Error:
        return False


def message(job: str, place: str, *, failed: bool, ended_s: float) -> tuple[str, str]:
    """Its id, the same in each attempt, and its body."""
    number = f"evt_{place}"
    body = {
        "id": number,
        "object": "event",
        "created_at": int(ended_s),
        "type": f"transcription.job.{'failed' if failed else 'succeeded'}",
        "data": {"id": job},
    }
    return number, json.dumps(body)


async def post(allowed: Allowed, url: str, secret: str, number: str, body: str) -> str:
    """ "delivered", "failed" where it is of no use to try again, or "again". Raises UrlRefused."""
    target = allowed.check(url, "webhook_url")
    now = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": number,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(number, now, body),
    }
    try:
        async with (
            allowed.session(idle_s=ANSWER_S, total_s=ANSWER_S) as session,
            session.post(target, data=body.encode(), headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status == GONE:
                return "failed"
            return "delivered" if 200 <= answer.status < 300 else "again"
    except (aiohttp.ClientError, TimeoutError, OSError):
        return "again"
