"""Keywords while one speaks: where the sound nearly says them, and never in what is given out already."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from medasr_service.decoding.beam import BeamDecoder, Weights
from medasr_service.live.events import Completed, Delta, Event, Reached
from medasr_service.live.session import Manner, Session
from medasr_service.model.geometry import Emission, Waveform
from medasr_service.settings import Settings
from medasr_service.transcriber import Transcriber
from tests.live.test_live import Model, run, silence
from tests.test_transcriber import GEOMETRY, PIECES, VOCABULARY, hear, spell

WEIGHTS = Weights(16, 16, 50.0, lm_weight=0.0, word_score=0.0, keyword_score=1.0)
LUNGS, ARE, CLEAR = 2, 3, 4
SAID = [LUNGS, ARE, LUNGS, ARE]


class Doubtful(Model):
    """Where "are" is said, hears "clear" nearly as well."""

    async def infer(self, waveforms: list[Waveform]) -> list[Emission]:
        await super().infer(waveforms)
        return [doubtful(hear(waveform)) for waveform in waveforms]


def doubtful(emission: Emission) -> Emission:
    best = emission.argmax(axis=1)
    sure = np.full_like(emission, -20.0)
    sure[np.arange(len(best)), best] = np.log(0.99)
    sure[best == ARE, ARE], sure[best == ARE, CLEAR] = np.log(0.55), np.log(0.4)
    return sure


def transcriber(*keywords: str) -> Transcriber:
    beam = BeamDecoder(VOCABULARY, None, WEIGHTS, keywords)
    return Transcriber(Model().infer, VOCABULARY, GEOMETRY, Settings(normalize=False), beam)


def session(keywords: Sequence[str] = (), configured: Sequence[str] = ()) -> Session:
    search = transcriber(*configured).live_search(keywords)
    return Session(Doubtful().infer, VOCABULARY, GEOMETRY, Settings(normalize=False), raw=True, search=search)


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


AUDIO = np.concatenate((spell(SAID, pause_frames=0), silence(2)))


async def test_without_keywords_nothing_changes() -> None:
    assert transcriber().live_search() is None
    assert text(await run(session(), AUDIO)) == "lungs are lungs are"


@pytest.mark.parametrize("paced", [True, False])
async def test_a_term_comes_in_where_the_sound_nearly_says_it(paced: bool) -> None:
    assert text(await run(session(["clear"]), AUDIO, paced=paced)) == "lungs clear lungs clear"
    assert text(await run(session(configured=["clear"]), AUDIO, paced=paced)) == "lungs clear lungs clear"
    assert text(await run(session(["[FINDINGS]"]), AUDIO, paced=paced)) == "lungs are lungs are"


async def test_a_term_that_comes_with_an_update_changes_no_word_that_is_given_out() -> None:
    live = session()
    live.append(AUDIO)
    live.commit()
    live.mark("now", Manner(raw=True, search=transcriber().live_search(["clear"])))
    live.append(AUDIO)
    live.close()
    events = [event async for event in live.events()]
    done = [event for event in events if isinstance(event, Completed | Reached)]
    assert [type(event) for event in done] == [Completed, Reached, Completed]
    assert text(events) == "lungs are lungs are lungs clear lungs clear"


async def test_words_are_given_out_once_and_in_order_where_terms_are_looked_for() -> None:
    audio = np.concatenate([spell(SAID, pause_frames=0)] * 12)
    events = await run(session(["clear", "clear lungs", "are lungs"]), audio)
    words = [word for event in events if isinstance(event, Delta) for word in event.words]
    assert len(words) == 4 * 12
    assert all(a.end <= b.start + GEOMETRY.frame_s for a, b in pairwise(words))
    assert {word.text for word in words} <= {piece.strip("▁") for piece in PIECES}
