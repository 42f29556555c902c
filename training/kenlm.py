"""KenLM's files, written from an n-gram model: ARPA text, and the binary that is mapped into memory.

The binary is KenLM's "probing" kind, version 5: a header, the hashed vocabulary, the unigrams, and a hash
table with linear probing for each longer n-gram, everything little-endian. Flags by which KenLM saves
lookups are left off: scores are the same.
"""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.ngrams import UNKNOWN, NGrams

MAGIC = b"mmap lm http://kheafield.com/code format version 5\n"
PROBING = 0  # the model type
SPARE = 1.25  # buckets for each entry
MASK = 2**64 - 1
MIDDLE = np.dtype([("key", "<u8"), ("logprob", "<f4"), ("backoff", "<f4")])
LONGEST = np.dtype([("key", "<u8"), ("logprob", "<f4")])
WORD = np.dtype([("key", "<u8"), ("index", "<u4")])


def write_arpa(model: NGrams, file: Path) -> None:
    lines = ["\\data\\", *(f"ngram {n}={len(level)}" for n, level in enumerate(model.levels, 1))]
    for n, level in enumerate(model.levels, 1):
        lines += ["", f"\\{n}-grams:"]
        for gram, (logprob, backoff) in sorted(level.items()):
            end = f"\t{backoff:.6f}" if n < model.order else ""
            lines.append(f"{logprob:.6f}\t{' '.join(gram)}{end}")
    file.write_text("\n".join([*lines, "", "\\end\\", ""]), encoding="utf-8")


def write_binary(model: NGrams, file: Path) -> None:
    """The model as KenLM maps it into memory; needs at least two levels."""
    words = [UNKNOWN, *sorted(word for (word,) in model.levels[0] if word != UNKNOWN)]
    index = {word: i for i, word in enumerate(words)}
    parts = [binary_head(words, [len(level) for level in model.levels])]
    unigrams = np.zeros((len(words) + 1, 2), "<f4")
    for (word,), weights in model.levels[0].items():
        unigrams[index[word]] = abs(weights[0]), weights[1]  # a sign would say that nothing extends it
    parts.append(unigrams.tobytes())
    for level in model.levels[1:-1]:
        rows = [
            (_key([index[w] for w in gram]), abs(weights[0]), weights[1]) for gram, weights in level.items()
        ]
        parts.append(table(MIDDLE, len(level), rows).tobytes())
    longest = [(_key([index[w] for w in gram]), weights[0]) for gram, weights in model.levels[-1].items()]
    parts.append(table(LONGEST, len(longest), longest).tobytes())
    parts.append(b"".join(word.encode() + b"\0" for word in words))
    file.write_bytes(b"".join(parts))


def binary_head(words: list[str], counts: list[int]) -> bytes:
    """All that comes before the unigrams; ``words`` begin with ``<unk>``."""
    rows = [(_hash(word.encode()), i) for i, word in enumerate(words)][1:]
    return header(counts) + struct.pack("<II", 0, len(words)) + table(WORD, len(words), rows).tobytes()


def header(counts: list[int]) -> bytes:
    """The file's first bytes; ``counts`` are the n-grams of each level."""
    sanity = MAGIC.ljust(56, b"\0") + struct.pack("<fffIIIQ", 0.0, 1.0, -0.5, 1, 2**32 - 1, 0, 1)
    fixed = struct.pack("<B3xfIB3xI", len(counts), SPARE, PROBING, 1, 0)
    whole = sanity + fixed + struct.pack(f"<{len(counts)}Q", *counts)
    return whole.ljust(-(-len(whole) // 8) * 8, b"\0")


def buckets(entries: int) -> int:
    return max(entries + 1, int(np.float32(SPARE) * np.float32(entries)))


def table(kind: np.dtype[np.void], entries: int, rows: Iterable[tuple[float, ...]]) -> NDArray[np.void]:
    """The rows in a hash table: each in its key's bucket or the next free one."""
    size = buckets(entries)
    found = np.zeros(size, kind)
    taken: set[int] = set()
    for row in rows:
        at = int(row[0]) % size
        while at in taken:
            at = (at + 1) % size
        taken.add(at)
        found[at] = row
    return found


def _key(words: list[int]) -> int:
    """KenLM's hash of an n-gram, from its last word to its first."""
    key = words[-1]
    for word in reversed(words[:-1]):
        key = (key * 8978948897894561157 & MASK) ^ ((1 + word) * 17894857484156487943 & MASK)
    return key


def _hash(data: bytes) -> int:
    """MurmurHash64A (Austin Appleby, public domain), seed 0."""
    m, r = 0xC6A4A7935BD1E995, 47
    h = len(data) * m & MASK
    whole = len(data) // 8 * 8
    for (k,) in struct.iter_unpack("<Q", data[:whole]):
        k = k * m & MASK
        k = (k ^ k >> r) * m & MASK
        h = (h ^ k) * m & MASK
    if tail := data[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * m & MASK
    h = (h ^ h >> r) * m & MASK
    return h ^ h >> r
