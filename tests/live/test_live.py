"""Live sessions without a wire: what is given out, when, and how much is held."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import accumulate, pairwise, repeat
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr_service.audio.pcm import PCM16
from medasr_service.errors import InvalidRequest, NotReady
from medasr_service.live import session as live_session
from medasr_service.live.agreement import Agreement
from medasr_service.live.events import (
    Cleared,
    Committed,
    Completed,
    Delta,
    Event,
    Failed,
    Hypothesis,
    SpeechStarted,
    SpeechStopped,
)
from medasr_service.live.session import Session, TurnDetection
from medasr_service.live.writing import Writer
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.text import dictation
from medasr_service.text.transcript import Token, Word
from tests.test_transcriber import GEOMETRY, SENTENCE, VOCABULARY, hear, spell

TEXT = "FINDINGS\nLungs are clear."
SPEECH = spell(SENTENCE)
PIECE = 640


def word(text: str, start: int, *, frames: int = 2, sure: float = 0.99) -> Word:
    token = Token(2, f"▁{text}", start, start + frames, float(np.log(sure)))
    return Word(text, GEOMETRY.seconds(start), GEOMETRY.seconds(start + frames), sure, (token,))


def texts(words: Sequence[Word]) -> list[str]:
    return [each.text for each in words]


# --- agreement


def test_two_decodes_must_agree_on_a_word() -> None:
    agreement = Agreement(5)
    assert agreement.push([word("lung", 10), word("are", 20)], 40) == []
    assert agreement.push([word("lungs", 10), word("are", 20)], 60) == []
    assert texts(agreement.push([word("lungs", 11), word("are", 21)], 60)) == ["lungs", "are"]


def test_a_word_at_the_end_of_the_audio_waits_for_its_context() -> None:
    agreement = Agreement(5)
    words = [word("lungs", 10), word("are", 20)]
    agreement.push(words, 24)
    assert texts(agreement.push(words, 24)) == ["lungs"]
    assert texts(agreement.push(words, 32)) == ["are"]


def test_a_word_that_is_unsure_waits_for_twice_the_context() -> None:
    agreement = Agreement(10)
    words = [word("lungs", 10, sure=0.5), word("are", 20)]
    agreement.push(words, 30)
    assert agreement.push(words, 30) == []
    assert texts(agreement.push(words, 32)) == ["lungs", "are"]


def test_what_was_given_out_is_not_given_out_again_a_few_frames_later() -> None:
    agreement = Agreement(5)
    words = [word("lungs", 10), word("are", 20)]
    agreement.push(words, 60)
    assert texts(agreement.push(words, 60)) == ["lungs", "are"]
    later = [word("lungs", 12), word("are", 23)]
    assert agreement.push(later, 60) == agreement.push(later, 60) == []


def test_the_last_word_said_is_not_said_again_when_it_is_heard_later() -> None:
    agreement = Agreement(5)
    agreement.push([word("no", 10, frames=1), word("history", 20)], 40)
    assert texts(agreement.push([word("no", 10, frames=1), word("history", 20)], 40)) == ["no", "history"]
    agreement = Agreement(5)
    agreement.push([word("no", 10)], 22)
    assert texts(agreement.push([word("no", 10)], 22)) == ["no"]
    assert agreement.fresh([word("No", 13, frames=8)]) == []
    assert texts(agreement.fresh([word("no", 16)])) == ["no"]  # said twice


def pieces(*parts: tuple[str, int]) -> Word:
    """A word of several pieces, each with the frame it starts in."""
    tokens = tuple(Token(2, piece, start, start + 2, float(np.log(0.99))) for piece, start in parts)
    text = "".join(piece for piece, _ in parts).replace("▁", "")
    end = tokens[-1].end_frame
    return Word(text, GEOMETRY.seconds(parts[0][1]), GEOMETRY.seconds(end), 0.99, tokens)


def test_of_a_word_that_has_grown_since_it_was_given_out_the_rest_is_given_out() -> None:
    """A date of which "11" stood there must not become "11 11/12/2015"."""
    agreement, writer = Agreement(5), Writer(raw=False)
    short = [word("on", 4), word("11", 10)]
    agreement.push(short, 24)
    given = agreement.push(short, 24)
    grown = [word("on", 4), pieces(("▁11", 10), ("/12", 28), ("/2015", 40)), word("{period}", 50)]
    rest = [*agreement.push(grown, 70), *agreement.push(grown, 70)]
    assert texts(rest) == ["/12/2015", "{period}"]
    assert rest[0].start == pytest.approx(GEOMETRY.seconds(28))
    assert agreement.push(grown, 70) == []
    assert "".join(each.written for each in writer.push([*given, *rest], final=True)) == "On 11/12/2015."


def test_a_word_that_has_grown_twice_is_written_once() -> None:
    agreement = Agreement(5)
    heard = [
        pieces(("▁11", 10)),
        pieces(("▁11", 10), ("/12", 20)),
        pieces(("▁11", 10), ("/12", 20), ("/25", 36)),
    ]
    given = []
    for end, each in zip((24, 34, 50), heard, strict=True):
        given += texts([*agreement.push([each], end), *agreement.push([each], end)])
    assert given == ["11", "/12", "/25"]


@pytest.mark.parametrize(
    ("given", "grown", "rest"),
    [
        (("▁1", 10), ("1", 12), "1"),  # "1 mg" for "11 mg"
        (("▁10", 10), ("10", 12), "10"),
        (("▁5", 10), (".2", 12), ".2"),
        (("▁5", 10), (".2", 10), ".2"),  # all of it heard two frames earlier now
        (("▁5", 10), ("th", 13), "th"),
    ],
)
def test_a_short_rest_is_given_out_though_it_is_the_same_again_or_follows_at_once(
    given: tuple[str, int], grown: tuple[str, int], rest: str
) -> None:
    agreement = Agreement(5)
    short = [pieces(given)]
    agreement.push(short, 30)
    assert texts(agreement.push(short, 30)) == [given[0].removeprefix("▁")]
    long = [pieces((given[0], grown[1] - 2), grown), word("mg", 15, frames=1)]
    out = [word for _ in range(4) for word in agreement.push(agreement.fresh(long), 34)]  # as a session does
    assert texts(out) == [rest, "mg"]


def test_the_rest_of_an_earlier_word_or_of_what_was_skipped_is_not_given_out() -> None:
    agreement = Agreement(5)
    heard = [pieces(("▁5", 4), (".2", 6)), word("5", 10)]
    agreement.push(heard, 30)
    assert texts(agreement.push(heard, 30)) == ["5.2", "5"]
    assert agreement.fresh([pieces(("▁5", 6), (".2", 8)), word("5", 12)]) == []
    agreement.skip(30)
    assert agreement.fresh([pieces(("▁5", 10), (".2", 12))]) == []


def test_another_word_that_begins_alike_is_given_out_whole() -> None:
    agreement = Agreement(5)
    agreement.push([word("The", 10)], 24)
    agreement.push([word("The", 10)], 24)
    assert texts(agreement.fresh([pieces(("▁The", 30), ("ophylline", 33))])) == ["Theophylline"]
    assert texts(agreement.fresh([pieces(("▁Thi", 10), ("azide", 20))])) == ["Thiazide"]


def test_no_word_is_given_out_while_one_before_it_was_heard_and_is_heard_no_more() -> None:
    """What lies before a word that is given out is never looked at again: a heading would be lost."""
    agreement = Agreement(5)
    heading, colon, rest = word("[PLAN]", 10), word("{colon}", 16), word("Rest", 24)
    agreement.push([heading, colon, rest], 40)
    assert agreement.push([colon, rest], 42) == []
    assert agreement.push([heading, colon, rest], 44) == []
    assert texts(agreement.push([heading, colon, rest], 46)) == ["[PLAN]", "{colon}", "Rest"]
    agreement = Agreement(5)
    agreement.push([heading, colon, rest], 40)
    agreement.push([colon, rest], 42)
    assert texts(agreement.push([colon, rest], 44)) == ["{colon}", "Rest"]  # twice not heard


def test_a_word_waits_for_twice_the_context_while_the_sound_goes_on_and_nothing_is_heard_of_it() -> None:
    agreement = Agreement(10)
    agreement.push([word("89", 10)], 24, sound_frame=24)
    assert agreement.push([word("89", 10)], 24, sound_frame=24) == []
    assert texts(agreement.push([word("89-year-old", 10, frames=20), word("man", 34)], 50)) == ["89-year-old"]
    agreement = Agreement(10)
    agreement.push([word("hip", 10)], 24, sound_frame=13)
    assert texts(agreement.push([word("hip", 10)], 24, sound_frame=13)) == ["hip"]


@pytest.mark.parametrize(
    ("before", "sure", "end", "given"),
    [
        (11, 0.99, 32, ["lungs"]),
        (11, 0.99, 31, []),  # too little behind it
        (11, 0.5, 32, []),
        (12, 0.99, 32, []),  # the last decode could have heard it, and did not
    ],
)
def test_where_decodes_are_slow_a_sure_word_with_twice_the_context_needs_no_second_one(
    before: int, sure: float, end: int, given: list[str]
) -> None:
    agreement = Agreement(10)
    agreement.push([], before)
    assert texts(agreement.push([word("lungs", 10, sure=sure), word("are", 28)], end)) == given


def test_a_word_is_forced_out_before_it_leaves_the_window() -> None:
    agreement = Agreement(5)
    assert texts(agreement.push([word("lungs", 10), word("are", 200)], 240, forced_frame=40)) == ["lungs"]


def test_at_the_end_nothing_waits() -> None:
    agreement = Agreement(5)
    agreement.push([word("lungs", 10), word("are", 20)], 22)
    assert texts(agreement.finish()) == ["lungs", "are"]
    assert agreement.finish() == []


# --- writing

SPOKEN = (
    "lungs new open {period} {new paragraph} {next} para}graph} line} [EXAM TYPE] fast{comma}but {unknown "
    "thing} {{period}} quote} {colon} [FINDINGS] full stop} left right parenthesis} clear. {comma} comma}"
)
PIECES_OF_TEXT = st.sampled_from(SPOKEN.split())


@given(st.lists(PIECES_OF_TEXT, max_size=25), st.data())
def test_text_that_comes_in_pieces_is_the_text_of_the_whole(spoken: list[str], data: Any) -> None:
    words = [word(text, 10 * i) for i, text in enumerate(spoken)]
    writer, written, at = Writer(raw=False), "", 0
    while at < len(words):
        size = data.draw(st.integers(1, 4))
        written += "".join(each.written for each in writer.push(words[at : at + size]))
        at += size
    written += "".join(each.written for each in writer.push([], final=True))
    assert written == dictation.render(dictation.parse(words))[0]


@given(st.lists(PIECES_OF_TEXT, max_size=25), st.data())
def test_text_whose_next_words_are_known_is_the_text_of_the_whole(spoken: list[str], data: Any) -> None:
    words = [word(text, 10 * i) for i, text in enumerate(spoken)]
    writer, written, at = Writer(raw=False), "", 0
    while at < len(words):
        end = at + data.draw(st.integers(1, 4))
        coming = words[end : end + data.draw(st.integers(0, 3))]
        if coming and data.draw(st.booleans()):  # the last is not yet heard to its end
            coming[-1] = replace(coming[-1], text=coming[-1].text[:2])
        written += "".join(each.written for each in writer.push(words[at:end], coming))
        at = end
    written += "".join(each.written for each in writer.push([], final=True))
    assert written == dictation.render(dictation.parse(words))[0]


def test_left_lung_does_not_wait_for_a_parenthesis() -> None:
    writer = Writer(raw=False)
    assert texts(writer.push([word("left", 0)])) == []
    assert texts(writer.push([], [word("pare", 10)])) == []
    assert texts(writer.push([], [word("lung", 10)])) == ["left"]
    assert texts(writer.push([word("right", 20)], [word("parenthesis}", 30), word("lung", 40)])) == []


def test_a_mark_that_was_guessed_waits_for_the_dictated_one() -> None:
    """What was heard behind it only once may yet be heard as one."""
    writer = Writer(raw=False)
    assert texts(writer.push([word("clear.", 20)], [word("Heart", 30)])) == []


def test_a_marker_in_two_parts_is_not_written_half() -> None:
    writer = Writer(raw=False)
    assert texts(writer.push([word("lungs", 0), word("{new", 10)])) == ["lungs"]
    assert writer.in_marker()
    assert texts(writer.push([word("paragraph}", 20)])) == ["{new", "paragraph}"]
    assert not writer.in_marker()
    [last] = writer.push([word("clear", 30)])
    assert last.written == "\n\nClear"


def test_what_is_not_sure_is_written_as_it_would_be_and_without_a_marker_that_is_open() -> None:
    writer = Writer(raw=False)
    assert texts(writer.push([word("lungs", 0), word("left", 10)])) == ["lungs"]
    assert writer.preview([word("{new", 20)]) == " left"
    assert writer.preview([word("clear{per", 20)]) == " left"
    assert writer.preview([word("{period}", 20), word("heart", 30), word("{comma}", 40)]) == " left. Heart,"
    assert writer.preview([]) == " left"
    assert texts(writer.push([word("lung", 20)], final=True)) == ["left", "lung"]
    assert writer.preview([word("{period}", 30)]) == "."
    assert writer.preview([]) == ""


def test_what_is_not_sure_is_raw_where_the_text_is() -> None:
    writer = Writer(raw=True)
    assert writer.preview([word("lungs", 0), word("{per", 10)]) == "lungs {per"
    writer.push([word("lungs", 0)])
    assert writer.preview([word("clear", 10)]) == " clear"


# --- sessions


class Model:
    """Hears what the audio spells; knows what it was asked."""

    def __init__(self, *, failures: int = 0) -> None:
        self.lengths_s: list[float] = []
        self.failures = failures

    async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
        self.lengths_s += [len(waveform) / 16_000 for waveform in waveforms]
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise NotReady("The model cannot be reached.")
        return [hear(waveform) for waveform in waveforms]


def make(
    model: Model, *, turns: TurnDetection | None = None, hypotheses: bool = False, **settings: Any
) -> Session:
    return Session(
        model.infer,
        VOCABULARY,
        GEOMETRY,
        Settings(**{"normalize": False, **settings}),
        turn_detection=turns,
        hypotheses=hypotheses,
        clock=lambda: 0.0,
    )


async def run(session: Session, audio: Waveform, *, paced: bool = True) -> list[Event]:
    """All events of the audio, offered in pieces as a microphone does, or at once."""

    async def feed() -> None:
        for at in range(0, len(audio), PIECE if paced else len(audio)):
            session.append(audio[at : at + (PIECE if paced else len(audio))])
            for _ in range(8):
                await asyncio.sleep(0)
        session.close()

    feeding = asyncio.create_task(feed())
    events = [event async for event in session.events()]
    await feeding
    return events


def silence(seconds: float) -> Waveform:
    return np.zeros(int(seconds * 16_000), np.float32)


@pytest.mark.parametrize("turns", [None, TurnDetection()])
@pytest.mark.parametrize("paced", [True, False])
async def test_deltas_join_to_the_transcripts_and_those_to_the_text(
    turns: TurnDetection | None, paced: bool
) -> None:
    audio = np.concatenate([part for _ in range(6) for part in (SPEECH, silence(1.5))])
    events = await run(make(Model(), turns=turns), audio, paced=paced)
    completed = [event for event in events if isinstance(event, Completed)]
    for event in completed:
        deltas = [e.text for e in events if isinstance(e, Delta) and e.turn == event.turn]
        assert "".join(deltas) == event.text
    assert "".join(event.text for event in completed) == "\n\n".join([TEXT] * 6)
    assert len(completed) == (6 if turns else 1)


@pytest.mark.parametrize("turns", [None, TurnDetection()])
async def test_a_first_word_that_is_first_heard_too_late_is_not_lost(turns: TurnDetection | None) -> None:
    class Hasty(Model):
        async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
            [emission] = await super().infer(waveforms)
            return [emission if len(emission) > 40 else np.concatenate((emission[:6], emission[:-6]))]

    events = await run(make(Hasty(), turns=turns), np.concatenate((silence(0.3), SPEECH, silence(2))))
    assert "".join(event.text for event in events if isinstance(event, Completed)) == TEXT


async def test_text_comes_while_one_speaks() -> None:
    audio = np.concatenate([spell(SENTENCE, pause_frames=0)] * 8)
    events = await run(make(Model()), audio)
    first = next(i for i, event in enumerate(events) if isinstance(event, Delta))
    committed = next((i for i, e in enumerate(events) if isinstance(e, Completed)))
    assert committed - first > 5


# --- what is not yet sure


def shown(events: Sequence[Event]) -> list[str]:
    """What a reader sees of the session after each of them: what is given out, and what stands behind it."""
    given, guess, seen = "", "", [""]
    for event in events:
        if isinstance(event, Delta):
            given, guess = given + event.text, ""
        elif isinstance(event, Hypothesis):
            guess = event.text
        seen.append(given + guess)
    return seen


def transcripts(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Completed)]


@pytest.mark.parametrize("turns", [None, TurnDetection()])
@pytest.mark.parametrize("paced", [True, False])
async def test_what_is_not_sure_is_told_before_it_is_and_is_no_part_of_any_text(
    turns: TurnDetection | None, paced: bool
) -> None:
    audio = np.concatenate([part for _ in range(6) for part in (SPEECH, silence(1.5))])
    plain = await run(make(Model(), turns=turns), audio, paced=paced)
    events = await run(make(Model(), turns=turns, hypotheses=True), audio, paced=paced)
    assert not any(isinstance(event, Hypothesis) for event in plain)
    assert transcripts(events) == transcripts(plain)
    given = ""
    for event in events:
        given += event.text if isinstance(event, Delta) else ""
        assert not isinstance(event, Hypothesis) or (given + event.text) in f"{TEXT}\n\n" * 7
    assert shown(events)[-1] == given
    if paced:
        first = next(i for i, text in enumerate(shown(events)) if text.startswith("FINDINGS"))
        assert isinstance(events[first - 1], Hypothesis)


async def test_nothing_is_told_where_nothing_changed() -> None:
    audio = np.concatenate([spell(SENTENCE, pause_frames=0)] * 8)
    model = Model()
    events = await run(make(model, hypotheses=True), audio)
    told = [event for event in events if isinstance(event, Delta | Hypothesis)]
    assert 5 < sum(isinstance(event, Hypothesis) for event in told) <= len(model.lengths_s) + 1
    pairs = [(a, b) for a, b in pairwise(told) if isinstance(a, Hypothesis)]
    assert not any(a == b for a, b in pairs)
    assert told[0] != Hypothesis(0, "")


async def test_who_is_watched_is_heard_more_often_but_not_on_a_busy_machine() -> None:
    audio = np.concatenate([spell(SENTENCE, pause_frames=0)] * 20)
    counts = {}
    for watched in (False, True):
        for decode_s in (0.0, 1.5):
            model = Model()
            session = make(model, hypotheses=watched)
            session._hearing._clock = partial(next, accumulate(repeat(decode_s)))
            await run(session, audio)
            counts[watched, decode_s] = len(model.lengths_s)
    assert counts[True, 0.0] > 1.5 * counts[False, 0.0]
    assert counts[True, 1.5] == counts[False, 1.5]


async def test_no_hypothesis_stands_beside_what_its_turn_became(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a reader who does not know that a delta ends it."""
    monkeypatch.setattr(live_session, "RETRY_S", 0.0)

    def stands(events: Sequence[Event], end: type) -> str:
        before = events[: next(i for i, event in enumerate(events) if isinstance(event, end))]
        return next((e.text for e in reversed(before) if isinstance(e, Hypothesis)), "none was told")

    events = await run(
        make(Model(), turns=TurnDetection(), hypotheses=True), np.concatenate((SPEECH, silence(2)))
    )
    assert stands(events, Completed) == ""
    for end in (Cleared, Failed):
        model, events = Model(), []
        session = make(model, hypotheses=True)
        session.append(SPEECH)
        async for event in session.events():
            events.append(event)
            if event == Hypothesis(0, TEXT) and not model.failures:
                model.failures = 9
                session.append(SPEECH)
                session.clear() if end is Cleared else session.commit()
            if isinstance(event, end):
                break
        assert Hypothesis(0, TEXT) in events
        assert stands(events, end) == ""


async def test_a_turn_is_told_in_order_with_its_times() -> None:
    events = await run(make(Model(), turns=TurnDetection()), np.concatenate((silence(2), SPEECH, silence(2))))
    kinds = [type(event) for event in events if not isinstance(event, Delta)]
    assert kinds == [SpeechStarted, SpeechStopped, Committed, Completed]
    started, stopped = events[0], next(event for event in events if isinstance(event, SpeechStopped))
    assert isinstance(started, SpeechStarted)
    assert started.at_s == pytest.approx(2 + 3 * 0.04 - 0.3, abs=0.1)
    assert stopped.at_s == pytest.approx(2 + len(spell(SENTENCE, pause_frames=0)) / 16_000 + 0.5, abs=0.15)


@pytest.mark.parametrize("paced", [True, False])
async def test_a_turn_does_not_end_inside_a_marker(paced: bool) -> None:
    audio = np.concatenate((spell([2, 6], pause_frames=0), silence(1), spell([7, 3]), silence(2)))
    events = await run(make(Model(), turns=TurnDetection()), audio, paced=paced)
    assert [event.text for event in events if isinstance(event, Completed)] == ["Lungs\n\nAre"]


async def test_a_longer_pause_is_asked_for() -> None:
    audio = np.concatenate((SPEECH, silence(1.5), SPEECH, silence(2)))
    events = await run(make(Model(), turns=TurnDetection(silence_s=3.0)), audio)
    assert sum(isinstance(event, Completed) for event in events) == 1


@pytest.mark.parametrize("paced", [True, False])
async def test_no_window_is_longer_than_the_model_was_trained_on(paced: bool) -> None:
    for audio in (np.concatenate([spell(SENTENCE, pause_frames=0)] * 40), silence(60) + 0.001):
        model = Model()
        await run(make(model), audio.astype(np.float32), paced=paced)
        assert max(model.lengths_s) <= 20


async def test_a_microphone_that_is_off_costs_nothing() -> None:
    model = Model()
    assert await run(make(model, turns=TurnDetection()), silence(60)) == []
    assert model.lengths_s == []


async def test_silence_is_heard_less_often_than_speech(rng: np.random.Generator) -> None:
    quiet, speaking = Model(), Model()
    noise = rng.normal(0, 0.001, 30 * 16_000).astype(np.float32)
    await run(make(quiet, turns=TurnDetection()), np.concatenate((SPEECH, noise)))
    await run(
        make(speaking, turns=TurnDetection()),
        np.concatenate([spell(SENTENCE, pause_frames=0)] * 40)[: len(noise)],
    )
    assert len(quiet.lengths_s) < len(speaking.lengths_s) / 2


async def test_a_busy_machine_is_asked_less_often() -> None:
    audio = np.concatenate([spell(SENTENCE, pause_frames=0)] * 40)
    model, busy = Model(), Model()
    await run(make(model), audio)
    session, times = make(busy), iter(np.arange(0, 1e6, 0.75))
    session._hearing._clock = lambda: float(next(times))  # each decode takes 1.5 s
    await run(session, audio)
    assert len(busy.lengths_s) < len(model.lengths_s) / 1.5


async def test_a_failure_is_survived_and_the_third_fails_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_session, "RETRY_S", 0.0)
    audio = np.concatenate((SPEECH, silence(2)))
    events = await run(make(Model(failures=2), turns=TurnDetection()), audio)
    assert [event.text for event in events if isinstance(event, Completed)] == [TEXT]
    events = await run(make(Model(failures=3), turns=TurnDetection()), np.concatenate((audio, audio)))
    assert sum(isinstance(event, Failed) for event in events) == 1
    assert events[-1] == next(event for event in reversed(events) if isinstance(event, Completed))


async def test_what_was_sure_before_a_failure_is_told_in_its_own_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_session, "RETRY_S", 0.0)
    session = make(Model(failures=3))
    session._open_turn(0.0)
    session._writer.push([word("{new", 0)])  # might become {new paragraph}
    session.append(SPEECH)
    session.commit()
    session.close()
    events = [event async for event in session.events()]
    failed = next(event for event in events if isinstance(event, Failed))
    told = [event for event in events if isinstance(event, Delta)]
    assert (told[0].turn, told[0].text) == (failed.turn, "{new")
    assert events.index(told[0]) < events.index(failed)


async def test_who_sends_faster_than_it_is_heard_waits() -> None:
    session = make(Model(), live_buffer_s=1)
    session.append(silence(3))
    waiting = asyncio.create_task(session.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    async with aclosing(session.events()) as events:
        hearing = asyncio.ensure_future(anext(events))
        await waiting
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def test_leaving_ends_the_work() -> None:
    inferring, cancelled = asyncio.Event(), asyncio.Event()

    async def infer(_: list[Waveform]) -> list[Emission]:
        inferring.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    session = Session(infer, VOCABULARY, GEOMETRY, Settings())
    session.append(SPEECH)
    events = session.events()
    task = asyncio.ensure_future(anext(events))
    await inferring.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert cancelled.is_set()


async def test_a_commit_without_audio_is_refused_and_again_after_a_commit() -> None:
    session = make(Model())
    with pytest.raises(InvalidRequest) as caught:
        session.commit()
    assert caught.value.code == "input_audio_buffer_commit_empty"
    session.append(SPEECH)
    session.commit()
    with pytest.raises(InvalidRequest):
        session.commit()


# --- pcm


@pytest.mark.parametrize("rate", [16_000, 24_000])
def test_pieces_of_pcm_are_the_whole(rate: int, rng: np.random.Generator) -> None:
    data = rng.integers(-20_000, 20_000, rate, np.int16).tobytes()
    whole, pieces = PCM16(rate), PCM16(rate)
    at_once = np.concatenate((whole.decode(data), whole.flush()))
    parts = [pieces.decode(data[i : i + 254]) for i in range(0, len(data), 254)]
    assert len(at_once) == 16_000
    np.testing.assert_allclose(np.concatenate((*parts, pieces.flush())), at_once, atol=1e-5)
