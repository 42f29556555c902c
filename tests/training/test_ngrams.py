"""The n-gram model of the training code: probabilities, pruning, and KenLM reads what is written."""

import random
from pathlib import Path

import pytest

from tests.conftest import NO_FLASHLIGHT

pytest.importorskip("flashlight.lib.text", reason=NO_FLASHLIGHT)

from flashlight.lib.text.decoder.kenlm import KenLM
from flashlight.lib.text.dictionary import Dictionary

from training import kenlm, ngrams
from training.ngrams import NGrams

WORDS = ["#the", "lung", "s", "#are", "#clear", "#{period}", "#5", "0"]


@pytest.fixture(scope="module")
def sentences() -> list[list[str]]:
    rng = random.Random(1)
    return [[rng.choice(WORDS[: rng.randint(1, 8)]) for _ in range(rng.randint(1, 12))] for _ in range(400)]


@pytest.fixture(scope="module")
def models(sentences: list[list[str]]) -> dict[str, NGrams]:
    counts = ngrams.count(sentences, 4)
    whole = ngrams.estimate(counts, [*WORDS, "#unseen"])
    return {"whole": whole, "pruned": ngrams.prune(whole, counts, 150)}


@pytest.mark.parametrize("name", ["whole", "pruned"])
@pytest.mark.parametrize(
    "history", [[], ["<s>"], ["<s>", "#the"], ["#the", "lung", "s"], ["#unseen", "0"], ["no"]]
)
def test_probabilities_sum_to_one(models: dict[str, NGrams], name: str, history: list[str]) -> None:
    total = sum(10 ** models[name].score(history, word) for word in [*WORDS, "#unseen", "<unk>"])
    assert total == pytest.approx(1, abs=1e-6)


def test_pruning_keeps_to_the_size_and_what_a_kept_ngram_needs(models: dict[str, NGrams]) -> None:
    assert len(models["whole"]) > 500
    assert len(models["pruned"]) <= 151  # and </s>
    for n, level in enumerate(models["pruned"].levels[1:], 1):
        for gram in level:
            assert gram[:-1] in models["pruned"].levels[n - 1]
            assert gram[1:] in models["pruned"].levels[n - 1]


@pytest.mark.parametrize("name", ["whole", "pruned"])
@pytest.mark.parametrize("write", [kenlm.write_arpa, kenlm.write_binary], ids=["arpa", "binary"])
def test_kenlm_scores_as_the_model_does(
    models: dict[str, NGrams], sentences: list[list[str]], tmp_path: Path, name: str, write: object
) -> None:
    file = tmp_path / "model"
    write(models[name], file)  # type: ignore[operator]
    dictionary = Dictionary()
    names = [*WORDS, "#unseen", "no such word"]
    for word in names:
        dictionary.add_entry(word)
    lm = KenLM(str(file), dictionary)
    for sentence in [*sentences[:50], ["#the", "#unseen", "lung", "no such word", "s", "#are"]]:
        state, history = lm.start(False), ["<s>"]
        for word in sentence:
            state, log10 = lm.score(state, names.index(word))
            assert log10 == pytest.approx(models[name].score(history, word), abs=1e-4)
            history.append(word)
