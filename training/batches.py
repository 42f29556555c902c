"""Batches of examples of similar length, in an order that depends on the seed only."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from queue import Queue
from random import Random
from threading import Thread

import numpy as np
import torch
from transformers import LasrTokenizer

from training import tokenizer as pieces
from training.features import FRAMES_PER_S, MEL_BINS, Features, Utterance
from training.model import SUBSAMPLING, output_frames

FLOOR = math.log(1e-5)  # the front end's silence
RECEPTIVE_CENTRE = 6  # input frame in the middle of what output frame 0 sees
PIECE_AT = 0.6  # where in its share of a word a piece is expected to be recognised
END_AFTER_S = 0.06
LENGTH_JITTER = 40  # frames
IGNORED = -100


@dataclass(frozen=True)
class Example:
    """Features (frames, 128), piece ids, and the output frame of each id where it is known."""

    features: Features
    ids: list[int]
    frames_of_ids: list[int] | None

    @property
    def frames(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Batch:
    """Padded features (batch, frames, 128), mask (batch, frames), labels and frame targets."""

    features: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    targets: torch.Tensor | None

    def to(self, device: torch.device) -> "Batch":
        return Batch(
            self.features.to(device),
            self.mask.to(device),
            self.labels.to(device),
            None if self.targets is None else self.targets.to(device),
        )


def examples(items: list[tuple[Utterance, Features]], tokenizer: LasrTokenizer) -> Iterator[Example]:
    """The utterances as examples; those with too few frames for their pieces are left out."""
    known: dict[str, list[int]] = {}
    for utterance, features in items:
        for word in utterance.words:
            if word not in known:
                known[word] = pieces.encode(tokenizer, [word, ""])[0]
        words = [list(known[word]) for word in utterance.words]
        if utterance.words[-1:] == ["{period}"]:
            words[-1].append(pieces.END_ID)
        ids = [piece for word in words for piece in word]
        repeats = sum(one == other for one, other in pairwise(ids))
        if output_frames(len(features)) < 1.1 * (len(ids) + repeats):
            continue
        starts = utterance.starts_s
        frames = None if starts is None else _frames_of_ids(words, starts, len(features))
        yield Example(features, ids, frames)


def _frames_of_ids(words: list[list[int]], starts_s: list[float], frames: int) -> list[int]:
    """The output frame of each piece: its place in its word, one frame for each piece."""
    placed: list[int] = []
    for word, start, end in zip(words, starts_s[:-1], starts_s[1:], strict=True):
        spoken = [piece for piece in word if piece != pieces.END_ID]
        times = [start + (index + PIECE_AT) / len(spoken) * (end - start) for index in range(len(spoken))]
        if len(spoken) < len(word):
            times.append(end + END_AFTER_S)
        for time_s in times:
            frame = round((time_s * FRAMES_PER_S - RECEPTIVE_CENTRE) / SUBSAMPLING)
            placed.append(max(placed[-1] + 1 if placed else 0, frame))
    return [min(frame, output_frames(frames) - 1) for frame in placed]


def order(pool: list[Example], batch_frames: int, rng: Random) -> list[list[int]]:
    """Indices of one epoch's batches: lengths alike, at most `batch_frames` with the padding."""
    by_length = sorted(
        range(len(pool)),
        key=lambda index: pool[index].frames + rng.uniform(-LENGTH_JITTER, LENGTH_JITTER),
    )
    batches: list[list[int]] = [[]]
    longest = 0
    for index in by_length:
        longest = max(longest, pool[index].frames)
        if batches[-1] and longest * (len(batches[-1]) + 1) > batch_frames:
            batches.append([])
            longest = pool[index].frames
        batches[-1].append(index)
    rng.shuffle(batches)
    return batches


def collate(batch: list[Example], *, aligned: bool, augment: Random | None) -> Batch:
    """One batch; with `augment`, in random level, light SpecAugment and noise."""
    frames = max(example.frames for example in batch)
    features = np.full((len(batch), frames, MEL_BINS), FLOOR, np.float32)
    for row, example in enumerate(batch):
        features[row, : example.frames] = example.features
        if augment is not None:
            _augment(features[row, : example.frames], augment)
    lengths = torch.tensor([example.frames for example in batch])
    labels = torch.full((len(batch), max(1, *(len(example.ids) for example in batch))), IGNORED)
    targets = torch.zeros(len(batch), output_frames(frames), dtype=torch.long) if aligned else None
    for row, example in enumerate(batch):
        labels[row, : len(example.ids)] = torch.tensor(example.ids, dtype=torch.long)
        if targets is not None and example.frames_of_ids is not None:
            targets[row, torch.tensor(example.frames_of_ids)] = torch.tensor(example.ids)
            targets[row, output_frames(example.frames) :] = IGNORED
    mask = torch.arange(frames)[None] < lengths[:, None]
    return Batch(torch.from_numpy(features), mask, labels, targets)


def _augment(features: Features | np.ndarray, rng: Random) -> None:
    """Random gain, a band and a stretch of time masked, sometimes a floor of noise; in place."""
    mean = features.mean()
    features += rng.uniform(-1, 1)
    if rng.random() < 0.25:  # a flat noise floor, 14 to 30 dB below the loudest frames
        floor = float(features.mean(1).max()) - rng.uniform(14, 30) * math.log(10) / 10
        noise = np.random.default_rng(rng.randrange(2**32)).normal(floor, 0.4, features.shape)
        np.logaddexp(features, noise, out=features)
    width = rng.randint(0, 10)
    band = rng.randint(0, MEL_BINS - width)
    features[:, band : band + width] = mean
    width = rng.randint(0, 8)
    start = rng.randint(0, max(0, len(features) - width))
    features[start : start + width] = mean
    np.maximum(features, FLOOR, out=features)


def stream(
    pool: list[Example],
    batch_frames: int,
    seed: str,
    *,
    skip: int,
    part: tuple[int, int],
    aligned: bool,
    augment: bool,
) -> Iterator[Batch]:
    """Endless batches, made ahead in a thread: every `part[1]`-th, beginning with `part[0]`.

    The first `skip` of them are passed over.
    """
    rank, workers = part
    queue: Queue[Batch] = Queue(maxsize=4)

    def make() -> None:
        number = 0
        for epoch in count():
            for indices in order(pool, batch_frames, Random(f"{seed}/{epoch}")):
                number += 1
                if number <= skip * workers or (number - 1) % workers != rank:
                    continue
                rng = Random(f"{seed}/{number}") if augment else None
                rows = [pool[index] for index in indices]
                queue.put(collate(rows, aligned=aligned, augment=rng))

    Thread(target=make, daemon=True).start()
    while True:
        yield queue.get()
