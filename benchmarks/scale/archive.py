"""An archive on a cluster, on paper: `medasr archive` with its shards, claims, saves, and nodes that die."""

import heapq
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.scale.costs import FP32, Costs
from benchmarks.scale.online import windows
from medasr_service.archive import plan
from medasr_service.archive.rows import SHARD
from medasr_service.archive.sources import Recording
from medasr_service.archive.worker import IN_FLIGHT, SAVE_S

LONGEST_S = 3600
QUESTIONS = 3  # to the store for each recording: its version, its bytes, its version again
CLAIM = 4  # for each shard: claim, look for its part, write it, give the claim back


@dataclass(frozen=True, slots=True)
class Cluster:
    """``mtbf_h``: hours until a node dies, on average; ``replace_s`` until another is there, ``start_s``
    until its engines run. ``price``: of a CPU for an hour."""

    nodes: int = 100
    cpus: int = 8
    threads: int = 2
    mtbf_h: float = 100.0
    replace_s: float = 180.0
    start_s: float = 20.0
    price: float = 0.04


@dataclass(frozen=True, slots=True)
class Store:
    """Seconds for a page of a listing and for any other question; bytes a second, of a node and of all of it;
    questions a second that it answers."""

    page: int = 1000
    page_s: float = 0.25
    question_s: float = 0.04
    node_bytes_per_s: float = 100e6
    all_bytes_per_s: float = 10e9
    questions_per_s: float = 5000.0


@dataclass(frozen=True, slots=True)
class Archive:
    """Lengths are lognormal; ``bytes_per_s`` of sound."""

    recordings: int = 1_000_000
    mean_s: float = 60.0
    sigma: float = 0.7
    bytes_per_s: float = 32_000
    seed: int = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hours; what 1,000 hours of audio cost; ``shares`` of the paid time of all engines, by what they did."""

    hours: float
    audio_h: float
    price_per_1000_h: float
    deaths: int
    questions_per_s: float
    gb_per_s: float
    shares: dict[str, float]

    @property
    def bottleneck(self) -> str:
        """What takes the most of the time besides hearing."""
        return max((name for name in self.shares if name != "hearing"), key=lambda name: self.shares[name])


@dataclass(frozen=True, slots=True, order=True)
class _Work:
    """Of a shard: seconds of an engine that has it alone, and of the store."""

    ready_at: float
    forward_s: float
    store_s: float


def _lengths(archive: Archive) -> list[int]:
    chance = random.Random(archive.seed)
    median_s = archive.mean_s / math.exp(archive.sigma**2 / 2)
    drawn = (median_s * math.exp(chance.gauss(0, archive.sigma)) for _ in range(archive.recordings))
    return [max(1, min(LONGEST_S, round(each))) for each in drawn]


def _shards(
    lengths: Sequence[int], archive: Archive, cluster: Cluster, store: Store, costs: Costs, shard: int
) -> Iterator[_Work]:
    """As the product plans them. Questions of IN_FLIGHT recordings are asked at a time."""
    engines = cluster.nodes * (cluster.cpus // cluster.threads)
    bytes_per_s = min(store.node_bytes_per_s * cluster.nodes, store.all_bytes_per_s) / engines
    forward_s = {
        each: sum(costs.forward_s([window], cluster.threads) for window in windows(float(each)))
        + costs.outside_per_s * each / cluster.threads
        for each in set(lengths)
    }
    recordings = [
        Recording(str(at), f"{round(each * archive.bytes_per_s)}-") for at, each in enumerate(lengths)
    ]
    for planned in plan.shards(recordings, shard):
        these = [lengths[int(url)] for url in planned.urls]
        asked_s = QUESTIONS * len(these) * store.question_s / IN_FLIGHT + CLAIM * store.question_s
        carried_s = sum(these) * archive.bytes_per_s / bytes_per_s
        yield _Work(0.0, sum(forward_s[each] for each in these), asked_s + carried_s)


class _Node:
    """When it is away: drawn as far as somebody asks."""

    def __init__(self, cluster: Cluster, begins_s: float, chance: random.Random) -> None:
        self._cluster, self._chance = cluster, chance
        self.away: list[tuple[float, float]] = []
        self._draw(begins_s)

    def _draw(self, from_s: float) -> None:
        dies = from_s + self._chance.expovariate(1 / (self._cluster.mtbf_h * 3600))
        self.away.append((dies, dies + self._cluster.replace_s + self._cluster.start_s))

    def next(self, now: float) -> tuple[float, float]:
        """When it dies next, or has died, and when it is back."""
        while self.away[-1][1] <= now:
            self._draw(self.away[-1][1])
        return next(each for each in self.away if each[1] > now)


def simulate(
    archive: Archive | None = None,
    cluster: Cluster | None = None,
    store: Store | None = None,
    costs: Costs = FP32,
    *,
    shard: int = SHARD,
) -> Outcome:
    """Engines take the next shard as they come free; a node that dies has saved all but a minute."""
    archive, cluster, store = archive or Archive(), cluster or Cluster(), store or Store()
    per_node = cluster.cpus // cluster.threads
    listed_s = archive.recordings / store.page * store.page_s
    begins_s = listed_s + cluster.start_s
    chance = random.Random(archive.seed)
    nodes = [_Node(cluster, begins_s, chance) for _ in range(cluster.nodes)]
    free = [(begins_s, engine) for engine in range(cluster.nodes * per_node)]
    spent = dict.fromkeys(("hearing", "waiting for the store", "lost with nodes", "starting"), 0.0)
    spent["starting"] = len(free) * cluster.start_s
    lengths = _lengths(archive)
    coming = list(_shards(lengths, archive, cluster, store, costs, shard))[::-1]
    asked = QUESTIONS * len(lengths) + CLAIM * len(coming)
    again: list[_Work] = []
    ends_s = begins_s
    while coming or again:
        now, engine = heapq.heappop(free)
        dies, back = nodes[engine // per_node].next(now)
        if dies <= now:
            spent["starting"] += back - now
            heapq.heappush(free, (back, engine))
            continue
        is_again = again and (again[0].ready_at <= now or not coming)
        work = heapq.heappop(again) if is_again else coming.pop()
        now = max(now, work.ready_at)
        took_s = max(work.forward_s, work.store_s)  # the store is asked ahead
        done_s = min(took_s, max(0.0, dies - now))
        if done_s < took_s:
            saved_s = done_s // SAVE_S * SAVE_S
            spent["lost with nodes"] += done_s - saved_s
            rest = 1 - saved_s / took_s
            heapq.heappush(again, _Work(max(now, dies), work.forward_s * rest, work.store_s * rest))
            took_s = saved_s
        share = work.forward_s / max(work.forward_s, work.store_s)
        spent["hearing"] += took_s * share
        spent["waiting for the store"] += took_s * (1 - share)
        ends_s = max(ends_s, now + done_s)
        heapq.heappush(free, (now + done_s, engine))
    return _outcome(archive, cluster, nodes, sum(lengths) / 3600, asked, listed_s, ends_s, spent)


def _outcome(
    archive: Archive,
    cluster: Cluster,
    nodes: Sequence[_Node],
    audio_h: float,
    asked: int,
    listed_s: float,
    ends_s: float,
    spent: Mapping[str, float],
) -> Outcome:
    """Nodes are paid from the first listing to the last row."""
    engines = cluster.nodes * (cluster.cpus // cluster.threads)
    paid_s = engines * ends_s
    shares = {name: seconds / paid_s for name, seconds in spent.items()}
    shares["waiting for the list"] = listed_s / ends_s
    shares["waiting for the last"] = max(0.0, 1 - sum(shares.values()))
    works_s = ends_s - listed_s
    return Outcome(
        hours=ends_s / 3600,
        audio_h=audio_h,
        price_per_1000_h=cluster.nodes * cluster.cpus * cluster.price * ends_s / 3600 / audio_h * 1000,
        deaths=sum(1 for node in nodes for dies, _ in node.away if dies < ends_s),
        questions_per_s=asked / works_s,
        gb_per_s=audio_h * 3600 * archive.bytes_per_s / works_s / 1e9,
        shares=shares,
    )
