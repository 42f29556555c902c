"""What the users send is what it says it is."""

import io

import pytest
import soundfile

from loadtests.recordings import CONTAINERS, FIVE_SECONDS, FORMATS, dictations, encoded, of_all_kinds, speech
from medasr_service.audio import stream as audio


def test_lengths_and_formats_are_mixed() -> None:
    recordings = dictations()
    assert {recording.suffix for recording in recordings} == set(FORMATS)
    assert min(r.seconds for r in recordings) == 3
    assert max(r.seconds for r in recordings) == 60
    assert sum(r.name == FIVE_SECONDS for r in recordings) >= 3
    assert len({recording.key for recording in recordings}) == len(recordings)


def test_chaos_sends_files_of_all_kinds() -> None:
    assert {recording.suffix for recording in of_all_kinds()} == {*FORMATS, *CONTAINERS}


@pytest.mark.parametrize("suffix", [*FORMATS, *CONTAINERS])
def test_a_recording_is_as_long_as_it_says_in_every_format(suffix: str) -> None:
    recording = encoded(5, suffix)
    info = audio.inspect(io.BytesIO(recording.data), max_duration_s=60, max_channels=1)
    assert info.duration == pytest.approx(recording.seconds, abs=0.15)
    assert info.peak > 0.05


def test_speech_is_joined_and_cut_to_the_sample() -> None:
    assert len(speech(3.0)) == 48_000
    assert len(speech(60.0, start=7)) == 960_000
    assert (speech(3.0) != speech(3.0, start=1)).any()


def test_the_form_holds_the_file() -> None:
    recording = encoded(3, "flac")
    assert recording.data in recording.body
    assert soundfile.info(io.BytesIO(recording.data)).duration == 3
