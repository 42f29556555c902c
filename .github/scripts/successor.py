"""The run that comes after this one: asked for by repository_dispatch, and known by what its steps say.

A run of this workflow that is younger than this one and has come to its step "Watch" serves: its service is
ready, its smoke test has passed, its tunnel is connected. It does not matter who started it, so that a run by
hand takes over too, and of two successors the younger one stays.
"""

import json
import os

from job import Problem, ask, setting

EVENT = "restart-medasr"
WATCH_STEP = "Watch"
PASSED_ON = ("RUNNER", "MODEL", "REVISION", "PRECISION", "DECODING")


def call_for() -> None:
    """Starts the successor, with this run's inputs. Raises Problem where GitHub refuses."""
    inputs = {name.lower(): os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    payload = {"event_type": EVENT, "client_payload": inputs}
    status, _ = ask(f"{_repository()}/dispatches", data=json.dumps(payload).encode(), headers=_headers())
    if status != 204:
        raise Problem(
            f"the successor cannot be started: repository_dispatch was answered with status {status}"
        )


def is_serving() -> bool:
    """Whether a younger run serves; an answer that does not come counts as no."""
    return any(_watches(run) for run in _runs() if run["run_number"] > int(setting("GITHUB_RUN_NUMBER")))


def _runs() -> list[dict[str, int]]:
    workflow = setting("WORKFLOW_FILE", "medasr.yaml")
    url = f"{_repository()}/actions/workflows/{workflow}/runs?status=in_progress&per_page=20"
    status, body = ask(url, headers=_headers())
    return list(json.loads(body)["workflow_runs"]) if status == 200 else []


def _watches(run: dict[str, int]) -> bool:
    status, body = ask(f"{_repository()}/actions/runs/{run['id']}/jobs", headers=_headers())
    jobs = json.loads(body)["jobs"] if status == 200 else []
    return any(
        step["name"] == WATCH_STEP and step["status"] == "in_progress"
        for job in jobs
        for step in job["steps"]
    )


def _repository() -> str:
    return f"{setting('GITHUB_API_URL', 'https://api.github.com')}/repos/{setting('GITHUB_REPOSITORY')}"


def _headers() -> dict[str, str]:
    return {
        "Authorization": f"Bearer {setting('GITHUB_TOKEN')}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
