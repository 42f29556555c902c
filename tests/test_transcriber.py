"""One recording to one transcript, over a fake model that hears whatever the audio spells, and the demo."""

import asyncio
import io
from collections.abc import Callable, Sequence
from contextlib import aclosing
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from medasr_service.decoding import ctc
from medasr_service.decoding.ctc import Vocabulary
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.model.geometry import Emission, FrameGeometry, Waveform
from medasr_service.settings import Settings
from medasr_service.text import boundaries, dictation, segments
from medasr_service.text.boundaries import Levels
from medasr_service.text.transcript import Segment
from medasr_service.transcriber import Infer, Options, Transcriber
from medasr_service.windows import chunking
from tests.conftest import CLIPS, SAMPLE

GEOMETRY = FrameGeometry()
PIECES = (
    *("<epsilon>", "</s>", "▁lungs", "▁are", "▁clear", "▁{period}", "▁{new", "▁paragraph}", "▁[FINDINGS]"),
    *("▁", "▁[unintelligible]", "▁clear.", "▁[RES]"),
)
VOCABULARY = Vocabulary(PIECES, 0, frozenset({0, 1}))
LEVEL = 1 / 32  # amplitude for each id
FRAME, MIDDLE = GEOMETRY.frame_samples, GEOMETRY.receptive_samples // 2
SENTENCE = [8, 2, 3, 4, 5]
FIVE_S = Options(5.0, 1.0, "dictation")


def hear(waveform: Waveform) -> Emission:
    """The id that the level in the middle of each frame stands for, with a probability of 0.9."""
    frames = GEOMETRY.frames(len(waveform))
    ids = np.rint(waveform[MIDDLE : MIDDLE + frames * FRAME : FRAME][:frames] / LEVEL).astype(int)
    posteriors = np.full((frames, len(PIECES)), 0.1 / (len(PIECES) - 1), np.float32)
    posteriors[np.arange(frames), ids] = 0.9
    return np.log(posteriors)


def spell(ids: Sequence[int], *, pause_frames: int = 20) -> Waveform:
    """Two frames for each id and one of blank after it; a pause after each {period}."""
    frames = [0] * 3
    for i in ids:
        frames += [i, i, 0] + [0] * (pause_frames if i == 5 else 0)
    levels = np.repeat(np.array(frames, np.float32) * LEVEL, FRAME)
    return np.pad(levels, (MIDDLE - FRAME // 2, MIDDLE)).astype(np.float32)


def wav(waveform: Waveform) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, waveform, 16_000, format="WAV", subtype="FLOAT")
    return file


def chunk_count(waveform: Waveform, options: Options = FIVE_S) -> int:
    chunk_s, stride_s = options.chunk_length_s, options.stride_length_s
    return len(
        list(chunking.split([waveform], chunking.Splitter(GEOMETRY, chunk_s=chunk_s, stride_s=stride_s)))
    )


def transcriber(infer: Infer, *, in_flight: int = 2) -> Transcriber:
    return Transcriber(infer, VOCABULARY, GEOMETRY, Settings(normalize=False, chunks_in_flight=in_flight))


async def infer_at_once(waveforms: list[Waveform]) -> list[Emission]:
    return [hear(waveform) for waveform in waveforms]


LONG = spell(SENTENCE * 25)  # 45 s and more
LONG_RAW = " ".join(["[FINDINGS] lungs are clear {period}"] * 25)
LONG_TEXT = "\n\n".join(["FINDINGS\nLungs are clear."] * 25)


async def test_the_fake_is_heard_as_it_is_spelled() -> None:
    transcript = await transcriber(infer_at_once).transcribe(wav(LONG), FIVE_S)
    assert chunk_count(LONG) > 10
    assert transcript.raw_text == LONG_RAW
    assert transcript.text == LONG_TEXT
    assert len(transcript.segments) == 25


@pytest.mark.parametrize("formatting", ["dictation", "raw"])
async def test_the_texts_of_the_segments_join_to_the_text(formatting: str) -> None:
    options = Options(5.0, 1.0, formatting)  # type: ignore[arg-type]
    transcript = await transcriber(infer_at_once).transcribe(wav(LONG), options)
    assert "".join(segment.text for segment in transcript.segments) == transcript.text
    assert "".join(word.written for word in transcript.words) == transcript.text
    assert "".join(segment.raw_text for segment in transcript.segments) == transcript.raw_text == LONG_RAW
    assert transcript.text == (LONG_RAW if formatting == "raw" else LONG_TEXT)
    assert [segment.id for segment in transcript.segments] == list(range(len(transcript.segments)))


@pytest.mark.parametrize("shift", range(0, 100, 3))
async def test_no_word_is_lost_or_doubled_wherever_the_cuts_fall(shift: int) -> None:
    """Silence before the speech moves every cut by a frame at a time across words, markers and pauses."""
    late = np.concatenate([np.zeros(shift * FRAME, np.float32), spell(SENTENCE * 6)])
    transcript = await transcriber(infer_at_once).transcribe(wav(late), Options(3.0, 0.6, "dictation"))
    assert transcript.raw_text == " ".join(["[FINDINGS] lungs are clear {period}"] * 6)


async def test_a_marker_across_a_cut_stays_whole() -> None:
    speech = spell([2, 6, 7, 3] * 12, pause_frames=0)
    for shift in range(0, 60):
        late = np.concatenate([np.zeros(shift * FRAME, np.float32), speech])
        transcript = await transcriber(infer_at_once).transcribe(wav(late), Options(2.0, 0.4, "dictation"))
        assert transcript.text == "Lungs\n\nAre " + "lungs\n\nAre " * 10 + "lungs\n\nAre"


@pytest.mark.parametrize("shift", range(0, 60, 5))
async def test_white_space_of_its_own_is_kept_wherever_the_cuts_fall(shift: int) -> None:
    late = np.concatenate([np.zeros(shift * FRAME, np.float32), spell([2, 9, 3, 5, 9, 2, 3] * 6)])
    raw = await transcriber(infer_at_once).transcribe(wav(late), Options(2.0, 0.4, "raw"))
    assert raw.text == raw.raw_text == " ".join(["lungs  are {period}  lungs are"] * 6)
    written = await transcriber(infer_at_once).transcribe(wav(late), Options(2.0, 0.4, "dictation"))
    assert written.text == "Lungs are. Lungs are " + "lungs are. Lungs are " * 4 + "lungs are. Lungs are"


@pytest.mark.parametrize("shift", range(0, 60, 5))
async def test_what_is_unclear_is_told_with_its_times_and_conversation_is_called_so(shift: int) -> None:
    late = np.concatenate([np.zeros(shift * FRAME, np.float32), spell([2, 10, 11, 5, 12, 2] * 4)])
    transcript = await transcriber(infer_at_once).transcribe(wav(late), Options(2.0, 0.4, "dictation"))
    assert transcript.raw_text == " ".join(["lungs [unintelligible] clear. {period} [RES] lungs"] * 4)
    assert transcript.text.count("[unintelligible] clear. [RES] lungs") == 4
    assert [each.text for each in transcript.unclear] == ["[unintelligible]"] * 4
    doubts = [word for word in transcript.words if word.unclear]
    assert [(each.start, each.end) for each in transcript.unclear] == [(w.start, w.end) for w in doubts]
    assert [each.code for each in transcript.warnings] == ["sounds_like_conversation"]


async def test_results_out_of_order_give_ordered_text() -> None:
    count = chunk_count(LONG)
    done = [asyncio.Event() for _ in range(count)]
    calls = iter(range(count))
    finished: list[int] = []

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        number = next(calls)
        if number % 2 == 0 and number + 1 < count:
            await done[number + 1].wait()
        done[number].set()
        finished.append(number)
        return [hear(waveform) for waveform in waveforms]

    transcript = await transcriber(infer).transcribe(wav(LONG), FIVE_S)
    assert finished != sorted(finished)
    assert transcript.raw_text == LONG_RAW


@pytest.mark.parametrize("in_flight", [1, 2, 5])
async def test_a_recording_keeps_so_many_windows_in_flight_and_no_more(in_flight: int) -> None:
    active = most = 0
    full = asyncio.Event()

    async def infer(waveforms: list[Waveform]) -> list[Emission]:
        nonlocal active, most
        assert len(waveforms) == 1
        active += 1
        most = max(most, active)
        if active == in_flight:
            full.set()
        await full.wait()
        for _ in range(5):  # time for one window too many to come in
            await asyncio.to_thread(lambda: None)
        active -= 1
        return [hear(waveform) for waveform in waveforms]

    transcript = await transcriber(infer, in_flight=in_flight).transcribe(wav(LONG), FIVE_S)
    assert transcript.raw_text == LONG_RAW
    assert most == in_flight


class Stuck:
    """Answers the first calls; the later ones never end, or fail, and it counts what becomes of them."""

    def __init__(self, answers: int, *, fails_at: int | None = None) -> None:
        self.answers, self.fails_at = answers, fails_at
        self.calls = self.cancelled = 0

    async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
        self.calls += 1
        if self.calls - 1 == self.fails_at:
            raise ConnectionError("the model is gone")
        if self.calls <= self.answers:
            return [hear(waveform) for waveform in waveforms]
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_segments_come_before_the_end_and_closing_cancels_the_rest() -> None:
    model = Stuck(answers=4)
    subject = transcriber(model.infer, in_flight=3)
    info = await subject.inspect(wav(LONG))
    async with aclosing(subject.stream(wav(LONG), info, FIVE_S)) as stream:
        first = await anext(stream)
        assert first.text == "FINDINGS\nLungs are clear."
        await _settle()
        calls = model.calls
    await _settle()
    assert calls < chunk_count(LONG)
    assert (model.calls, model.cancelled) == (calls, max(0, calls - 4))


async def test_a_cancelled_request_cancels_its_windows() -> None:
    model = Stuck(answers=1)
    task = asyncio.create_task(transcriber(model.infer).transcribe(wav(LONG), FIVE_S))
    while model.calls < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _settle()
    assert (model.calls, model.cancelled) == (3, 2)


async def test_an_error_of_the_model_ends_the_transcription_and_cancels_the_rest() -> None:
    model = Stuck(answers=2, fails_at=2)
    with pytest.raises(ConnectionError, match="the model is gone"):
        await transcriber(model.infer, in_flight=4).transcribe(wav(LONG), FIVE_S)
    await _settle()
    assert model.calls < chunk_count(LONG)
    assert model.cancelled == model.calls - 3


@pytest.mark.parametrize("seconds", [0.1, 1.0, 25.0])
async def test_silence_gives_an_empty_text(
    make_transcriber: Callable[..., Transcriber], options: Options, seconds: float
) -> None:
    silence = np.zeros(int(seconds * 16_000), np.float32)
    transcript = await make_transcriber().transcribe(wav(silence), options)
    assert (transcript.text, transcript.raw_text, transcript.segments) == ("", "", ())
    assert transcript.duration == pytest.approx(seconds)


# --------------------------------------------------------------------------------------- with the demo model


@pytest.fixture(scope="module")
def sample_segments(make_transcriber: Callable[..., Transcriber]) -> list[Segment]:
    """The bundled sample, in windows of 10 s."""

    async def collect() -> list[Segment]:
        subject = make_transcriber()
        with SAMPLE.open("rb") as file:
            info = await subject.inspect(file)
            return [segment async for segment in subject.stream(file, info, Options(10.0, 2.0, "dictation"))]

    return asyncio.run(collect())


def test_a_stream_is_what_one_shot_gives(
    sample_segments: list[Segment], engine: TorchCTC, vocabulary: Vocabulary, geometry: FrameGeometry
) -> None:
    """All frames first, then tokens, words, items, segments and text, each in one call."""
    waveform: Waveform = soundfile.read(SAMPLE, dtype="float32")[0]
    chunks = list(chunking.split([waveform], chunking.Splitter(geometry, chunk_s=10.0, stride_s=2.0)))
    stitcher = chunking.Stitcher(blank=vocabulary.blank)
    starts = [*[chunk.start_frame for chunk in chunks[1:]], None]
    emission = np.concatenate(
        [
            stitcher.add(chunk, engine.infer([chunk.waveform])[0], start)
            for chunk, start in zip(chunks, starts, strict=True)
        ]
    )
    items = dictation.parse(ctc.words(ctc.greedy(emission, vocabulary), geometry))
    levels = Levels.of(waveform, start_s=0.0, step_samples=geometry.hop, sample_rate=geometry.sample_rate)
    pauses_s = [boundaries.silence_s(a.words[-1], b.words[0], levels) for a, b in pairwise(items)]
    parts = segments.cut(items, pauses_s, known_until_s=1e9, final=True)
    assert "".join(segment.text for segment in sample_segments) == dictation.render(items)[0]
    assert [[word.text for word in segment.words] for segment in sample_segments] == [
        [word.text for word in dict.fromkeys(word for item in part for word in item.words)] for part in parts
    ]


def test_words_are_monotone_and_inside_the_audio(sample_segments: list[Segment]) -> None:
    words = [word for segment in sample_segments for word in segment.words]
    assert len(words) > 20
    assert words[0].start >= 0
    assert words[-1].end <= soundfile.info(SAMPLE).duration
    assert all(word.start < word.end and 0 < word.probability <= 1 for word in words)
    assert all(a.end <= b.start for a, b in pairwise(words))


def test_segments_span_their_words_and_score_them(sample_segments: list[Segment]) -> None:
    for segment in sample_segments:
        assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
        assert segment.avg_logprob <= 0
        assert 0 <= segment.no_speech_prob < 0.5
        assert segment.raw_text.split() == [word.text for word in segment.words]
    assert all(a.end <= b.start for a, b in pairwise(sample_segments))


async def test_a_window_of_its_own_gives_the_text_of_a_single_forward(
    make_transcriber: Callable[..., Transcriber],
    options: Options,
    engine: TorchCTC,
    vocabulary: Vocabulary,
    geometry: FrameGeometry,
) -> None:
    for clip in CLIPS[:4]:
        words = ctc.words(ctc.greedy(engine.infer([clip.waveform])[0], vocabulary), geometry)
        with clip.path.open("rb") as file:
            transcript = await make_transcriber(normalize=False).transcribe(file, options)
        assert transcript.raw_text == " ".join(word.text for word in words)
