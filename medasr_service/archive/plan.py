"""Which recordings belong together: shards, once made, stay as they are, so that two runs mean the same ones.

A plan is a file that is created and never changed; recordings that come later make another one.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from medasr_service.archive import places
from medasr_service.archive.places import Place, SourceFailed
from medasr_service.archive.rows import SHARD
from medasr_service.archive.sources import Recording

MOST_BYTES = (
    64 << 20
)  # of recordings; a longer one is alone. Minutes of work in WAV, a quarter of an hour in Opus


@dataclass(frozen=True, slots=True)
class Shard:
    """``urls`` of its recordings; ``id`` is made of them."""

    id: str
    urls: tuple[str, ...]


class Plan:
    """The shards of a target, of all plans in its folder."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self.shards: list[Shard] = []
        self._read = 0
        self._load()

    def _load(self) -> None:
        while content := places.read(self._file(self._read)):
            self.shards += _parsed(content, self._file(self._read))
            self._read += 1

    def _file(self, number: int) -> Place:
        return self._folder.at(f"plan-{number:06}.jsonl")

    def extend(self, recordings: Iterable[Recording], most: int = SHARD) -> None:
        """Shards for those that have none. Where another run was first, its plan holds."""
        found = list(recordings)
        while True:
            planned = {url for shard in self.shards for url in shard.urls}
            new = [each for each in found if each.url not in planned]
            if not new:
                return
            lines = [
                json.dumps({"shard": each.id, "recordings": each.urls}) + "\n" for each in shards(new, most)
            ]
            places.create(self._file(self._read), "".join(lines).encode())
            self._load()


def _parsed(content: bytes, file: Place) -> Iterator[Shard]:
    try:
        for line in content.decode().splitlines():
            fields = json.loads(line)
            shard = Shard(str(fields["shard"]), tuple(fields["recordings"]))
            if shard.id != _id(shard.urls):
                raise ValueError
            yield shard
    except (ValueError, KeyError, TypeError):
        raise SourceFailed(f"{file.url} is damaged: remove it, and run the command again") from None


def shards(recordings: Sequence[Recording], most: int = SHARD) -> Iterator[Shard]:
    """At most so many in each; long recordings first, which lets all end together, and like beside like."""
    held: list[str] = []
    size = 0
    for each in sorted(recordings, key=lambda each: (-places.size_of(each.version), each.url)):
        bytes_ = places.size_of(each.version)
        if held and (len(held) == most or size + bytes_ > MOST_BYTES):
            yield Shard(_id(held), tuple(held))
            held, size = [], 0
        held.append(each.url)
        size += bytes_
    if held:
        yield Shard(_id(held), tuple(held))


def _id(urls: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(map(repr, urls)).encode()).hexdigest()[:20]
