"""How many users next: up in steps while the answers are in time, then a soak at a share of the best step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

STEPS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32)
SOAK_SHARE = 0.7
SETTLE_SHARE = 1 / 3  # of a step: until the queue has the length that belongs to its users
SETTLE_S = 15.0  # of the soak: what the last step left behind
MISSES = 2  # steps over the limit, one after the other, that end the ramp


@dataclass(frozen=True)
class Step:
    """Users at a time, and the p95 of their 5 s clips; ``None``: none was answered."""

    users: int
    p95_s: float | None
    answers: int

    def within(self, limit_s: float) -> bool:
        return self.p95_s is not None and self.p95_s <= limit_s


def p95(latencies_s: Sequence[float]) -> float | None:
    """The smallest latency that at least 95 of 100 do not exceed."""
    if not latencies_s:
        return None
    return sorted(latencies_s)[math.ceil(0.95 * len(latencies_s)) - 1]


@dataclass
class Ramp:
    """Told the time and the latencies so far, says the phase and its users; ``None`` at the end."""

    limit_s: float
    step_s: float
    soak_s: float
    max_users: int = STEPS[-1]
    soak_users: int | None = None  # given: no ramp
    steps: list[Step] = field(default_factory=list)
    _since_s: float = 0.0
    _soaking: bool = False

    def __post_init__(self) -> None:
        self._soaking = self.soak_users is not None

    @property
    def best(self) -> Step | None:
        """The most users whose answers were in time, before the first step that was not."""
        within = [step for step in self.steps if step.within(self.limit_s)]
        return within[-1] if within else None

    @property
    def users(self) -> int:
        if not self._soaking:
            return STEPS[len(self.steps)]
        return self.soak_share if self.soak_users is None else self.soak_users

    @property
    def soak_share(self) -> int:
        return max(1, math.floor(SOAK_SHARE * self.best.users)) if self.best else 1

    def next(self, now_s: float, answers: Sequence[tuple[float, float]]) -> tuple[str, int] | None:
        """``answers``: when each 5 s clip was answered, and how long it took, in s."""
        elapsed = now_s - self._since_s
        if self._soaking:
            if elapsed >= self.soak_s + SETTLE_S or not self.soak_s:
                return None
            return ("soak" if elapsed >= SETTLE_S else "settle"), self.users
        if elapsed >= self.step_s:
            begin = self._since_s + SETTLE_SHARE * self.step_s
            taken = [latency for at, latency in answers if at >= begin]
            self.steps.append(Step(self.users, p95(taken), len(taken)))
            self._since_s = now_s
            self._soaking = self._is_over()
            return self.next(now_s, answers)
        return "ramp", self.users

    def _is_over(self) -> bool:
        tail = self.steps[-MISSES:]
        missed = len(tail) == MISSES and not any(step.within(self.limit_s) for step in tail)
        at_end = len(self.steps) == len(STEPS) or STEPS[len(self.steps)] > self.max_users
        return missed or at_end
