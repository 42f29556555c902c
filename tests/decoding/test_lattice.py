"""Keywords, sought all at once: what is found is what seeking each alone finds, and the work is bounded."""

import random
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import soundfile

from medasr_service.decoding import ctc
from medasr_service.decoding.alignment import align
from medasr_service.decoding.ctc import WORD_START, Vocabulary
from medasr_service.decoding.keywords import MAX_LETTERS, MAX_TERMS, MOST_SCORE, Keywords
from medasr_service.decoding.lattice import MOST_ACTIVE, NEVER, Found, Lattice
from medasr_service.decoding.spelling import Arc, Floats, Speller, Trie
from medasr_service.engines.torch_ctc import TorchCTC
from medasr_service.model.geometry import Emission
from tests.conftest import CLIPS, SAMPLE

BLANK = 0
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = ["a", "b", "c", "ab", "ba", "aa", "abc", "cab", "bb"]  # from 1 on
SPELLER = Speller((piece, i) for i, piece in enumerate(PIECES, 1))


def alone(arcs: Sequence[Arc], losses: Floats, score: float, starts: Sequence[bool]) -> dict[int, Found]:
    """By the frame where it ends: the best stretch of one term, sought without the others. Nothing is left
    out on the way: all ways to write it, and all hypotheses however much they cost."""
    last = max(arc.target for arc in arcs)
    inside: dict[Arc, tuple[float, int]] = {}
    rest: dict[int, tuple[float, int]] = {}
    reached: dict[int, tuple[float, int, int]] = {}
    found = {}
    for t, row in enumerate(losses):
        rest.pop(0, None)
        if starts[t]:
            rest[0] = (0.0, t)
        heard = {}
        for arc in arcs:
            options = [inside[arc]] if arc in inside else []
            if arc.source in reached and reached[arc.source][2] != arc.piece:
                options.append(reached[arc.source][:2])
            if arc.source in rest:
                options.append(rest[arc.source])
            if options:
                cost, start = max(options, key=lambda option: option[0])
                heard[arc] = (cost + row[arc.piece], start)
        for place in {*rest, *reached}:
            cost, start = max(each[place][:2] for each in (rest, reached) if place in each)
            rest[place] = (cost + row[BLANK], start)
        inside, reached = heard, {}
        for arc, (cost, start) in heard.items():
            if arc.target not in reached or cost > reached[arc.target][0]:
                reached[arc.target] = (cost, start, arc.piece)
        if last in reached and reached[last][0] + score > 0:
            cost, start, _ = reached[last]
            found[t + 1] = Found(0, start, t + 1, cost + score, cost)
    return found


def sharp(rng: np.random.Generator, frames: int) -> Floats:
    """Losses of random posteriors, as sharp as in speech: the best piece of each frame loses nothing."""
    scores = 4 * rng.standard_normal((frames, len(PIECES) + 1))
    losses: Floats = scores - scores.max(axis=1, keepdims=True)
    return losses


@pytest.mark.parametrize("seed", range(20))
def test_terms_that_are_sought_together_are_found_as_each_alone(seed: int) -> None:
    rng, choose = np.random.default_rng(seed), random.Random(seed)
    terms = list(dict.fromkeys("".join(choose.choices("abc", k=choose.randint(1, 8))) for _ in range(30)))
    losses = sharp(rng, 60)
    starts = [bool(each) for each in rng.random(60) < 0.7]
    scores = [choose.uniform(0.5, 3) * len(term) for term in terms]
    spelled = [SPELLER.spell(term) or [] for term in terms]
    lattice = Lattice(Trie.of(zip(terms, spelled, scores, strict=True)))
    each = [alone(*one, starts) for one in zip(spelled, [losses] * 30, scores, strict=False)]
    found_any = 0
    for t, row in enumerate(losses):
        lattice.hear(row, BLANK, start=t if starts[t] else None, before=-1)
        best = max((found[t + 1].gain for found in each if t + 1 in found), default=0.0)
        found = lattice.found(t + 1)
        assert (found.gain if found else 0.0) == pytest.approx(best)
        if found:
            found_any += 1
            same = each[found.term][t + 1]
            assert found.start == same.start
            assert found.loss == pytest.approx(same.loss)
    assert found_any


@pytest.mark.parametrize("seed", range(20))
def test_the_frames_of_a_term_cost_no_more_than_was_found(seed: int) -> None:
    """However dear the paths are that it need not follow: they are not the best."""
    losses = sharp(np.random.default_rng(seed), 12)
    arcs = SPELLER.spell("abcab") or []
    found = alone(arcs, losses, 1e3, [True] + [False] * 11)[12]
    path = align(arcs, losses, BLANK, found.loss)
    np.testing.assert_array_equal(path, align(arcs, losses, BLANK, NEVER))
    assert losses[np.arange(12), path].sum() >= found.loss - 1e-6
    kept = [p for p, before in zip(path, [-1, *path], strict=False) if p not in (before, BLANK)]
    assert "".join(PIECES[p - 1] for p in kept) == "abcab"


def test_beginnings_that_terms_share_are_one() -> None:
    one = Trie.of([("abcabc", SPELLER.spell("abcabc") or [], 1.0)])
    both = Trie.of((term, SPELLER.spell(term) or [], 1.0) for term in ("abcabc", "abcabb", "abcabc"))
    assert len(both.most) == len(one.most) + 1
    assert list(both.term[both.term >= 0]) == [0, 1]  # the third is the first


def test_no_frame_takes_more_hypotheses_than_the_bound() -> None:
    """Terms and sound of the worst kind: every piece is as likely as any other."""
    choose = random.Random(3)
    terms = ["".join(choose.choices("abc", k=60)) for _ in range(MAX_TERMS)]
    lattice = Lattice(Trie.of((term, SPELLER.spell(term) or [], MOST_SCORE) for term in terms))
    most = 0
    for t in range(40):
        lattice.hear(np.zeros(len(PIECES) + 1), BLANK, start=t, before=BLANK)
        most = max(most, len(lattice._arcs))
        assert len(lattice._resting) <= MOST_ACTIVE
    assert most == MOST_ACTIVE


WORDS = sorted({word.strip(".,:") for clip in CLIPS for word in clip.text.split() if word[0].isalpha()})


def nearly(choose: random.Random, word: str) -> str:
    """A word that sounds like it, as a name does: one or two letters are others."""
    letters = list(word)
    for _ in range(choose.randint(1, 2)):
        letters[choose.randrange(len(letters))] = choose.choice("aeioustln")
    return "".join(letters)


def test_what_is_found_in_speech_does_not_hang_on_the_bound(engine: TorchCTC, vocabulary: Vocabulary) -> None:
    """150 terms that are nearly said: with no bound at all, the text is the same."""
    choose = random.Random(5)
    terms = {nearly(choose, choose.choice(WORDS)) for _ in range(200)}
    keywords = Keywords(_writable(terms, vocabulary), vocabulary, 3.0)
    changed = 0
    for emission in engine.infer([clip.waveform for clip in CLIPS[:3]]):
        path, free = emission.argmax(axis=1), np.zeros(len(emission), bool)
        put = keywords.put(path, emission, free)
        changed += int((put != path).sum())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("medasr_service.decoding.lattice.MOST_ACTIVE", 1 << 30)
            np.testing.assert_array_equal(keywords.put(path, emission, free), put)
    assert changed


def _writable(terms: set[str], vocabulary: Vocabulary) -> list[str]:
    speller = Speller((p, i) for i, p in enumerate(vocabulary.pieces) if i not in vocabulary.silent)
    return sorted(term for term in terms if speller.spell(WORD_START + term))


def _nonsense(choose: random.Random, _: list[str]) -> str:
    return "".join(choose.choices(LETTERS, k=60))


def _almost_said(choose: random.Random, said: list[str]) -> str:
    start = choose.randrange(len(said) - 12)
    return nearly(choose, " ".join(said[start : start + 12])[:60].strip())


@pytest.mark.parametrize("make", [_nonsense, _almost_said])
def test_five_hundred_long_terms_cost_less_than_the_forward(
    make: Callable[[random.Random, list[str]], str], engine: TorchCTC, vocabulary: Vocabulary
) -> None:
    """The small demo model's; the network that is served is a hundred times as large."""
    samples: Emission = soundfile.read(SAMPLE, dtype="float32")[0]
    began = time.process_time()
    [emission] = engine.infer([samples])
    forward_s = time.process_time() - began
    tokens = ctc.greedy(emission, vocabulary)
    said = "".join(token.piece for token in tokens).replace(WORD_START, " ").split()
    said = [word for word in said if word.isalpha()]
    choose = random.Random(1)
    terms: set[str] = set()
    while len(terms) < MAX_TERMS:
        terms.add(make(choose, said))
    assert max(map(len, terms)) <= MAX_LETTERS
    began = time.thread_time()
    keywords = Keywords(_writable(terms, vocabulary), vocabulary, 1.0)
    keywords.put(emission.argmax(axis=1), emission, np.zeros(len(emission), bool))
    assert time.thread_time() - began < forward_s
