"""The demo checkpoint from nothing, step after step; finished steps are skipped.

With `--warm-start FOLDER` the last stage alone is run, from the weights of the checkpoint in the folder;
of its recordings those are kept that are written without an error.
"""

# mypy: disallow-untyped-calls=false
# (transformers and torch leave some functions untyped)

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
import transformers
from torch.multiprocessing.spawn import spawn
from transformers import AutoProcessor, LasrForCTC

from medasr_service.evaluation import scoring
from training import batches, card, evaluation, export, features, recognition, tokenizer, warm, wide
from training import model as models
from training.evaluation import Sizes
from training.stages import Point, Pools, Recipe, Stage, train, workers_here
from training.voices import VOICES, WIDE_VOICES, Voice

SEED = 1
EVALUATION_SEED = 20_000
RECORDINGS_SEED = 30_000
FOLDER = Path(__file__).parents[1] / "medasr_service" / "demo_model"
SHARDS = 64  # of about half an hour
HOURS_PER_SHARD = 0.48
WIDE_SHARDS = 36
DEV_UTTERANCES = 80
RECIPE = Recipe(
    stages=(
        Stage("aligned", steps=900, learning_rate=1e-3, batch_s=32, aligned=True),
        Stage("ctc", steps=4100, learning_rate=1.5e-3, batch_s=32),
        Stage("augmented", steps=1000, learning_rate=1.5e-3, batch_s=32, augment=True),
        Stage("wide", steps=6500, learning_rate=1e-3, batch_s=32, augment=True, wide=True),
        Stage("wide again", steps=5000, learning_rate=7e-4, batch_s=32, augment=True, wide=True),
    ),
    seed=SEED,
)
SMOKE_SIZES = Sizes(sentences=8, unseen=2, reports=1, candidates=1)
SMOKE = replace(RECIPE, hidden_size=48, layers=2, evaluate_every=10, save_every=10)


def parse() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--work-dir", type=Path, default=Path("build/demo-model"))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the checkpoint goes")
    parser.add_argument(
        "--hours", type=float, default=SHARDS * HOURS_PER_SHARD, help="of audio, but for the last stage"
    )
    parser.add_argument("--warm-start", type=Path, help="begin at the last stage, with this checkpoint")
    parser.add_argument("--steps", type=float, default=1.0, help="scale of the recipe's steps")
    parser.add_argument(
        "--smoke", action="store_true", help="a tiny run of every step, in a folder of its own"
    )
    return parser.parse_args()


def build_processor(folder: Path) -> Any:
    """Train the tokenizer, unless `folder` has it; the processor."""
    if not folder.exists():
        temporary = folder.with_suffix(".tmp")
        tokenizer.train(SEED).save_pretrained(temporary)
        temporary.rename(folder)
    return AutoProcessor.from_pretrained(folder)


def train_model(work_dir: Path, recipe: Recipe, begin: Path | None) -> None:
    """Run the stages on the shards, in as many processes as the recipe says."""
    workers = workers_here(recipe)
    if workers == 1:
        train_rank(0, work_dir, recipe, begin)
        return
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    meeting = work_dir / "workers"
    meeting.unlink(missing_ok=True)
    spawn(train_rank, (work_dir, recipe, begin, meeting), nprocs=workers)


def train_rank(
    rank: int, work_dir: Path, recipe: Recipe, begin: Path | None, meeting: Path | None = None
) -> None:
    """One worker's run of the stages; rank 0 measures the WER of the dev shards on the way."""
    transformers.logging.set_verbosity_error()
    if meeting is not None:
        torch.distributed.init_process_group(
            "gloo", f"file://{meeting.resolve()}", rank=rank, world_size=recipe.workers
        )
    processor = build_processor(work_dir / "processor")

    def pool(name: str) -> list[batches.Example]:
        found = list(batches.examples(features.load(work_dir / name), processor.tokenizer))
        hours = sum(example.frames for example in found) / features.FRAMES_PER_S / 3600
        if rank == 0:
            print(f"{name}: {len(found)} utterances, {hours:.1f} h", flush=True)
        return found

    dev = features.load(work_dir / "dev") + features.load(work_dir / "dev-wide")
    dev = dev[:: max(1, len(dev) // DEV_UTTERANCES)]

    def evaluate(model: LasrForCTC) -> float:
        arrays = [array for _, array in dev]
        texts = recognition.transcribe(model, processor.tokenizer, arrays)
        return scoring.word_error_rate([utterance.text for utterance, _ in dev], texts)

    checkpoint = work_dir / "checkpoint.pt"
    wider = pool("features-wide") + pool("features-nothing")
    pools = Pools([] if begin else pool("features"), wider)
    weights = warm.weights(begin, processor.tokenizer) if begin else None
    train(recipe, pools, len(processor.tokenizer), checkpoint, evaluate, rank, weights)


def make_folder(
    work_dir: Path, recipe: Recipe, missing: list[Voice], sizes: Sizes, folder: Path, begin: Path | None
) -> None:
    """Export the checkpoint, measure it and choose its recordings; then publish the folder."""
    state = torch.load(work_dir / "checkpoint.pt", weights_only=True)
    processor = build_processor(work_dir / "processor")
    model = models.build(len(processor.tokenizer), *models.UNIT_STATISTICS, recipe.hidden_size, recipe.layers)
    model.load_state_dict(state["mean"])
    staging = work_dir / "folder"
    shutil.rmtree(staging, ignore_errors=True)
    export.save_model(model, processor, staging)
    voices = [voice for voice in VOICES if voice not in missing]
    heard = [_size(work_dir / name) for name in ("features", "features-wide")]
    trained = list(features.plain_texts(SEED, SHARDS))
    trained += [utterance.text for utterance, _ in features.load(work_dir / "features-wide")]
    figures = evaluation.evaluate(staging, voices, trained, EVALUATION_SEED, sizes)
    rng, texts = Random(RECORDINGS_SEED), evaluation.Texts(RECORDINGS_SEED, trained)
    if begin is None:
        kept: tuple[int, ...] = ()
        sample = export.pick_sample(staging, voices, texts, rng, sizes.candidates)
        clips = export.pick_clips(staging, voices, texts, rng, sizes.candidates)
    else:
        sample, clips = export.kept_recordings(begin, staging)
        kept = tuple(number for number, each in enumerate((sample, *clips)) if each.is_exact)
        if not sample.is_exact:
            sample = export.pick_sample(staging, voices, texts, rng, sizes.candidates)
        clips = [
            each if each.is_exact else export.pick_clip(staging, voice, texts, rng, sizes.candidates)
            for each, voice in zip(clips, export.clip_voices(voices), strict=True)
        ]
    export.save_recordings(staging, sample.recording, [pick.recording for pick in clips])
    export.plot([Point(**point) for point in state["history"]], recipe.stages, staging / "training.png")
    facts = card.Facts(
        figures=figures,
        parameters=sum(weight.numel() for weight in model.parameters()),
        plain=heard[0],
        wide=heard[1],
        steps=state["step"],
        training_s=state["seconds"],
        missing=missing,
        sample=sample,
        clips=clips,
        warm=begin is not None,
        kept=kept,
    )
    (staging / "README.md").write_text(card.card(facts), encoding="utf-8")
    export.publish(staging, folder)


def _size(folder: Path) -> tuple[float, int]:
    """Hours and utterances of the shards in the folder."""
    items = features.load(folder)
    return sum(len(array) for _, array in items) / features.FRAMES_PER_S / 3600, len(items)


def main() -> None:
    """Run every step that is not finished yet; the folder is measured and written each time."""
    transformers.logging.set_verbosity_error()
    arguments = parse()
    begin: Path | None = arguments.warm_start
    work_dir, folder, sizes = arguments.work_dir, arguments.folder, Sizes()
    recipe, wide_shards = replace(RECIPE, stages=RECIPE.scaled(arguments.steps)), WIDE_SHARDS
    shards = max(1, round(arguments.hours / HOURS_PER_SHARD))
    if arguments.smoke:
        work_dir, sizes = Path("build/demo-model-smoke"), SMOKE_SIZES
        recipe, shards, wide_shards = replace(SMOKE, stages=SMOKE.scaled(0.003)), 1, 1
        folder = work_dir / "demo_model"
    if begin is not None:
        recipe = replace(recipe, stages=recipe.stages[-1:])
    else:
        features.synthesise(work_dir / "features", shards, SEED)
        features.synthesise(work_dir / "dev", 1, SEED + 1)
    features.synthesise(work_dir / "dev-wide", 1, SEED + 1, WIDE_VOICES, wide.build_shard)
    missing = features.synthesise(
        work_dir / "features-wide", wide_shards, SEED, WIDE_VOICES, wide.build_shard
    )
    features.synthesise(work_dir / "features-nothing", 1, SEED, [], wide.build_nothing)
    build_processor(work_dir / "processor")
    train_model(work_dir, recipe, begin)
    make_folder(work_dir, recipe, missing, sizes, folder, begin)
