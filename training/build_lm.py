"""The demo model's language model: an n-gram over pieces, from random texts of the training grammar.

``python -m training.build_lm`` writes medasr_service/demo_model/lm_6.kenlm. As in google/medasr's, a piece is
written with ``#`` for the mark of a word's start: ``▁the`` is ``#the``. The texts are those of the training
split: no held-out filling of a sentence is among them, see training/grammar.py.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from medasr_service.decoding.ctc import WORD_START, Vocabulary
from medasr_service.model.checkpoint import DEMO_FOLDER
from training import grammar, kenlm, ngrams
from training.notation import Notation

SEED = 50_000
ORDER = 6
UTTERANCES = 60_000
NOTATION = 4  # of so many utterances, one more of people and places
REPORTS = 1_500
MOST_NGRAMS = 120_000  # a file of less than 3 MB
FILE = DEMO_FOLDER / "lm_6.kenlm"


def texts(split: grammar.Split, seed: int, utterances: int, reports: int) -> Iterator[grammar.Words]:
    """Random utterances, of dictation and of notation.py, and whole reports."""
    dictation, notation = grammar.load(split, seed), Notation(split, seed)
    for _ in range(utterances):
        yield dictation.utterance()
    for _ in range(utterances // NOTATION):
        yield notation.utterance()
    for _ in range(reports):
        yield dictation.report()


class Pieces:
    """Words to the pieces of a checkpoint's tokenizer, as a language model writes them."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._known: dict[str, tuple[str, ...]] = {}

    def __call__(self, words: grammar.Words) -> list[str]:
        return [piece for word in words for piece in self._word(word.written)]

    def _word(self, word: str) -> tuple[str, ...]:
        if word not in self._known:
            tokens = self._tokenizer.encode(word, add_special_tokens=False).tokens
            self._known[word] = tuple(piece.replace(WORD_START, "#") for piece in tokens)
        return self._known[word]


def perplexity(model: ngrams.NGrams, sentences: list[list[str]]) -> float:
    """Of a piece."""
    total = sum(
        model.score([ngrams.START, *sentence[:i]], piece)
        for sentence in sentences
        for i, piece in enumerate(sentence)
    )
    return math.exp(-total * math.log(10) / sum(map(len, sentences)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    arguments = parser.parse_args()
    pieces, vocabulary = Pieces(DEMO_FOLDER), Vocabulary.load(DEMO_FOLDER)
    sentences = [pieces(words) for words in texts("train", SEED, arguments.utterances, REPORTS)]
    counts = ngrams.count(sentences, ORDER)
    text_pieces = [
        p.replace(WORD_START, "#") for i, p in enumerate(vocabulary.pieces) if i not in vocabulary.silent
    ]
    whole = ngrams.estimate(counts, text_pieces)
    model = ngrams.prune(whole, counts, MOST_NGRAMS)
    kenlm.write_binary(model, arguments.file)
    held_out = [pieces(words) for words in texts("evaluation", SEED + 1, 1000, 0)]
    print(f"{sum(map(len, sentences)):,} pieces of text; {len(whole):,} n-grams, {len(model):,} kept")
    before, after = perplexity(whole, held_out), perplexity(model, held_out)
    print(f"perplexity of a held-out piece: {before:.2f}, pruned {after:.2f}")
    print(f"{arguments.file}: {arguments.file.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
