"""Which commit of the model is meant: the key under which its artefact is cached. Checks the token, too."""

import json
import re
from urllib.parse import quote

from job import Problem, ask, note, output, setting, step

REASONS = {
    401: "the hub does not take HF_TOKEN: it is wrong or has expired",
    403: "the account of HF_TOKEN may not read {model}: accept its terms on the hub",
    404: "the hub has no {model} at revision {revision}",
}


def main() -> None:
    model, revision = setting("MODEL", "demo"), setting("REVISION", "main")
    if model == "demo":
        output("commit", "bundled")
        return
    hub = setting("HF_ENDPOINT", "https://huggingface.co")
    url = f"{hub}/api/models/{quote(model)}/revision/{quote(revision, safe='')}"
    status, body = ask(url, headers={"Authorization": f"Bearer {setting('HF_TOKEN')}"}, timeout_s=30)
    if status != 200:
        reason = REASONS.get(status, f"the hub cannot be asked for {{model}}: status {status}")
        raise Problem(reason.format(model=model, revision=revision))
    commit = str(json.loads(body).get("sha", ""))
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise Problem(f"the hub names no commit of {model}")
    output("commit", commit)
    note(f"model: {model} at {commit}")


if __name__ == "__main__":
    step(main)
