"""Before anything starts: is everything there that this run needs? A line for each thing that is not."""

import base64
import binascii
import json
import os
import re

import job
from job import Problem, note, output, step

KEY = re.compile(r"[!-~]{16,}")


def problems(environment: dict[str, str]) -> list[str]:
    """What is missing or cannot be right; values are never told."""
    found = []
    if environment.get("MODEL", "demo") != "demo" and not environment.get("HF_TOKEN"):
        found.append(
            "the secret HF_TOKEN is not set: accept the model's terms and store that account's token"
        )
    if environment.get("TUNNEL", "true") == "false":
        return found
    if not environment.get("TUNNEL_HOSTNAME"):
        found.append("the variable TUNNEL_HOSTNAME is not set: the name under which the tunnel is reached")
    token = environment.get("CLOUDFLARE_TUNNEL_TOKEN", "")
    if not token:
        found.append("the secret CLOUDFLARE_TUNNEL_TOKEN is not set: the token of the named tunnel")
    elif not _is_tunnel_token(token):
        found.append(
            "the secret CLOUDFLARE_TUNNEL_TOKEN is no tunnel token: copy it whole from the dashboard"
        )
    keys = [key.strip() for key in environment.get("MEDASR_API_KEYS", "").split(",") if key.strip()]
    if not keys:
        found.append("the secret MEDASR_API_KEYS is not set: a public transcription endpoint wants a key")
    elif not all(KEY.fullmatch(key) for key in keys):
        found.append(
            "the secret MEDASR_API_KEYS holds a key of fewer than 16 characters, or with a space in it"
        )
    return found


def _is_tunnel_token(token: str) -> bool:
    try:
        body = json.loads(base64.b64decode(token.strip(), validate=True))
    except (binascii.Error, ValueError):
        return False
    return isinstance(body, dict) and {"a", "s", "t"} <= set(body)


def may_be_kept(environment: dict[str, str]) -> bool:
    """Whether the artefact may go to the Actions cache. That of a public repository is open to every workflow
    of it, also of a pull request from a fork: gated weights must not lie there.
    """
    return environment.get("PRIVATE") == "true" or environment.get("MODEL", "demo") == "demo"


def main() -> None:
    job.begin()
    if found := problems(dict(os.environ)):
        raise Problem("\n".join(found))
    keep = may_be_kept(dict(os.environ))
    output("keep", str(keep).lower())
    if not keep:
        note("public repository: the artefact is not kept in the Actions cache, and is exported by each run")
    print("everything that this run needs is there")


if __name__ == "__main__":
    step(main)
