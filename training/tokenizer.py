"""The demo model's tokenizer: BPE pieces, stored as a Unigram of nearly equal scores.

With nearly equal scores the Unigram search takes the fewest pieces for a word, which matters at
25 output frames a second. Marks, headings and placeholders are pieces of their own: a short name leaves no
frames to spell "[MedicalProfessionalName]" in. Numbers are spelt in digits.
"""

# mypy: disallow-untyped-calls=false
# (transformers and torch leave some functions untyped)

import io

import sentencepiece
from transformers import LasrFeatureExtractor, LasrProcessor, LasrTokenizer

from training import grammar, people
from training.notation import DOUBT, END

VOCABULARY_SIZE = 512
SENTENCES = 60_000
SPECIAL = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]  # ids 0 (the CTC blank), 1 and 2
END_ID = 1
WORD_START = "▁"  # must be id 3, LasrTokenizer's unknown id
NUMBER_PIECES = [
    *"0123456789/.-%:",
    *(f"{WORD_START}{digit}" for digit in range(10)),
    *("-year-old", "-L", "-C", "-T", "-S"),
    *(f"{WORD_START}{letter}" for letter in "xLCT"),
]
# Characters that a transcript may need although the grammar has them nowhere by themselves.
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" + "{}[]()<>.,:;?!'\"-/%+&="


def train(seed: int) -> LasrProcessor:
    """A processor whose tokenizer has exactly `VOCABULARY_SIZE` pieces."""
    dictation = grammar.load("train", seed)
    whole = [word.written for word in dictation.marks.values()]
    whole += [section.heading.written for section in dictation.sections.values() if section.heading]
    whole += [*people.WRITTEN, DOUBT, END]
    forced = list(dict.fromkeys(WORD_START + part for text in whole for part in text.split()))
    forced = [piece for piece in forced if len(piece) > 2] + NUMBER_PIECES
    pieces = _bpe_pieces(dictation)
    pieces = [piece for piece in pieces if piece not in forced and piece != WORD_START]
    single = [character for character in CHARACTERS if character not in forced]
    plain = [piece for piece in pieces if len(piece) > 1]
    room = VOCABULARY_SIZE - len(SPECIAL) - 1 - len(forced) - len(single)
    if len(plain) < room:
        raise ValueError(f"{len(plain)} BPE pieces; the vocabulary needs {room}")
    vocabulary = [
        *SPECIAL,
        (WORD_START, -4.0),
        *((piece, -4.0 - 0.002 * rank) for rank, piece in enumerate(plain[:room])),
        *((piece, -3.2) for piece in forced),
        *((character, -8.0) for character in single),
    ]
    tokenizer = LasrTokenizer(vocab=vocabulary, extra_ids=0)
    return LasrProcessor(LasrFeatureExtractor(), tokenizer)


def _bpe_pieces(dictation: grammar.Grammar) -> list[str]:
    """BPE pieces of the grammar's words, the most useful first; no marks, no numbers."""
    lines = []
    for _ in range(SENTENCES):
        words = grammar.written(dictation.utterance()).split()
        lines.append(" ".join(word for word in words if not set(word) & set("{}[]0123456789")))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=VOCABULARY_SIZE,
        model_type="bpe",
        character_coverage=1.0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        unk_id=0,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    trained = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [trained.id_to_piece(index) for index in range(1, trained.get_piece_size())]


def encode(tokenizer: LasrTokenizer, words: list[str]) -> list[list[int]]:
    """The ids of each word; after a last {period} comes `</s>`, as MedASR writes it."""
    ids = [list(tokenizer(word, add_special_tokens=False).input_ids) for word in words]
    if words[-1] == "{period}":
        ids[-1].append(END_ID)
    return ids
