"""An n-gram model with backoff, estimated by Witten and Bell's method and pruned to a size.

Interpolated: P(w|h) = (c(hw) + T(h) P(w|h')) / (c(h) + T(h)), where T(h) is the number of different words
seen after h, and h' is h without its first word (Witten and Bell, 1991). An n-gram is pruned where the
model without it is hardly worse: by count times difference of log-probabilities (Seymore and Rosenfeld,
1996). What is pruned is given back through the weights of backing off, so that probabilities still sum to 1.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
NEVER = -99.0  # log10 of the probability of what is only ever a context
Gram = tuple[str, ...]


@dataclass(frozen=True)
class NGrams:
    """log10 probabilities and backoff weights, ``levels[n - 1]`` those of n words."""

    levels: tuple[Mapping[Gram, tuple[float, float]], ...]

    @property
    def order(self) -> int:
        return len(self.levels)

    def __len__(self) -> int:
        return sum(map(len, self.levels))

    def score(self, history: Sequence[str], word: str) -> float:
        """log10 P(word | history), backing off as ARPA models do."""
        word = word if (word,) in self.levels[0] else UNKNOWN
        history = tuple(history)[max(0, len(history) - self.order + 1) :]
        backoff = 0.0
        while True:
            found = self.levels[len(history)].get((*history, word))
            if found is not None:
                return backoff + found[0]
            backoff += self.levels[len(history) - 1].get(history, (0.0, 0.0))[1]
            history = history[1:]


def count(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """How often each run of 1 to ``order`` words stands in the sentences, ``<s>`` before each."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for sentence in sentences:
        words = (START, *sentence)
        for n in range(1, order + 1):
            counts[n - 1].update(words[i : i + n] for i in range(len(words) - n + 1))
    return counts


def estimate(counts: Sequence[Mapping[Gram, int]], vocabulary: Iterable[str]) -> NGrams:
    """The model of the counts; a word of the vocabulary that was never seen gets what new words get."""
    total, kinds = Counter[Gram](), Counter[Gram]()
    for level in counts:
        for gram, times in level.items():
            if gram != (START,):
                total[gram[:-1]] += times
                kinds[gram[:-1]] += 1
    words = {*vocabulary, UNKNOWN} - {START, END}
    uniform = 1 / len(words)
    probabilities: dict[Gram, float] = {}
    for word in words:
        seen = counts[0].get((word,), 0)
        probabilities[word,] = (seen + kinds[()] * uniform) / (total[()] + kinds[()])
    for level in counts[1:]:
        for gram, times in level.items():
            context = gram[:-1]
            share = times + kinds[context] * probabilities[gram[1:]]
            probabilities[gram] = share / (total[context] + kinds[context])
    return _with_backoffs(probabilities, len(counts))


def prune(model: NGrams, counts: Sequence[Mapping[Gram, int]], most: int) -> NGrams:
    """The model without the n-grams that it can best do without, at most ``most`` of them left."""
    worth: dict[Gram, float] = {}
    for n in range(2, model.order + 1):
        for gram, (logprob, _) in model.levels[n - 1].items():
            backed_off = model.levels[n - 2][gram[:-1]][1] + model.levels[n - 2][gram[1:]][0]
            worth[gram] = counts[n - 1][gram] * (logprob - backed_off)
    kept: set[Gram] = set(model.levels[0])
    for gram in sorted(worth, key=lambda gram: worth[gram], reverse=True):
        if worth[gram] <= 0:
            break
        kept |= (needed := _parts(gram) - kept)
        if len(kept) > most:
            kept -= needed
            break
    probabilities = {gram: 10 ** model.levels[len(gram) - 1][gram][0] for gram in kept if gram != (START,)}
    return _with_backoffs(probabilities, model.order)


def _parts(gram: Gram) -> set[Gram]:
    """The runs of words in the n-gram: a model that has it must have them all."""
    return {gram[i:j] for i in range(len(gram)) for j in range(i + 1, len(gram) + 1)}


def _with_backoffs(probabilities: Mapping[Gram, float], order: int) -> NGrams:
    """Gives each context the weight with which the words not seen after it take what is left."""
    seen, lower = defaultdict[Gram, float](float), defaultdict[Gram, float](float)
    for gram, probability in probabilities.items():
        if len(gram) > 1:
            seen[gram[:-1]] += probability
            lower[gram[:-1]] += probabilities[gram[1:]]
    levels: list[dict[Gram, tuple[float, float]]] = [{} for _ in range(order)]
    levels[0][END,] = (NEVER, 0.0)
    for gram, probability in [*probabilities.items(), ((START,), 10**NEVER)]:
        left = max(1 - seen[gram], 1e-9) / max(1 - lower[gram], 1e-9) if gram in seen else 1.0
        levels[len(gram) - 1][gram] = (math.log10(probability), math.log10(left))
    return NGrams(tuple(levels))
