"""Serves until a successor does: looks after the container and the tunnel, then hands over and leaves.

The hand-over leaves no gap: first the successor serves beside this run, then this tunnel takes nothing new
and finishes what goes through it, then the service drains. Whatever happens, nothing is left running.
"""

import contextlib
import time

import container
import job
import successor
import tunnel
from job import Problem, note, seconds

MISSES = 3  # looks in a row without an answer, until something is done
# Of a job's 330 minutes, counted from its first step: then three calls of 15 minutes each, a tunnel that
# leaves in three and a service that drains in eleven at most, and as long again to spare.
HAND_OVER_S = 255 * 60
SUCCESSOR_TIMEOUT_S = 15 * 60  # one that has no artefact in the cache exports first


class Watch:
    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._reported = self._begun
        self._called: float | None = None
        self._calls = 0
        self._misses = {"service": 0, "tunnel": 0}
        self._restarts = 0

    def until_relieved(self) -> None:
        """Returns once a younger run serves. Raises Problem where this one cannot serve any more."""
        self._report(container.health())
        while True:
            time.sleep(seconds("WATCH_S", 15))
            self._look()
            if successor.is_serving():
                note("a successor serves: this run leaves")
                return
            since_s = max(job.elapsed_s(), time.monotonic() - self._begun)
            if since_s >= seconds("HAND_OVER_S", HAND_OVER_S):
                self._call()

    def _look(self) -> None:
        if not container.is_running():
            raise Problem(f"the service has ended: {container.said()}")
        health = container.health()
        if self._missed("service", health.ready):
            raise Problem(f"the service has not been ready for {MISSES} looks: {container.said()}")
        if tunnel.is_on() and self._missed("tunnel", tunnel.is_running() and tunnel.is_connected()):
            note("tunnel: lost, opened again")
            tunnel.stop(graceful=False)
            tunnel.start()
            self._restarts += 1
            self._misses["tunnel"] = 0
        if time.monotonic() - self._reported >= seconds("REPORT_S", 600):
            self._report(health)

    def _missed(self, what: str, well: bool) -> bool:
        self._misses[what] = 0 if well else self._misses[what] + 1
        return self._misses[what] >= MISSES

    def _report(self, health: container.Health) -> None:
        self._reported = time.monotonic()
        minutes = (self._reported - self._begun) / 60
        connected = "off" if not tunnel.is_on() else "connected" if tunnel.is_connected() else "lost"
        ready = "ready" if health.ready else "not ready"
        tunnels = f"tunnel {connected}, opened again {self._restarts} times"
        note(f"- {minutes:.0f} min: service {ready}, memory {health.memory}, {tunnels}")

    def _call(self) -> None:
        """A successor that does not come is called again; this run goes on serving meanwhile."""
        now = time.monotonic()
        if self._called is not None and now - self._called < seconds(
            "SUCCESSOR_TIMEOUT_S", SUCCESSOR_TIMEOUT_S
        ):
            return
        if self._calls >= int(job.setting("SUCCESSOR_CALLS", "3")):
            raise Problem("no successor came: this run ends without one")
        self._called, self._calls = now, self._calls + 1
        try:
            successor.call_for()
            note(f"hand-over: called for a successor, call {self._calls}")
        except Problem as problem:
            note(f"hand-over: {problem}")


def leave() -> None:
    """The tunnel takes nothing new; then the service ends what it has begun, through the same tunnel."""
    try:
        tunnel.leave()
        container.drain()
    finally:
        tunnel.stop()


def main() -> None:
    try:
        Watch().until_relieved()
    except BaseException:
        with contextlib.suppress(Problem):
            leave()
        raise
    leave()
    note("left: nothing of this run is running")


if __name__ == "__main__":
    job.step(main)
