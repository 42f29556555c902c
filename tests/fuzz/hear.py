"""Reads mutations FIRST to LAST as the service does, and says where it is: who runs this sees how it ends.

python -m tests.fuzz.hear FOLDER FIRST LAST: seeds are in FOLDER/seeds, what came of them is printed.
"""

import io
import mmap
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path

from medasr_service.audio import sandbox, stream, worker
from medasr_service.errors import InvalidAudio
from tests.fuzz.mutations import mutate

HANG_S = 20


def hear(data: bytes, *, samples: bool = True) -> str:
    """What came of it, in a word or two. Raises what the service could not answer with a sentence."""
    try:
        info = stream.inspect(io.BytesIO(data), max_duration_s=60, max_channels=8)
        if samples:
            heard = sum(
                map(len, stream.stream(io.BytesIO(data), gain=1.0, max_duration_s=60, max_channels=8))
            )
            assert abs(heard - info.duration * stream.SAMPLE_RATE) < stream.SAMPLE_RATE
    except InvalidAudio as error:
        if error.__cause__ is None:
            return type(error).__name__
        frame = traceback.extract_tb(error.__cause__.__traceback__)[-1]
        return f"stumbles: {type(error.__cause__).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    except MemoryError:
        return "MemoryError"
    return "heard"


def read_seeds(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted((folder / "seeds").iterdir())]


def main() -> None:
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    seeds = read_seeds(folder)
    found: Counter[str] = Counter()
    with (folder / "at").open("r+b") as file, mmap.mmap(file.fileno(), 8) as at:
        worker.warm_up()
        sandbox.confine(24 * 3_600)
        for number in range(first, last):
            at[:8] = number.to_bytes(8, "little")
            signal.alarm(HANG_S)
            found[hear(mutate(number, seeds), samples=number % 8 == 0)] += 1
    signal.alarm(0)
    for what, count in found.items():
        print(f"{count} {what}")


if __name__ == "__main__":
    main()
