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
        loop=SimpleNamespace(call_later=lambda _, call: later.append(call)),
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
