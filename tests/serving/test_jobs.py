"""Settings with which jobs can be had, or cannot: said in one line before anything starts."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medasr_service.errors import ModelUnavailable
from medasr_service.serving import jobs
from medasr_service.settings import Settings
from tests.jobs.kills import KEY

SECRET = "whsec_bm9ib2R5IHNpZ25zIGFueXRoaW5nIHdpdGggdGhpcw=="


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"jobs_key": None}, "jobs need jobs_key or jobs_key_file; make one with: openssl rand -base64 32"),
        ({"jobs_key": "short"}, "a key of jobs is 32 bytes in base64"),
        ({"jobs_key_file": "/nowhere/key"}, "jobs_key_file cannot be read: No such file"),
        ({"jobs_dir": None}, "jobs need jobs_dir"),
        ({"jobs_dir": "/proc/nowhere"}, "nothing can be kept in jobs_dir"),
        ({"jobs_dir": "nonsense://x"}, "nothing can be kept in jobs_dir"),
        ({"jobs_dir": "memory://x"}, "jobs_database_url must name the database"),
        ({"job_webhook_hosts": "example.org", "job_webhook_secret": None}, "webhooks of jobs need"),
        ({"job_webhook_secret": "whsec_short"}, "job_webhook_secret is not whsec_"),
    ],
)
def test_what_is_missing_is_said(wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "jobs_dir": str(tmp_path / "jobs"),
        "jobs_key": KEY,
        "job_webhook_secret": SECRET,
        **wrong,
    }
    with pytest.raises(ModelUnavailable) as refused:
        jobs.check(Settings(jobs=True, **settings))
    assert said in refused.value.message
    assert "\n" not in refused.value.message
    for secret in (KEY, SECRET):
        assert secret not in refused.value.message


def test_what_is_there_is_enough(tmp_path: Path) -> None:
    jobs.check(Settings(jobs=True, jobs_dir=str(tmp_path / "jobs"), jobs_key=KEY))
    assert list((tmp_path / "jobs").iterdir()) == []


def test_the_packages_of_the_extra_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "NEEDED", ("dbos", "no_such_package"))
    with pytest.raises(ModelUnavailable, match=r"jobs need no_such_package: pip install"):
        jobs.check(Settings(jobs=True, jobs_dir=str(tmp_path), jobs_key=KEY))


def test_nothing_of_jobs_is_loaded_where_they_are_off() -> None:
    program = """
import sys
from medasr_service.api.app import create_app
from medasr_service.settings import Settings
create_app(Settings())
print([name for name in sys.modules if name.partition(".")[0] in ("dbos", "cryptography", "sqlalchemy")
       or name.startswith(("medasr_service.jobs", "medasr_service.api.jobs"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
