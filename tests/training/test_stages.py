"""Training survives a kill and goes on exactly where its checkpoint was."""

import multiprocessing
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from training.batches import Example, collate, order
from training.model import output_frames
from training.stages import Pools, Recipe, Stage, learning_rate, train

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

RECIPE = Recipe(
    stages=(
        Stage("aligned", steps=6, learning_rate=1e-3, batch_s=4, aligned=True),
        Stage("ctc", steps=6, learning_rate=1e-3, batch_s=4),
        Stage("augmented", steps=4, learning_rate=1e-3, batch_s=4, augment=True),
        Stage("wide", steps=4, learning_rate=1e-3, batch_s=4, wide=True),
    ),
    hidden_size=24,
    layers=1,
    workers=1,
    evaluate_every=4,
    save_every=1,
)
VOCABULARY_SIZE = 8


def pool() -> list[Example]:
    rng = np.random.default_rng(1)
    lengths = rng.integers(60, 120, size=30)
    return [
        Example(rng.normal(-6, 2, (length, 128)).astype(np.float16), [4, 5, 6, 1], [2, 5, 8, 11])
        for length in lengths
    ]


def pools() -> Pools:
    return Pools(pool(), pool()[:20])


def no_error(model: Any) -> float:
    return 0.0


def train_slowly(checkpoint: Path) -> None:
    """What the killed process runs: every evaluation takes a minute."""

    def evaluate(model: Any) -> float:
        time.sleep(60)
        return 0.0

    train(RECIPE, pools(), VOCABULARY_SIZE, checkpoint, evaluate)


def test_a_killed_run_ends_like_one_that_was_not(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = train(RECIPE, pools(), VOCABULARY_SIZE, tmp_path / "whole.pt", no_error)
    checkpoint = tmp_path / "killed.pt"
    process = multiprocessing.get_context("spawn").Process(target=train_slowly, args=(checkpoint,))
    process.start()
    deadline = time.monotonic() + 240
    while not (checkpoint.exists() and torch.load(checkpoint, weights_only=True)["step"] == 3):
        assert time.monotonic() < deadline, "the run wrote no checkpoint"
        time.sleep(0.05)
    process.kill()
    process.join()
    checkpoint.with_suffix(".tmp").write_bytes(b"half a checkpoint")
    resumed = train(RECIPE, pools(), VOCABULARY_SIZE, checkpoint, no_error)
    assert resumed.step == whole.step == RECIPE.steps
    assert [point.step for point in resumed.history] == [4, 8, 12, 16, 20]
    for one, other in zip(whole.mean.parameters(), resumed.mean.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    short = Recipe(stages=RECIPE.scaled(0.2), hidden_size=24, layers=1, workers=1)
    train(short, pools(), VOCABULARY_SIZE, tmp_path / "checkpoint.pt", no_error)
    with pytest.raises(ValueError, match="another recipe"):
        train(RECIPE, pools(), VOCABULARY_SIZE, tmp_path / "checkpoint.pt", no_error)


def test_the_learning_rate_warms_up_and_falls_to_a_hundredth() -> None:
    long = Recipe(stages=RECIPE.scaled(100))
    rates = [learning_rate(long, step) for step in range(long.steps)]
    assert rates[0] == pytest.approx(1e-5)
    assert rates[600] == pytest.approx(1e-3)
    assert rates[1599] == pytest.approx(1e-5, rel=0.05)


def test_a_wide_stage_warms_up_and_falls_again() -> None:
    long = Recipe(stages=RECIPE.scaled(100))
    rates = [learning_rate(long, step) for step in range(1600, long.steps)]
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == pytest.approx(1e-3, rel=0.2)
    assert rates[-1] == pytest.approx(1e-5, rel=0.05)


def test_each_wide_stage_has_a_rate_of_its_own() -> None:
    twice = (*RECIPE.scaled(100), Stage("again", steps=400, learning_rate=1e-4, batch_s=4, wide=True))
    long = Recipe(stages=twice)
    first, again = (
        [learning_rate(long, step) for step in range(begin, begin + 400)] for begin in (1600, 2000)
    )
    assert first == [learning_rate(Recipe(stages=RECIPE.scaled(100)), step) for step in range(1600, 2000)]
    assert again == pytest.approx([rate / 10 for rate in first])


def test_a_stage_is_trained_on_its_own_audio() -> None:
    aligned, ctc, _, wide = RECIPE.stages
    unaligned = Example(pool()[0].features, [4, 5], None)
    both = Pools([*pool(), unaligned], [unaligned])
    assert [len(both.of(stage)) for stage in (aligned, ctc, wide)] == [30, 31, 1]


def test_a_run_of_the_wide_stage_alone_begins_with_the_weights_given(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    alone = Recipe(
        stages=(Stage("wide", steps=1, learning_rate=0.0, batch_s=4, wide=True),),
        hidden_size=24,
        layers=1,
        workers=1,
    )
    first = train(RECIPE, pools(), VOCABULARY_SIZE, tmp_path / "first.pt", no_error)
    weights = first.mean.state_dict()
    second = train(
        alone, Pools([], pool()), VOCABULARY_SIZE, tmp_path / "second.pt", no_error, weights=weights
    )
    for name, weight in second.model.named_parameters():
        torch.testing.assert_close(weight, weights[name])


def test_every_example_is_in_one_batch_of_an_epoch() -> None:
    examples = pool()
    batches = order(examples, 400, Random(3))
    assert sorted(index for batch in batches for index in batch) == list(range(len(examples)))
    for batch in batches:
        assert len(batch) == 1 or max(examples[index].frames for index in batch) * len(batch) <= 400


def test_targets_stand_at_their_frames_and_padding_is_ignored() -> None:
    examples = sorted(pool(), key=lambda example: example.frames)
    batch = collate([examples[0], examples[-1]], aligned=True, augment=None)
    assert batch.targets is not None
    assert batch.targets[0, [2, 5, 8, 11]].tolist() == [4, 5, 6, 1]
    assert set(batch.targets[0, output_frames(examples[0].frames) :].tolist()) == {-100}
    assert batch.mask.sum(1).tolist() == [examples[0].frames, examples[-1].frames]
