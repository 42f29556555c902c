"""What is left of a key's limits, in headers of each answer: the standard's, and those that OpenAI sends.

draft-ietf-httpapi-ratelimit-headers: RateLimit-Policy names the limits, RateLimit what remains of them.
"""

from typing import TYPE_CHECKING

from starlette.types import Message, Send

from medasr_service.api.receipts import Receipt

if TYPE_CHECKING:
    from medasr_service.accounts.quotas import Left

EXPOSED = (
    *("RateLimit", "RateLimit-Policy"),
    *(f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")),
)


def headers(limits: "list[Left]") -> dict[str, str]:
    found = {}
    if limits:
        found["RateLimit-Policy"] = ", ".join(
            f'"{each.name}";q={each.quota};w={each.window_s}' for each in limits
        )
        found["RateLimit"] = ", ".join(
            f'"{each.name}";r={each.remaining};t={each.reset_s}' for each in limits
        )
    for each in limits:
        if each.name == "requests":
            values = (each.quota, each.remaining, f"{each.reset_s}s")
            found |= dict(zip(EXPOSED[2:], map(str, values), strict=True))
    return found


def telling(send: Send, receipt: Receipt) -> Send:
    """Sends, with the headers as they are when the answer begins."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(k.encode(), v.encode()) for k, v in headers(await receipt.left()).items()]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return told
