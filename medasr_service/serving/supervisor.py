"""The first process: starts the others, starts them again where they die, and leaves behind them.

BentoML's own is circus, told to listen without a password on two TCP ports of 127.0.0.1, where every user of
the machine may have it run what he likes; it removes the socket between the services before it stops them,
and looks for the dead every ten seconds, in a container never. This is the same circus without all that.
"""

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import circus.arbiter
from bentoml._internal.utils import circus as bentoml_circus
from bentoml.exceptions import InvalidArgument
from circus.process import Process
from circus.watcher import Watcher
from tornado import gen

from medasr_service.serving import metrics_folder, secrets, shutdown

ENTRY = "service"  # BentoML's name for the process that answers requests
API_SOCKET = "_bento_api_server"
CHECK_S = 0.25  # between two looks for processes that have died
# So many more than there are processes, which may all end for one reason, and within so long: beyond, none of
# them gets anywhere, as where memory is short, and who watches this one is to know.
MAX_DEATHS, DEATHS_S = 6, 600.0

log = logging.getLogger("bentoml.medasr")

# It looks the machine's own name up, which may be a question to a name server; the name serves nothing here.
circus.arbiter.socket = SimpleNamespace(getfqdn=socket.gethostname, gethostname=socket.gethostname)


class Supervisor(bentoml_circus.Arbiter):
    """circus' arbiter. Its own control sockets are of this process alone: nobody else can reach them."""

    failure = ""
    _leaving = False

    def start(self, cb: Callable[[Any], Any] | None = None) -> None:
        """Returns when all have left. Raises SystemExit where they kept dying.

        What was to be cleared away, such as the folder of the socket between the services, is so at the end.
        """
        self._deaths: list[float] = []
        self._has_terminal = os.isatty(sys.stderr.fileno())
        with self.exit_stack:
            future = circus.arbiter.Arbiter.start(self, cb)
            if error := future.exception():
                raise error
        if self.failure:
            raise SystemExit(f"medasr: {self.failure}")

    def stop(self) -> Any:
        """The second time, it is meant at once: the processes are told so.

        circus refuses it while it starts a process: it is asked again, and nothing more is started.
        """
        if not self._stopping:
            if self._exclusive_running_command is None:
                return circus.arbiter.Arbiter.stop(self)
            if not self._leaving:
                self._leaving = True
                self.loop.call_later(CHECK_S, self._stop_now)
            return None
        for process in self._all():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        return None

    def reload(self, **_: Any) -> None:
        """On SIGHUP: the entry reads its keys again. circus would start all processes anew.

        Where a terminal was closed it is the same signal, and means what it has always meant.
        """
        if self._has_terminal and not os.isatty(sys.stderr.fileno()):
            self.stop()
            return
        for process in self._all(ENTRY):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGHUP)

    def _stop_now(self) -> None:
        self._leaving = False
        if not self._stopping:
            self.stop()

    @gen.coroutine
    def _stop_watchers(
        self,
        close_output_streams: bool = False,
        watcher_iter_func: Callable[..., Iterable[Watcher]] | None = None,
    ) -> Any:
        """The entry first: what it has begun needs the others to the end."""
        watchers = list((watcher_iter_func or self.iter_watchers)(reverse=False))
        for group in (True, False):
            yield gen.multi([w._stop(close_output_streams) for w in watchers if (w.name == ENTRY) is group])

    def manage_watchers(self) -> Any:
        """Starts again what has died; not in the middle of something else."""
        if self._exclusive_running_command is None and not self._restarting and not self._leaving:
            return super().manage_watchers()
        return None

    def _all(self, name: str = "") -> list[Process]:
        """Of one watcher, or of them all."""
        watchers = [each for each in self.watchers if not name or each.name == name]
        return [process for watcher in watchers for process in watcher.processes.values()]

    def ended(self, *, watcher: Watcher, process_pid: int, exit_code: int, **_: Any) -> None:
        """circus' hook behind each process that has ended."""
        metrics_folder.forget(watcher.env[metrics_folder.VARIABLE], process_pid)
        if not self._stopping:
            self.died(f"{_shown(watcher.name)} has ended ({_reason(exit_code)})")

    def died(self, what: str) -> None:
        """It is started again; where that is no cure, all leave."""
        log.error(what)
        now, limit = time.monotonic(), len(self.watchers) + MAX_DEATHS
        self._deaths = [each for each in self._deaths if now - each < DEATHS_S] + [now]
        if len(self._deaths) >= limit and not self.failure:
            self.failure = f"{what}, and processes {limit} times within {DEATHS_S:.0f} s"
            self.loop.add_callback(self.stop)


def _shown(name: str) -> str:
    return "the process that answers" if name == ENTRY else f"the process {name.removeprefix('service_')}"


def _reason(exit_code: int) -> str:
    return f"status {exit_code}" if exit_code >= 0 else signal.Signals(-exit_code).name


def install(listening: Callable[[str], None], *, keep_all: bool = False) -> None:
    """BentoML takes this supervisor from now on; ``listening`` is told the address at which it does.

    ``keep_all``: its processes get the environment as it is, secrets and all.
    """
    metrics_folder.install()

    def create(
        watchers: list[Watcher], *, threaded: bool = False, **arguments: Any
    ) -> bentoml_circus.Arbiter:
        if arguments.get(
            "debug"
        ):  # the model would run in the process that answers, where nothing watches it
            raise InvalidArgument("--development is not for this service; --reload alone follows changes")
        for each in arguments["sockets"]:
            if each.name == API_SOCKET:
                listening(each.host)
        if threaded:  # bentoml.serve() in a program of one's own: BentoML's, but closed to others
            return bentoml_circus.ThreadedArbiter(
                watchers, *_endpoints([]), **{"check_delay": CHECK_S, **arguments}
            )
        return _create(watchers, keep_all, **arguments)

    bentoml_circus.create_standalone_arbiter = create


def _create(watchers: list[Watcher], keep_all: bool, **arguments: Any) -> Supervisor:
    plugins = arguments.get("plugins") or []
    control, events = _endpoints(plugins)
    supervisor = Supervisor(watchers, control, events, **{"check_delay": CHECK_S, **arguments})
    if plugins:
        folder = Path(control.removeprefix("ipc://")).parent
        supervisor.exit_stack.callback(shutil.rmtree, folder, ignore_errors=True)
    sockets = " ".join(str(each.fileno()) for each in arguments["sockets"])
    for watcher in watchers:
        watcher.respawn = True  # also in a container: one that dies costs what it did, not everything
        watcher.stop_children = False  # a process ends its own children, once it needs them no more
        watcher.hooks |= {"after_reap": supervisor.ended}
        if not keep_all:
            watcher.env = secrets.without(watcher.env, keep_keys=watcher.name == ENTRY)
        watcher.env |= {shutdown.PARENT: str(os.getpid()), shutdown.SOCKETS: sockets}
    secrets.wipe()
    return supervisor


def _endpoints(plugins: list[Any]) -> tuple[str, str]:
    """Of circus' control and of its events: where no other process reaches them. A plugin (`--reload`) is one
    that must: then in a folder of this user's.
    """
    if not plugins:
        return "inproc://medasr-control", "inproc://medasr-events"
    folder = tempfile.mkdtemp(prefix="medasr-")
    return f"ipc://{folder}/control", f"ipc://{folder}/events"
