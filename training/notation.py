"""Utterances with what MedASR writes beside dictation: placeholders, the end, and signs that it guesses."""

from random import Random

from training import grammar
from training.grammar import Words
from training.numbers import Word

FILE = "notation.toml"
DOUBT = "[unintelligible]"
END = "{end}"
SIGNS = {"{period}": ".", "{comma}": ","}
END_CHANCE = 0.1
GUESSES, UNDICTATED = 0.6, 0.25  # of the marks of an utterance in which signs are guessed
ENDS = ("end of dictation", "end of dictation", "end dictation", "end of the dictation", "end of report")


class Notation:
    """Random utterances about people and places, some beside a sentence of dictation."""

    def __init__(self, split: grammar.Split, seed: int) -> None:
        self.rng = Random(seed)
        self.people = grammar.load(split, self.rng.randrange(2**32), FILE)
        self.dictation = grammar.load(split, self.rng.randrange(2**32))

    def utterance(self) -> Words:
        """One thing to dictate, perhaps with the end behind it."""
        words = self.people.utterance("sentence" if self.rng.random() < 0.6 else "sentences")
        beside = self.rng.random()
        if beside < 0.45:
            sentence = self.dictation.sentence(self.rng.choice(self.dictation.names))
            words = words + sentence if beside < 0.22 else sentence + words
        return ended(words, self.rng, END_CHANCE)


def ended(words: Words, rng: Random, chance: float) -> Words:
    """The words, and with some chance the end of the dictation, if they end with a full stop."""
    if words[-1].written != "{period}" or rng.random() >= chance:
        return words
    return (*words, Word(END, rng.choice(ENDS)))


def guessed(words: Words, rng: Random) -> Words:
    """As MedASR writes the words where somebody pauses before a mark: with a plain sign at the word before.

    Some full stops are not dictated at all: then the pause is all there is, and the sign stands alone. A
    number never gets a sign, which would look like one of its own.
    """
    result: list[Word] = []
    for index, word in enumerate(words):
        sign = SIGNS.get(word.written)
        if sign and result and result[-1].written[-1].isalpha() and rng.random() < GUESSES:
            before = result.pop()
            result.append(Word(before.written + sign, before.spoken + sign))
            follows = index + 1 < len(words) and words[index + 1].written[0].isupper()
            if sign == "." and follows and rng.random() < UNDICTATED:
                continue
        result.append(word)
    return tuple(result)
