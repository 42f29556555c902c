"""The ramp: which number of users next, and which soak it ends in."""

from collections.abc import Callable

import pytest

from loadtests.ramp import SETTLE_S, STEPS, Ramp, Step, p95

STEP_S = 30.0


def drive(ramp: Ramp, latency_of: Callable[[int], float | None]) -> list[tuple[str, int, int]]:
    """Phases with their users, and how many seconds each took; each second one answer."""
    phases: list[tuple[str, int, int]] = []
    answers: list[tuple[float, float]] = []
    for now in range(10_000):
        found = ramp.next(float(now), answers)
        if found is None:
            return phases
        phase, users = found
        if phases and phases[-1][:2] == found:
            phases[-1] = (phase, users, phases[-1][2] + 1)
        else:
            phases.append((phase, users, 1))
        latency = latency_of(users)
        if latency is not None:
            answers.append((float(now), latency))
    pytest.fail("it never ends")


def test_it_goes_up_until_two_steps_are_late_and_soaks_at_seven_tenths() -> None:
    ramp = Ramp(limit_s=2, step_s=STEP_S, soak_s=600)
    phases = drive(ramp, lambda users: 0.3 * users)
    assert [users for phase, users, _ in phases if phase == "ramp"] == [1, 2, 3, 4, 6, 8, 10]
    assert ramp.best
    assert (ramp.best.users, ramp.best.answers) == (6, 20)
    assert ramp.best.p95_s == pytest.approx(1.8)
    assert phases[-2:] == [("settle", 4, SETTLE_S), ("soak", 4, 600)]
    assert all(seconds == STEP_S for phase, _, seconds in phases if phase == "ramp")


def test_a_fast_service_is_taken_to_the_last_step() -> None:
    ramp = Ramp(limit_s=2, step_s=STEP_S, soak_s=60)
    assert drive(ramp, lambda _: 0.1)[-1] == ("soak", 22, 60)
    assert [step.users for step in ramp.steps] == list(STEPS)
    assert STEPS[0] == 1
    assert STEPS[-1] == 32


def test_the_last_step_can_be_given() -> None:
    ramp = Ramp(limit_s=2, step_s=STEP_S, soak_s=60, max_users=3)
    assert drive(ramp, lambda _: 0.1)[-1] == ("soak", 2, 60)


def test_one_late_step_between_two_good_ones_is_no_end() -> None:
    ramp = Ramp(limit_s=2, step_s=STEP_S, soak_s=60, max_users=6)
    drive(ramp, lambda users: 3.0 if users == 3 else 0.1)
    assert ramp.best
    assert ramp.best.users == 6


@pytest.mark.parametrize("latency", [5.0, None], ids=["late", "no answer"])
def test_where_even_one_user_waits_too_long_the_soak_has_one(latency: float | None) -> None:
    ramp = Ramp(limit_s=2, step_s=STEP_S, soak_s=60)
    phases = drive(ramp, lambda _: latency)
    assert ramp.best is None
    assert phases[-1] == ("soak", 1, 60)


def test_the_beginning_of_a_step_does_not_count() -> None:
    """Until the queue of the step before has gone."""
    ramp = Ramp(limit_s=2, step_s=STEP_S, soak_s=60)
    answers = [(float(at), 9.0 if at < 10 else 0.5) for at in range(30)]
    ramp.next(30.0, answers)
    assert ramp.steps == [Step(1, 0.5, 20)]


def test_given_users_need_no_ramp() -> None:
    ramp = Ramp(limit_s=2, step_s=STEP_S, soak_s=60, soak_users=5)
    assert drive(ramp, lambda _: 0.1) == [("settle", 5, SETTLE_S), ("soak", 5, 60)]
    assert ramp.steps == []


def test_the_ramp_may_be_had_alone_and_says_how_many_users_soak() -> None:
    ramp = Ramp(limit_s=2, step_s=STEP_S, soak_s=0)
    phases = drive(ramp, lambda users: 0.3 * users)
    assert {phase for phase, _, _ in phases} == {"ramp"}
    assert Ramp(limit_s=2, step_s=STEP_S, soak_s=600, steps=ramp.steps).soak_share == 4


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [([], None), ([3.0], 3.0), ([1.0, 2.0], 2.0), (list(range(1, 101)), 95), ([1.0] * 19 + [9.0], 1.0)],
)
def test_p95_is_what_95_of_100_do_not_exceed(latencies: list[float], expected: float | None) -> None:
    assert p95(latencies) == expected
