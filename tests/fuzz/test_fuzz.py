"""A short run of `make fuzz`; and what long runs found stays mended."""

import pytest

from tests.fuzz import seeds
from tests.fuzz.hear import hear
from tests.fuzz.mutations import mutate

MUTATIONS = 1_000


@pytest.fixture(scope="module")
def recordings() -> list[bytes]:
    return seeds.make()


def test_every_seed_is_heard(recordings: list[bytes]) -> None:
    assert {hear(data) for data in recordings} == {"heard"}


def test_a_mutation_is_the_same_each_time(recordings: list[bytes]) -> None:
    assert [mutate(n, recordings) for n in range(50)] == [mutate(n, recordings) for n in range(50)]


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # NaN, which is refused
def test_a_mutated_recording_is_heard_or_refused_with_a_sentence(recordings: list[bytes]) -> None:
    found = {hear(mutate(number, recordings)) for number in range(MUTATIONS)}
    assert {"heard", "UnsupportedAudio", "TruncatedAudio"} <= found
    assert "MemoryError" not in found
