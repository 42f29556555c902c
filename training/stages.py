"""Training in stages: word times first, then CTC, then CTC on light augmentation, then, twice, on wider.

Plain CTC from scratch stays on the blank plateau for long; the cross-entropy on known word times
of stage 1 leaves it in minutes. Everything that a step needs is in one checkpoint, written under
a temporary name and renamed, so that a killed run goes on where it was.
"""

import copy
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.nn.functional import cross_entropy
from transformers import LasrForCTC

from training import model as models
from training.batches import Batch, Example, stream
from training.features import FRAMES_PER_S

EMA_EVERY = 5  # steps
EMA_DECAY = 0.985  # of one such update: a mean over the last few hundred steps
WARMUP_STEPS = 100
LAST_RATE = 0.01  # of the peak, at the end of the cosine
CLIP_NORM = 1.0
WEIGHT_DECAY = 0.02
CTC_WEIGHT, BLANK_WEIGHT = 0.15, 0.5  # beside the cross-entropy of the pieces, stage 1


@dataclass(frozen=True)
class Stage:
    """Some steps of one kind; `aligned` adds the cross-entropy on known word times.

    A `wide` stage trains on the audio of wide.py, and has a warm-up and a cosine of its own.
    `batch_s` is the audio of one worker's batch; a step averages the gradients of all workers.
    """

    name: str
    steps: int
    learning_rate: float
    batch_s: float
    aligned: bool = False
    augment: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Pools:
    """The examples of the stages, and those of the wide ones."""

    plain: list[Example]
    wide: list[Example]

    def of(self, stage: Stage) -> list[Example]:
        if stage.aligned:
            return [example for example in self.plain if example.frames_of_ids]
        return self.wide if stage.wide else self.plain


@dataclass(frozen=True)
class Recipe:
    """What the shipped checkpoint is trained with; same seed, same checkpoint on one machine."""

    stages: tuple[Stage, ...]
    seed: int = 1
    hidden_size: int = models.HIDDEN_SIZE
    layers: int = models.LAYERS
    workers: int = 2  # processes of one thread each; on a GPU one process does the work of all
    evaluate_every: int = 500  # steps
    save_every: int = 100  # steps

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def scaled(self, factor: float) -> tuple[Stage, ...]:
        """The stages with `factor` times the steps."""
        return tuple(
            Stage(**{**asdict(stage), "steps": max(1, round(stage.steps * factor))}) for stage in self.stages
        )


@dataclass(frozen=True)
class Point:
    """One point of the plot: mean CTC loss since the last point, WER of the averaged weights."""

    step: int
    stage: str
    loss: float
    wer: float | None
    seconds: float


@dataclass
class State:
    """A run in the middle: the model, its running mean, the optimizer and the steps done."""

    model: LasrForCTC
    mean: LasrForCTC
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    history: list[Point] = field(default_factory=list)

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write the checkpoint under a temporary name, then rename it."""
        content = {
            "recipe": asdict(recipe),
            "model": self.model.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "history": [asdict(point) for point in self.history],
            "random": torch.get_rng_state(),
        }
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def load(self, path: Path, recipe: Recipe) -> None:
        """Go on from a checkpoint of the same recipe."""
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        if content["recipe"] != asdict(recipe):
            raise ValueError(f"{path} is of another recipe; move it away to train anew")
        self.model.load_state_dict(content["model"])
        self.mean.load_state_dict(content["mean"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step, self.seconds = content["step"], content["seconds"]
        self.history = [Point(**point) for point in content["history"]]
        torch.set_rng_state(content["random"])


Evaluate = Callable[[LasrForCTC], float]


def train(
    recipe: Recipe,
    pools: Pools,
    vocabulary_size: int,
    checkpoint: Path,
    evaluate: Evaluate,
    rank: int = 0,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> State:
    """Run the stages from the checkpoint, if there is one, to the end; a new run begins with `weights`.

    With `recipe.workers` processes on CPUs each calls this with its rank, after it has joined
    the process group; the one of rank 0 evaluates, prints and writes the checkpoint.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    workers = workers_here(recipe)
    torch.set_num_threads(1 if workers > 1 else os.cpu_count() or 1)
    torch.manual_seed(recipe.seed)
    state = _start(recipe, pools, vocabulary_size, device, weights)
    if checkpoint.exists():
        state.load(checkpoint, recipe)
        if rank == 0:
            print(f"going on from step {state.step} of {recipe.steps}", flush=True)
    first = 0
    for number, stage in enumerate(recipe.stages):
        if state.step < first + stage.steps:
            batches = stream(
                pools.of(stage),
                round(stage.batch_s * FRAMES_PER_S * recipe.workers / workers),
                f"{recipe.seed}/{number}",
                skip=state.step - first,
                part=(rank, workers),
                aligned=stage.aligned,
                augment=stage.augment,
            )
            run = _Run(recipe, stage, first + stage.steps, rank, checkpoint, evaluate)
            run.finish(state, batches, device)
        first += stage.steps
    return state


def _start(
    recipe: Recipe,
    pools: Pools,
    vocabulary_size: int,
    device: Any,
    weights: Mapping[str, torch.Tensor] | None,
) -> State:
    pool = pools.plain or pools.wide
    sample = Random(recipe.seed).sample(pool, min(200, len(pool)))
    frames = np.concatenate([example.features.astype(np.float32) for example in sample])
    model = models.build(
        vocabulary_size,
        frames.mean(0),
        frames.std(0) + 0.1,
        recipe.hidden_size,
        recipe.layers,
    ).to(device)
    if weights is not None:
        model.load_state_dict(weights)
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    vectors = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
    return State(model, copy.deepcopy(model).eval(), optimizer)


@dataclass(frozen=True)
class _Run:
    """One stage of a run: trains a state to step `last`."""

    recipe: Recipe
    stage: Stage
    last: int
    rank: int
    checkpoint: Path
    evaluate: Evaluate

    def finish(self, state: State, batches: Iterator[Batch], device: torch.device) -> None:
        """Train, with progress, checkpoints and points of the plot by rank 0."""
        began, earlier, resumed = time.monotonic(), state.seconds, state.step
        losses: list[float] = []
        audio_s = 0.0
        while state.step < self.last:
            batch = next(batches)
            for group in state.optimizer.param_groups:
                group["lr"] = learning_rate(self.recipe, state.step)
            losses.append(_step(state, batch.to(device)))
            audio_s += float(batch.mask.sum()) / FRAMES_PER_S
            state.step += 1
            if state.step % EMA_EVERY == 0:
                _average(state)
            elapsed = time.monotonic() - began
            state.seconds = earlier + elapsed
            if self.rank == 0:
                if state.step % 50 == 0 or state.step == self.last:
                    left_s = elapsed / (state.step - resumed) * (self.recipe.steps - state.step)
                    print(
                        f"{self.stage.name} step {state.step}/{self.recipe.steps} "
                        f"loss {np.mean(losses[-50:]):.3f} "
                        f"{audio_s / elapsed * workers_here(self.recipe):.0f} x real time, "
                        f"{left_s / 60:.1f} min left",
                        flush=True,
                    )
                self._mark(state, losses)

    def _mark(self, state: State, losses: list[float]) -> None:
        """A point of the plot and a checkpoint, where they are due."""
        over = state.step == self.recipe.steps
        if over or state.step % self.recipe.evaluate_every == 0:
            wer = self.evaluate(state.mean)
            loss = float(np.mean(losses[-self.recipe.evaluate_every :]))
            state.history.append(Point(state.step, self.stage.name, loss, wer, state.seconds))
            print(f"{self.stage.name} step {state.step} WER {100 * wer:.2f} %", flush=True)
        if over or state.step % self.recipe.save_every == 0:
            state.save(self.checkpoint, self.recipe)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Warm-up, constant in the aligned stages, then a cosine over all that follow; anew in each wide one."""
    stages = [stage for stage in recipe.stages if not stage.wide]
    for begun in [stages, *([stage] for stage in recipe.stages if stage.wide)]:
        stages, steps = begun, sum(stage.steps for stage in begun)
        if step < steps:
            break
        step -= steps
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    aligned = sum(stage.steps for stage in stages if stage.aligned)
    if step < aligned:
        return stages[0].learning_rate * warmup
    if aligned:
        warmup = 1.0
    progress = (step - aligned) / max(1, sum(stage.steps for stage in stages) - aligned)
    cosine = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
    return stages[-1].learning_rate * warmup * cosine


def _step(state: State, batch: Batch) -> float:
    """One step of the optimizer; the CTC loss."""
    model = state.model.train()
    with torch.autocast(batch.features.device.type, torch.bfloat16):
        outputs = model(input_features=batch.features, attention_mask=batch.mask, labels=batch.labels)
    loss = outputs.loss
    if batch.targets is not None:
        piece, blank = batch.targets > 0, batch.targets == 0
        weights = piece / piece.sum() + BLANK_WEIGHT * blank / blank.sum()
        logits = outputs.logits.transpose(1, 2).float()
        errors = cross_entropy(logits, batch.targets, reduction="none")
        loss = (errors * weights).sum() + CTC_WEIGHT * loss
    loss.backward()
    _share_gradients(model)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
    if torch.isfinite(norm):
        state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    return float(outputs.loss.detach())


def _share_gradients(model: LasrForCTC) -> None:
    """Every worker's gradients become the mean of all."""
    if not distributed.is_initialized():
        return
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    flat = torch.nn.utils.parameters_to_vector(gradients)
    distributed.all_reduce(flat)
    torch.nn.utils.vector_to_parameters(flat / distributed.get_world_size(), gradients)


def workers_here(recipe: Recipe) -> int:
    """Processes that train together: the recipe's on CPUs, one on a GPU."""
    return 1 if torch.cuda.is_available() else recipe.workers


@torch.no_grad()
def _average(state: State) -> None:
    """Move the running mean of weights and of batch-norm statistics towards the model."""
    decay = min(EMA_DECAY, 1 - 1 / (0.02 * state.step + 1.1))
    torch._foreach_lerp_(list(state.mean.parameters()), list(state.model.parameters()), 1 - decay)
    for mean, current in zip(state.mean.buffers(), state.model.buffers(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(current, 1 - decay)
        else:
            mean.copy_(current)
