"""The same work by Ray Data: an engine in each actor, a shard at a time, on one machine or on many.

What Ray carries are names of recordings and counts: texts go from the actors to the target. A node that dies
takes the shards with it that it has just worked on; Ray gives them to another one.
"""

import asyncio
import json
import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import asdict, replace
from importlib.util import find_spec
from typing import Any

from medasr_service.archive.places import SourceFailed, TargetFailed
from medasr_service.archive.report import Tally
from medasr_service.archive.sources import Recording
from medasr_service.archive.worker import Done, Job, Task, Worker
from medasr_service.engines.cpu import quota
from medasr_service.errors import MedASRError, ModelUnavailable, UsageError

THREADS = 2  # of an engine, unless set: more engines do more than more threads
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing phones home
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
QUIETLY: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
STORE_BYTES = 100 << 20  # of Ray's shared memory: names and counts are small
KINDS = {
    each.__name__: each for each in (MedASRError, ModelUnavailable, SourceFailed, TargetFailed, UsageError)
}


def require() -> None:
    """Raises UsageError where Ray is not installed."""
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise UsageError("--ray and --address need Ray: pip install 'medasr-service[ray]'")


class OnRay:
    """``address`` of a cluster; None: one for this run, on this machine, reached by nobody else."""

    def __init__(self, job: Job, address: str | None) -> None:
        os.environ.update(QUIET)  # before it is imported
        if address is None:
            os.environ.update(_alone())
        import ray
        from ray.data import DataContext

        self._ray: Any = ray
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        threads = job.config.threads or min(THREADS, quota())
        own = {"threads": threads, "api_keys": None}  # no secret goes to other machines
        self._job = replace(job, config=job.config.model_copy(update=own))
        self._threads = threads
        size: dict[str, Any] = {} if address else {"num_cpus": quota(), "object_store_memory": STORE_BYTES}
        try:
            with _silent(2):
                ray.init(address=address, **QUIETLY, **size)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"Ray at {address or 'this machine'}: {str(error).splitlines()[0]}") from None
        self._quiet = ExitStack()
        self._quiet.enter_context(_silent(1))  # which is for the report alone
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False

    def work(self, tasks: Iterable[Task], on_row: Callable[[], None]) -> Iterator[Done]:
        from ray import data

        told = [{"task": json.dumps(asdict(task))} for task in tasks]
        engines = max(1, int(self._ray.cluster_resources().get("CPU", 1)) // self._threads)
        shards = data.from_items(told, override_num_blocks=len(told)).map_batches(
            _Actor,
            fn_constructor_args=(self._job,),
            batch_size=1,
            num_cpus=self._threads,
            compute=data.ActorPoolStrategy(
                min_size=1, max_size=min(engines, len(told)), max_tasks_in_flight_per_actor=1
            ),
        )
        for each in shards.iter_rows():
            found = json.loads(each["done"])
            if "error" in found:
                raise KINDS.get(found["kind"], MedASRError)(found["error"])
            done = Done(found["shard"], Tally(**found["tally"]), found["taken"])
            for _ in range(done.tally.recordings):
                on_row()
            yield done

    def close(self) -> None:
        self._ray.shutdown()
        self._quiet.close()


def _alone() -> dict[str, str]:
    """A cluster on the loopback address alone, that wants a secret of who talks to it."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what else makes it listen at all addresses
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


@contextmanager
def _silent(descriptor: int) -> Iterator[None]:
    """Whatever Ray tells there: of how it begins, of nodes that die."""
    kept, nowhere = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)


class _Actor:
    """One engine. What ends the run is told, not raised: Ray would try it again elsewhere."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._runner = asyncio.Runner()
        self._worker: Worker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        [told] = batch["task"]
        try:
            done = asdict(self._runner.run(self._done(_task(json.loads(str(told))))))
        except MedASRError as error:
            done = {"error": error.message, "kind": type(error).__name__}
        return {"done": [json.dumps(done)]}

    async def _done(self, task: Task) -> Done:
        self._worker = self._worker or Worker(self._job)
        async with aclosing(self._worker.work([task])) as shards:
            return await anext(shards)


def _task(told: dict[str, Any]) -> Task:
    return Task(told["shard"], tuple(Recording(**each) for each in told["recordings"]), told["pending"])
