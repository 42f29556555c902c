"""What the supervisor does where it is told to leave at the wrong moment."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import circus.arbiter
import pytest

from medasr_service.serving.supervisor import Supervisor


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One without processes; ``later`` are the calls that it has put off, ``left`` how often it left."""
    each: Any = Supervisor.__new__(Supervisor)
    later: list[Callable[[], None]] = []
    vars(each).update(
        watchers=[],
        later=later,
        left=0,
        loop=SimpleNamespace(call_later=lambda _, call: later.append(call), add_callback=lambda call: call()),
        _deaths=[],
        _stopping=False,
        _restarting=False,
        _exclusive_running_command=None,
    )

    def stop(self: Any) -> None:
        assert self._exclusive_running_command is None
        self.left += 1
        self._stopping = True

    monkeypatch.setattr(circus.arbiter.Arbiter, "stop", stop)
    monkeypatch.setattr(circus.arbiter.Arbiter, "manage_watchers", lambda self: "managed")
    return each


def test_told_to_leave_it_leaves(supervisor: Any) -> None:
    supervisor.stop()
    assert supervisor.left == 1


def test_told_to_leave_while_it_starts_a_process_it_leaves_behind_that(supervisor: Any) -> None:
    supervisor._exclusive_running_command = "manage_watchers"
    supervisor.stop()
    supervisor.stop()
    assert (supervisor.left, len(supervisor.later)) == (0, 1)
    supervisor.later.pop()()  # still busy
    assert (supervisor.left, len(supervisor.later)) == (0, 1)
    supervisor._exclusive_running_command = None
    assert supervisor.manage_watchers() is None  # nothing more is started meanwhile
    supervisor.later.pop()()
    assert supervisor.left == 1


def test_processes_that_end_again_and_again_by_turns_end_the_service(supervisor: Any) -> None:
    """As where memory is short for both: each alone has not ended often."""
    supervisor.watchers = ["entry", "model"]
    for _ in range(7):
        supervisor.died("a process has ended")
    assert not supervisor.failure
    supervisor.died("the process medasr-model has ended (SIGKILL)")
    assert (
        supervisor.failure
        == "the process medasr-model has ended (SIGKILL), and processes 8 times within 600 s"
    )
    assert supervisor.left == 1


def test_as_many_workers_as_there_are_may_end_at_once(supervisor: Any) -> None:
    supervisor.watchers = ["worker"] * 16
    for each in supervisor.watchers:
        supervisor.died(each)
    assert not supervisor.failure


def test_deaths_of_long_ago_do_not_count(supervisor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor.watchers = ["model"]
    for minutes in range(0, 60, 2):
        monkeypatch.setattr("time.monotonic", lambda: 60.0 * minutes)  # noqa: B023
        supervisor.died("model")
    assert not supervisor.failure
