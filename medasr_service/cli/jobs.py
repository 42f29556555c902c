"""medasr jobs: recordings that a service transcribes while nobody holds the line. Asks a running service."""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medasr_service.cli.console import put, tell
from medasr_service.cli.status import EXIT_OK, EXIT_SOME_FAILED
from medasr_service.errors import MedASRError
from medasr_service.settings import PORTS, Settings
from medasr_service.text import formats

if TYPE_CHECKING:  # of no use to other commands
    import httpx

URL, KEY = "MEDASR_URL", "MEDASR_KEY"
TIMEOUT_S = 60.0
AGAIN_S = 2.0  # before a service is asked again that has hung up, or has no time
PATIENCE = 30  # times that it is asked in vain, one after another


class Refused(MedASRError):
    """What the service has answered in the place of what was asked for."""


def add(commands: Any) -> None:
    parser = commands.add_parser("jobs", help="hand recordings to a service, and fetch their texts later")
    actions = parser.add_subparsers(dest="action", required=True)
    submit = _action(actions, "submit", "hand recordings in; prints the id of each job")
    submit.add_argument(
        "files", nargs="+", metavar="FILE", help="recordings, or addresses of some (https://...)"
    )
    submit.add_argument(
        "--field", action="append", default=[], metavar="NAME=VALUE",
        help="a field of the request, such as formatting=raw; may be repeated",
    )  # fmt: skip
    submit.add_argument("--webhook-url", help="who is to be told of the end")
    submit.add_argument("--watch", action="store_true", help="print the text as it comes, as watch does")
    for name, text in (
        ("status", "print how far jobs are, as lines of JSON; without an id all of yours"),
        ("cancel", "end jobs; what was heard of them is gone"),
        ("delete", "end jobs, and take away their sound and text"),
    ):
        action = _action(actions, name, text)
        action.add_argument("jobs", nargs="*" if name == "status" else "+", metavar="ID")
    result = _action(actions, "result", "print the text of a job")
    result.add_argument("job", metavar="ID")
    result.add_argument("--format", choices=formats.FORMATS, help="default: as it was asked for")
    watch = _action(actions, "watch", "print the text of a job as it comes, until its end")
    watch.add_argument("job", metavar="ID")


def _action(actions: Any, name: str, text: str) -> Any:
    action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    default = f"http://127.0.0.1:{PORTS['medasr']}"
    action.add_argument("--url", help=f"of the service; default: ${URL}, or {default}")
    action.add_argument("--key", help=f"of the service; better as ${KEY}: others see a command line")
    action.set_defaults(run=run)
    return action


def run(options: argparse.Namespace, config: Settings) -> int:
    url = options.url or os.environ.get(URL) or f"http://127.0.0.1:{config.port or PORTS['medasr']}"
    key = options.key or os.environ.get(KEY)
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(TIMEOUT_S, write=None)  # an upload takes what it takes
    with httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout) as service:
        status: int = ACTIONS[options.action](service, options)
        return status


def _submit(service: "httpx.Client", options: argparse.Namespace) -> int:
    fields: dict[str, list[str]] = {}
    for field in options.field:
        name, _, value = field.partition("=")
        fields.setdefault(name, []).append(value)
    if options.webhook_url:
        fields["webhook_url"] = [options.webhook_url]
    failures = 0
    for file in options.files:
        try:
            job = _handed_in(service, file, fields)["id"]
        except (MedASRError, OSError) as error:
            failures += 1
            tell(f"{file}: {error.strerror if isinstance(error, OSError) else error}")
            continue
        if options.watch:
            failures += _watched(service, job)
        else:
            put(job)
    return EXIT_SOME_FAILED if failures else EXIT_OK


def _handed_in(service: "httpx.Client", file: str, fields: dict[str, list[str]]) -> dict[str, Any]:
    key = {"Idempotency-Key": os.urandom(16).hex()}  # so that it may be sent again
    if file.startswith(("http://", "https://")):
        body = {k: v if len(v) > 1 else v[0] for k, v in fields.items()}
        found = _asked(service, "POST", "/v1/jobs", json={**body, "url": file}, headers=key)
    else:
        with Path(file).open("rb") as sound:  # by another name: it may be a patient's
            found = _asked(
                service, "POST", "/v1/jobs", files={"file": ("recording", sound)}, data=fields, headers=key
            )
    return dict(found.json())


def _status(service: "httpx.Client", options: argparse.Namespace) -> int:
    for shown in (
        (_asked(service, "GET", f"/v1/jobs/{job}").json() for job in options.jobs)
        if options.jobs
        else _all(service)
    ):
        put(json.dumps(shown))
    return EXIT_OK


def _all(service: "httpx.Client") -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    while True:
        page = _asked(service, "GET", "/v1/jobs", params={"limit": "100", **after}).json()
        yield from page["data"]
        if not page["has_more"]:
            return
        after = {"after": page["last_id"]}


def _cancel(service: "httpx.Client", options: argparse.Namespace) -> int:
    for job in options.jobs:
        put(json.dumps(_asked(service, "POST", f"/v1/jobs/{job}/cancel").json()))
    return EXIT_OK


def _delete(service: "httpx.Client", options: argparse.Namespace) -> int:
    for job in options.jobs:
        _asked(service, "DELETE", f"/v1/jobs/{job}")
    return EXIT_OK


def _result(service: "httpx.Client", options: argparse.Namespace) -> int:
    asked = {"response_format": options.format} if options.format else {}
    text = _asked(service, "GET", f"/v1/jobs/{options.job}/result", params=asked).text
    put(text, end="" if text.endswith("\n") else "\n")
    return EXIT_OK


def _watch(service: "httpx.Client", options: argparse.Namespace) -> int:
    return EXIT_SOME_FAILED if _watched(service, options.job) else EXIT_OK


def _watched(service: "httpx.Client", job: str) -> bool:
    """Whether it has failed. Where the line breaks, it is taken up again behind the last word."""
    import httpx

    last, missed = -1, 0
    while True:
        try:
            for number, event in _events(service, job, last):
                last, missed = max(last, number), 0
                if event["type"] == "error" and event["error"]["type"] != "service_unavailable":
                    tell(f"{job}: {event['error']['message']}")
                    return True
                put(event.get("delta", ""), end="")
                if event["type"] == "transcript.text.done":
                    put("")
                    return False
        except httpx.TransportError:
            pass
        missed += 1
        if missed > PATIENCE:
            raise Refused("The service does not answer any more; the job goes on.")
        time.sleep(AGAIN_S)


def _events(service: "httpx.Client", job: str, last: int) -> Iterator[tuple[int, dict[str, Any]]]:
    headers = {"Last-Event-ID": str(last)} if last >= 0 else {}
    number = last
    with service.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as answer:
        if answer.status_code >= 500:
            return
        if answer.status_code >= 400:
            answer.read()
            yield last, {"type": "error", **answer.json()}
            return
        for line in answer.iter_lines():
            if line.startswith("id: "):
                number = int(line.removeprefix("id: "))
            elif line.startswith("data: "):
                yield number, json.loads(line.removeprefix("data: "))


def _asked(service: "httpx.Client", method: str, path: str, **request: Any) -> "httpx.Response":
    """Raises Refused with what the service says."""
    import httpx

    try:
        answer = service.request(method, path, **request)
    except httpx.TransportError as error:
        raise Refused(f"No service can be reached at {service.base_url}: {type(error).__name__}") from None
    if answer.is_success:
        return answer
    try:
        said = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = f"The service answers {answer.status_code}."
    if answer.status_code == 404 and path == "/v1/jobs":
        said = "The service has no jobs: it is to be started with MEDASR_JOBS=on."
    raise Refused(said)


ACTIONS = {
    "submit": _submit,
    "status": _status,
    "cancel": _cancel,
    "delete": _delete,
    "result": _result,
    "watch": _watch,
}
