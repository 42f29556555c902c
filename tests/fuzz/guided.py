"""Mutations that look for new ways through a reader: those that find one are kept, and mutated in turn.

    python -m tests.fuzz.guided readers FOLDER --seconds 60

By libFuzzer, through atheris, which sees which lines of medasr_service a file goes through. What it has found
so far is kept in FOLDER/guided/TARGET, and the next run goes on from there; what a target does not return
from, or works on for too long, goes to FOLDER/found, and the run ends with a status other than 0. A run of so
many inputs (``--runs``) from the same FOLDER with the same ``--seed`` is the same again.
"""

import argparse
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import atheris

from tests.fuzz.mutations import WORDS

MAX_CPU_S = 5  # of one input, which runs several times slower than it would unwatched
HANG_S = 120
MAX_BYTES = 1 << 16  # of a mutation
MEMORY_MIB = 2_048
QUOTED = re.compile(rb'"([\w./-]+)"')


def main() -> None:
    options = _options()
    logging.disable()  # of the parser of forms, which tells of each that is bad
    with atheris.instrument_imports(include=["medasr_service"]):
        from tests.fuzz import targets
    folder: Path = options.folder
    kept, seeds, found = folder / "guided" / options.target, folder / "guided" / "seeds", folder / "found"
    for each in (kept, seeds / options.target, found):
        each.mkdir(parents=True, exist_ok=True)
    sound = targets.seeds(
        options.target, [file.read_bytes() for file in sorted((folder / "seeds").glob("*"))]
    )
    for number, data in enumerate(sound):
        (seeds / options.target / f"{number:03}").write_bytes(data)
    words = seeds / f"{options.target}.words"
    words.write_text(_dictionary({*WORDS, *(word for data in sound for word in QUOTED.findall(data))}))
    atheris.Setup(
        [
            sys.argv[0],
            *(str(kept), str(seeds / options.target)),
            f"-artifact_prefix={found}{os.sep}{options.target}-",
            f"-dict={words}",
            f"-max_total_time={options.seconds}",
            f"-runs={options.runs}",
            f"-seed={options.seed}",
            f"-timeout={HANG_S}",
            f"-report_slow_units={HANG_S}",
            f"-rss_limit_mb={MEMORY_MIB}",
            f"-max_len={MAX_BYTES}",
        ],
        _timed(targets.TARGETS[options.target]),
    )
    atheris.Fuzz()


def _timed(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def timed(data: bytes) -> None:
        began = time.process_time()
        target(data)
        assert (spent_s := time.process_time() - began) < MAX_CPU_S, (
            f"{spent_s:.1f} s for {len(data):,} bytes"
        )

    return timed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("target")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=0, help="0: as long as --runs needs")
    parser.add_argument(
        "--runs", type=int, default=-1, help="inputs, with those it begins with; -1: no limit"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _dictionary(words: set[bytes]) -> str:
    """What stands in headers, and what seeds have in quotes, as libFuzzer reads it."""
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in sorted(words))


if __name__ == "__main__":
    main()
