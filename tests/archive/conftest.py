"""An archive in a folder, and runs over it with the demo model, loaded once."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from medasr_service import engines
from medasr_service.archive import archiving, worker
from medasr_service.archive.archiving import InProcess, Order
from medasr_service.archive.report import Report
from medasr_service.archive.rows import FORMATS, Row
from medasr_service.audio.reader import InThreads
from medasr_service.engines import Engine
from medasr_service.model import checkpoint
from medasr_service.settings import Settings
from medasr_service.transcriber import Options
from tests.conftest import CLIPS

SHORT = [CLIPS[at].path for at in (0, 1, 2, 3)]


class Threads(InThreads):
    """No processes: they take longer to start than these recordings to read."""

    def start(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class Watcher:
    """What a run told of itself."""

    pending: int = 0
    rows: int = 0
    waited: list[int] = field(default_factory=list)

    def begins(self, recordings: int) -> None:
        self.pending = recordings

    def row(self) -> None:
        self.rows += 1

    def waits(self, shards: int) -> None:
        self.waited.append(shards)


@dataclass
class Archive:
    """``source`` is a folder of recordings, ``target`` where rows go."""

    source: Path
    target: Path

    def add(self, name: str, clip: Path = SHORT[0]) -> Path:
        file = self.source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, file)
        return file

    def run(self, watcher: Watcher | None = None, **wanted: Any) -> Report:
        settings = Settings(**wanted.pop("settings", {}))
        order = {
            "source": str(self.source),
            "target": str(self.target),
            "format": "jsonl",
            "config": settings,
            "options": Options.defaults(settings),
        }
        return archiving.run(Order(**{**order, **wanted}), InProcess, watcher or Watcher())

    @property
    def parts(self) -> list[Path]:
        return sorted(self.target.glob("*/part-*"))

    def rows(self) -> list[Row]:
        """Of all parts, each checked."""
        found: list[Row] = []
        for file in self.parts:
            [form] = [each for each in FORMATS.values() if each.suffix == file.suffix]
            part = form.read(file.read_bytes())
            assert not part.damaged
            found += part.rows.values()
        return found

    def texts(self) -> dict[str, str]:
        """By the names of the files; each has one row."""
        rows = self.rows()
        assert len({row.file for row in rows}) == len(rows)
        return {Path(row.file).name: str(row.content.get("text", row.code)) for row in rows}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    (tmp_path / "in").mkdir()
    return Archive(tmp_path / "in", tmp_path / "out")


@pytest.fixture(scope="session")
def loaded() -> Engine:
    settings = Settings()
    return engines.load(checkpoint.resolve(settings), settings)


@pytest.fixture
def one_engine(monkeypatch: pytest.MonkeyPatch, loaded: Engine) -> None:
    """Whoever loads the model in this process gets the same one, and reads recordings in threads."""
    monkeypatch.setattr(engines, "load", lambda *_: loaded)
    monkeypatch.setattr(worker, "Decoders", Threads)
