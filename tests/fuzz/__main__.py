"""make fuzz: mutates what strangers send, reads it, goes on where it stopped.

First mutations that are guided by which lines they reach (tests/fuzz/guided.py), for some time each target;
then numbered ones, with the decoders. A native crash, a hang or an unexpected exception ends the reading
process, not the run: the file is kept in FOLDER/found, and the run goes on behind it. Ends with 1 where
anything was found.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.fuzz import seeds
from tests.fuzz.hear import read_seeds
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS

BATCH = 5_000
COUNTED = re.compile(r"Done (\d+) runs")
REACHED = re.compile(r"cov: (\d+) ft: \d+ corp: (\d+)")
NO_ATHERIS = (
    "atheris is not installed (it has wheels for Linux on x86_64): mutations are not guided, only numbered"
)


def main() -> int:
    options = _options()
    folder: Path = options.folder
    (folder / "found").mkdir(parents=True, exist_ok=True)
    if not (folder / "seeds").exists():
        made = seeds.make()
        (folder / "seeds").mkdir()
        for number, data in enumerate(made):
            (folder / "seeds" / f"{number:03}").write_bytes(data)
    if options.guided:
        _guided(folder, options.guided)
    done = folder / "done"
    number = int(done.read_text()) if done.exists() else options.first
    total: Counter[str] = Counter()
    until = number + options.more if options.more else options.until
    while number < until:
        number = _batch(folder, number, min(number + BATCH, until), total)
        done.write_text(str(number))
        print(f"{number:,} mutations: {dict(total.most_common())}", flush=True)
    found = sorted((folder / "found").iterdir())
    for each in found:
        print(f"found: {each}")
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--until", type=int, default=100_000, help="the number of the last mutation")
    parser.add_argument("--more", type=int, default=0, help="instead: how many, from where it stopped")
    parser.add_argument("--guided", type=int, default=60, help="seconds of each target (60); 0: none")
    parser.add_argument("--first", type=int, default=0, help="of a new run")
    parser.add_argument(
        "--folder", type=Path, default=Path("build/fuzz"), help="seeds, state, what was found"
    )
    return parser.parse_args()


def _guided(folder: Path, seconds: int) -> None:
    """Each time with another seed, from all that was kept before."""
    if importlib.util.find_spec("atheris") is None:
        print(NO_ATHERIS)
        return
    counter = folder / "rounds"
    seed = 1 + (int(counter.read_text()) if counter.exists() else 0)
    for target in TARGETS:
        command = [sys.executable, "-m", "tests.fuzz.guided", target, str(folder)]
        command += ["--seconds", str(seconds), "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        count, reached = COUNTED.search(done.stderr), REACHED.findall(done.stderr)
        if done.returncode or not count:
            (folder / "found" / f"{target}.txt").write_text(done.stdout[-2_000:] + done.stderr[-4_000:])
            print(f"{target}: ended with {done.returncode}", flush=True)
        else:
            places, kept = reached[-1]
            print(f"{target}: {int(count[1]):,} inputs, {places} places, {kept} kept", flush=True)
    counter.write_text(str(seed))


def _batch(folder: Path, first: int, last: int, total: Counter[str]) -> int:
    """The number to go on with."""
    (folder / "at").write_bytes(first.to_bytes(8, "little"))
    command = [sys.executable, "-m", "tests.fuzz.hear", str(folder), str(first), str(last)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        for line in done.stdout.splitlines():
            count, what = line.split(" ", 1)
            total[what] += int(count)
        return last
    at = int.from_bytes((folder / "at").read_bytes(), "little")
    (folder / "found" / f"{at}").write_bytes(mutate(at, read_seeds(folder)))
    (folder / "found" / f"{at}.txt").write_text(f"ended with {done.returncode}\n{done.stderr[-4_000:]}")
    total["found"] += 1
    return at + 1


if __name__ == "__main__":
    sys.exit(main())
