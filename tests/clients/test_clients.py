"""Clients that people use, unmodified, against the service: those that are installed.

`python -m tests.clients` installs them all and runs this.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.clients import front
from tests.clients.matrix import ALIASES, CLIENTS, TEXT, Client
from tests.conftest import CLIPS, ROOT, Service, require

pytestmark = pytest.mark.e2e
CLIP = CLIPS[4]


@pytest.fixture(scope="module")
def aliased(start_service: Callable[..., Service]) -> Service:
    service = start_service(MEDASR_MODEL_ALIASES=ALIASES)
    service.wait_until_ready()
    return service


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """At the rate of OpenAI's Realtime API, with a pause behind."""
    file = tmp_path_factory.mktemp("recording") / "dictation.wav"
    samples = soxr.resample(np.pad(CLIP.waveform, (0, 16_000)), 16_000, 24_000, quality="HQ")
    soundfile.write(file, samples, 24_000, subtype="PCM_16")
    return file


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    require("openssl")
    return front.certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def front_door(aliased: Service, pem: tuple[Path, Path]) -> Iterator[str]:
    with front.tls(aliased.port, *pem) as url:
        yield url


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_that_knows_nothing_of_us_has_the_text(
    client: Client, recording: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if not client.interpreter:
        pytest.skip(f"{client.packages[0]} is not installed: python -m tests.clients")
    service: Service = request.getfixturevalue("aliased")
    url = request.getfixturevalue("front_door") if client.tls else service.url
    certificate = request.getfixturevalue("pem")[0] if client.tls else tmp_path
    try:
        found = client.run(url, recording, certificate)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.stdout}\n{error.stderr}")
    assert found == client.text


def test_the_matrix_says_of_each_client_what_it_needs() -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    for client in CLIENTS:
        assert f"| {client.name} |" in page
        assert client.program in page
    assert TEXT.startswith("IMPRESSION")
    assert ALIASES in page
