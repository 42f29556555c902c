"""The service on ARM64, by emulation: the same texts as here. make test-arm64, some five minutes.

A file of its own name: a run of all tests does not take it along.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.arm64.emulation import Emulation, Unavailable, build
from tests.conftest import CLIPS, ROOT, SAMPLE, SAMPLE_TEXT, Service

CPUS = ("neoverse-n1", "max")  # the older has neither i8mm nor bf16; QEMU's "max" has all that it knows
FILES = [*(clip.path for clip in CLIPS), SAMPLE]
AGREEMENT = 0.998  # of frames in bf16: the piece that is the likeliest in fp32
DIFFERENCE = 1e-5  # of a posterior: sums in another order on both machines (5.0e-6 against Zen 4)
HOUR_S = 3600  # on a machine that is busy with other things


@dataclass(frozen=True)
class Read:
    texts: dict[str, dict[str, str]]
    posteriors: dict[str, np.ndarray]  # of each window, shape [frames, vocabulary]


@pytest.fixture(scope="module")
def emulation() -> Emulation:
    try:
        return build(ROOT / "build" / "arm64")
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | Path, str], Read]:
    """What a Python makes of all recordings in a precision."""
    folder = tmp_path_factory.mktemp("read")

    @cache
    def read_by(python: str | Path, precision: str) -> Read:
        output = folder / f"{Path(python).parent.name}-{precision}"
        subprocess.run(
            [python, "-m", "tests.arm64.reading", output, precision, *FILES],
            cwd=ROOT,
            check=True,
            timeout=HOUR_S,
        )
        with np.load(output.with_suffix(".npz")) as arrays:
            posteriors = {name: np.exp(arrays[name]) for name in arrays.files}
        return Read(json.loads(output.with_suffix(".json").read_text()), posteriors)

    return read_by


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_recording_has_the_text_that_it_has_here(
    emulation: Emulation, read: Callable[[str | Path, str], Read], cpu: str, precision: str
) -> None:
    there, here = read(emulation.executable(cpu), precision), read(sys.executable, precision)
    assert there.texts == here.texts
    assert there.texts[SAMPLE.name]["greedy"] == SAMPLE_TEXT
    assert len(there.posteriors) == len(here.posteriors) > len(FILES)


@pytest.mark.parametrize("cpu", CPUS)
def test_posteriors_are_the_same_but_for_the_order_of_sums(
    emulation: Emulation, read: Callable[[str | Path, str], Read], cpu: str
) -> None:
    there, here = read(emulation.executable(cpu), "fp32"), read(sys.executable, "fp32")
    assert there.posteriors.keys() == here.posteriors.keys()
    apart = [np.abs(there.posteriors[name] - here.posteriors[name]).max() for name in here.posteriors]
    assert max(apart) < DIFFERENCE


def test_in_bf16_every_recording_has_the_text_of_fp32_and_nearly_every_frame_its_piece(
    emulation: Emulation, read: Callable[[str | Path, str], Read]
) -> None:
    """More than the order of sums is another: that the option acts at all is seen by it."""
    python = emulation.executable("max")
    there, exact = read(python, "bf16"), read(python, "fp32")
    assert there.texts == exact.texts
    pairs = [(there.posteriors[name], exact.posteriors[name]) for name in exact.posteriors]
    agreeing = np.concatenate([one.argmax(-1) == other.argmax(-1) for one, other in pairs])
    assert agreeing.mean() >= AGREEMENT
    assert max(np.abs(one - other).max() for one, other in pairs) > 50 * DIFFERENCE


def test_where_the_cpu_has_no_bf16_it_is_refused_in_one_line(emulation: Emulation) -> None:
    program = emulation.executable("neoverse-n1")
    command: list[str | Path] = [program, "-m", "medasr_service", "transcribe", SAMPLE]
    environment = {**os.environ, "MEDASR_PRECISION": "bf16"}
    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HOUR_S, check=False
    )
    assert found.returncode
    _, refusal = found.stderr.splitlines()  # the first says that it is the demo model
    assert refusal == (
        "medasr: precision bf16 needs a CPU with instructions for it (Neoverse V1, N2 and newer), and this"
        " one has none: use int8 or fp32"
    )


def test_the_service_answers_streams_and_leaves(
    emulation: Emulation, start_service: Callable[..., Service]
) -> None:
    python = emulation.executable("neoverse-n1")
    service = start_service(command=[python, "-m", "bentoml", "serve", "service:MedASR"])
    service.wait_until_ready(HOUR_S)
    url = f"{service.url}/v1/audio/transcriptions"
    form = {"formatting": "raw"}
    answer = httpx.post(url, files={"file": SAMPLE.read_bytes()}, data=form, timeout=HOUR_S)
    assert answer.json()["text"] == SAMPLE_TEXT
    streamed = httpx.post(
        url, files={"file": SAMPLE.read_bytes()}, data={**form, "stream": "true"}, timeout=HOUR_S
    )
    assert json.loads(streamed.text.split("data: ")[-1])["text"] == SAMPLE_TEXT
    service.process.terminate()
    assert service.process.wait(HOUR_S) == 0
