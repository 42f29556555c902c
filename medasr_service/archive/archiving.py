"""A run: what there is, what of it is missing, who does it, and what came out."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol

from medasr_service.archive import fingerprints, places, sources, tables, unfinished
from medasr_service.archive.claims import LEASE_S, Beating, Claims
from medasr_service.archive.places import place
from medasr_service.archive.plan import Plan, Shard
from medasr_service.archive.report import Report, Tally
from medasr_service.archive.rows import SHARD, Part
from medasr_service.archive.sources import Source
from medasr_service.archive.worker import Done, Job, Task, Worker
from medasr_service.errors import UsageError
from medasr_service.model import checkpoint
from medasr_service.settings import Settings
from medasr_service.transcriber import Options

CONDITIONS = "conditions.json"
AT_ONCE = 16  # parts that are read at a time
WAIT_S = 2.0  # between two looks at what another run has claimed


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for. ``beside``: formats to write beside each recording."""

    source: str
    target: str
    format: str
    config: Settings
    options: Options
    beside: tuple[str, ...] = ()
    retry_failed: bool = False
    shard: int = SHARD  # recordings in it, at most


class Hands(Protocol):
    """Who does the work: this process, or a cluster."""

    def work(self, tasks: Iterable[Task], on_row: Callable[[], None]) -> Iterator[Done]:
        """Each shard as it ends. ``on_row`` may hear of recordings before."""
        ...

    def close(self) -> None: ...


class Watch(Protocol):
    """Who looks on."""

    def begins(self, recordings: int) -> None: ...

    def row(self) -> None: ...

    def waits(self, shards: int) -> None: ...


class InProcess:
    """One engine, here."""

    def __init__(self, job: Job) -> None:
        self._runner = asyncio.Runner()
        self._worker = Worker(job)

    def work(self, tasks: Iterable[Task], on_row: Callable[[], None]) -> Iterator[Done]:
        shards = self._worker.work(tasks, on_row)
        try:
            while (done := self._runner.run(_next(shards))) is not None:
                yield done
        finally:
            self._runner.run(shards.aclose())

    def close(self) -> None:
        self._worker.close()
        self._runner.close()


def run(order: Order, hands: Callable[[Job], Hands], watch: Watch) -> Report:
    """Raises UsageError, ModelUnavailable, SourceFailed, TargetFailed: what is written by then is whole."""
    began = time.monotonic()
    if order.format == "parquet":
        tables.require()
    job = _job(order)
    source = sources.listed(order.source)
    _keep_conditions(job)
    with Beating(job.work, job.run):
        _clear(job)
        survey = _Survey(job, source, order.shard)
        now = _work(job, survey, hands, watch)
    return Report(
        folder=job.target,
        recordings=len(source.recordings),
        passed_over=source.passed_over,
        now=now,
        before=sum(survey.tallies.values(), Tally()),
        damaged_parts=survey.damaged,
        seconds=time.monotonic() - began,
    )


def _job(order: Order) -> Job:
    fingerprint = fingerprints.of(checkpoint.resolve(order.config), order.config, order.options)
    return Job(
        config=order.config,
        options=order.options,
        target=place(order.target).at(fingerprint.id).url,
        format=order.format,
        fingerprint=fingerprint,
        run=secrets.token_hex(8),
        beside=order.beside,
        retry_failed=order.retry_failed,
    )


def _keep_conditions(job: Job) -> None:
    """Beside the parts, for whoever reads them. Raises UsageError where they have another format."""
    file = job.folder.at(CONDITIONS)
    told = json.dumps({"format": job.format, **job.fingerprint.conditions}, indent=2).encode() + b"\n"
    places.create(file, told)
    try:
        kept = json.loads(places.read(file) or b"")["format"]
    except (ValueError, KeyError, TypeError):
        places.write(file, told)
        return
    if kept != job.format:
        raise UsageError(
            f"{job.target} has parts in {kept}: go on with --format {kept}, or name another target"
        )


def _clear(job: Job) -> None:
    """What crashes left behind goes, unless another run is there, or just comes, whose it may be."""
    claims = Claims(job.work, job.run)
    others = [name.removeprefix("run-") for name in places.names(job.work) if name.startswith("run-")]
    if any(claims.is_alive(other) for other in others if other != job.run):
        return
    for other in others:
        if other != job.run:
            places.remove(job.work.at(f"run-{other}"))
    for folder in (job.folder, job.work):
        for name in places.names(folder):
            if name.endswith(unfinished.SUFFIX) and places.is_old(folder.at(name), LEASE_S):
                places.remove(folder.at(name))


class _Survey:
    """What is done and what is not, shard by shard. ``tallies`` are of what needs nothing, by shard."""

    def __init__(self, job: Job, source: Source, shard: int) -> None:
        self._job = job
        self._listed = {each.url: each for each in source.recordings}
        plan = Plan(job.work)
        plan.extend(source.recordings, shard)
        self._shards = plan.shards
        self._there = set(places.names(job.folder))
        self.tallies: dict[str, Tally] = {}
        self.damaged = 0

    def look(self, only: Iterable[str] | None = None, *, again: bool = False) -> list[Task]:
        """What there is to do; ``only`` in these shards; ``again``: what failed meanwhile stays so."""
        wanted = None if only is None else set(only)
        chosen = [each for each in self._shards if wanted is None or each.id in wanted]
        job = replace(self._job, retry_failed=self._job.retry_failed and not again)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [task for task in pool.map(lambda shard: self._task(job, shard, again), chosen) if task]

    def _task(self, job: Job, shard: Shard, again: bool) -> Task | None:
        recordings = tuple(self._listed[url] for url in shard.urls if url in self._listed)
        is_there = again or job.part(shard.id).path.rsplit("/", 1)[-1] in self._there
        part = job.read(shard.id) if is_there else Part()
        pending = job.pending(recordings, part)
        done = {each.name for each in recordings} - {each.name for each in pending}
        self.tallies[shard.id] = Tally.of(part.rows[name] for name in done)
        self.damaged += part.damaged
        return Task(shard.id, recordings, len(pending)) if pending or part.damaged else None


def _work(job: Job, survey: _Survey, hands: Callable[[Job], Hands], watch: Watch) -> Tally:
    """Until nothing is missing; what another run has claimed is waited for."""
    tasks, now = survey.look(), Tally()
    watch.begins(sum(task.pending for task in tasks))
    if not tasks:
        return now
    with closing(hands(job)) as these:
        while tasks:
            pending = {task.shard: task.pending for task in tasks}
            taken, others = 0, list[str]()
            for done in these.work(tasks, watch.row):
                if done.tally.recordings == pending[done.shard]:
                    now += done.tally
                else:  # another run has it, or has had it since we looked
                    others.append(done.shard)
                    taken += done.taken
            if taken:
                watch.waits(taken)
                time.sleep(WAIT_S)
            tasks = survey.look(others, again=True)
    return now


async def _next(shards: AsyncGenerator[Done, None]) -> Done | None:
    return await anext(shards, None)
