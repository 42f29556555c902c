"""A shadow of google/medasr: its files, names, shapes and magnitudes as they are public; random weights.

What the hub gives at revision ae1e4845b4b07479735d93e1e591e566435b7104 (model card 1.0.0), all but what it
has learned: a configuration without `architectures`, a preprocessor with the class names of before
transformers 5, 101 added tokens that the network cannot write, one safetensors file of 368 tensors without
metadata (at full size the very 421,172,424 bytes), a language model over pieces with `#` for a word's start,
and numbers that grow to 2e6 inside the first block.

python -m tests.model.shadow FOLDER        # at full size
"""

import argparse
import itertools
import json
import math
import string
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import Unigram
from transformers import LasrCTCConfig, LasrForCTC
from transformers.utils import logging

from tests.model.fake_hub import COMMIT
from training import kenlm
from training.ngrams import UNKNOWN, NGrams

MODEL = "google/medasr"
FULL, SMALL = 512, 64  # hidden
LAYERS, PIECES, ADDED = 17, 512, 101
BYTES, TENSORS = 421_172_424, 368  # of the weights at full size
SUBSAMPLED, FIRST_BLOCK, LOWEST, HIGHEST = 1.1e5, 2e6, -24.0, 14.0  # the largest there, and the logits
CANNOT_WRITE = frozenset("#$&(<=>@\\^`|~")
SPECIAL = ("<epsilon>", "<s>", "</s>", "<unk>")
WHOLE = ("▁", "s", ",", "▁the", "▁{", "}", "▁[", "▁]", "]", "period", "comma", "colon", "paragraph", "line")
_HALF = 0.5  # of a feed-forward layer is added, twice a block
KNOWN_TO_LM = 507  # of the pieces, all but the special ones and the last; and 12 that are none
NO_PIECES = 12
Grams: TypeAlias = dict[tuple[str, ...], tuple[float, float]]


def pieces() -> list[str]:
    """512 of them, in the real order of the first: every character that it can write, then pairs."""
    letters = string.ascii_letters + string.digits
    written = [each for each in string.printable if each.isprintable() and each not in CANNOT_WRITE | {" "}]
    found = dict.fromkeys([*SPECIAL, *WHOLE, "new", "▁IMPRESSION", *written, "—"])
    found |= dict.fromkeys(f"▁{letter}" for letter in letters)
    pairs = (start + a + b for start in ("", "▁") for a in string.ascii_lowercase for b in "aeiourtnshl")
    for each in pairs:
        if len(found) < PIECES:
            found.setdefault(each)
    assert len(found) == PIECES
    return list(found)


def write(folder: Path, *, hidden: int = SMALL, language_model: bool = True) -> Path:
    """All files of the repository that the service may meet, as one snapshot of it."""
    folder.mkdir(parents=True)
    _write_json(folder / "config.json", _config(hidden))
    front_end = {
        "feature_size": 128, "hop_length": 160, "n_fft": 512, "win_length": 400, "padding_side": "right",
        "padding_value": 0.0, "return_attention_mask": True, "sampling_rate": 16_000,
    }  # fmt: skip
    old_names = {"feature_extractor_type": "LASRFeatureExtractor", "processor_class": "LASRProcessor"}
    _write_json(folder / "preprocessor_config.json", {**old_names, **front_end})
    _write_json(
        folder / "processor_config.json",
        {
            "feature_extractor": {"feature_extractor_type": "LasrFeatureExtractor", **front_end},
            "processor_class": "LasrProcessor",
        },
    )
    _write_tokenizer(folder)
    save_file(_weights(hidden), folder / "model.safetensors")
    (folder / "README.md").write_text("# MedASR\n")
    (folder / "notebook.ipynb").write_text("{}")
    (folder / "test_audio.wav").write_bytes(b"RIFF")
    (folder / "spiece.model").write_bytes(b"\n\x0e\n\t<epsilon>")
    if language_model:
        write_language_model(folder / "lm_6.kenlm")
    return folder


def in_cache(cache: Path, **how: bool | int) -> Path:
    """The snapshot as huggingface_hub keeps it, found without a network; returns its folder."""
    repository = cache / f"models--{MODEL.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return write(repository / "snapshots" / COMMIT, **how)  # type: ignore[arg-type]


def write_language_model(file: Path, *, size: int = 0) -> None:
    """KenLM's binary over pieces: 519 unigrams, 507 of them pieces, of which none begins with ▁.

    A ``size`` in bytes adds trigrams that nothing asks for, so that the file weighs as much (704 MB).
    """
    known = [each.replace("▁", "#") for each in pieces()[len(SPECIAL) :]][:KNOWN_TO_LM]
    others = ["<s>", "</s>", *(f"#other{i}" for i in range(NO_PIECES - 3))]
    unigrams: Grams = {(UNKNOWN,): (-6.0, 0.0), **{(each,): (-2.7, -0.3) for each in [*others, *known]}}
    assert len(unigrams) == KNOWN_TO_LM + NO_PIECES
    bigrams: Grams = dict.fromkeys(itertools.pairwise(known), (-0.5, 0.0))
    trigrams: Grams = {tuple(known[i : i + 3]): (-0.3, 0.0) for i in range(len(known) - 2)}
    kenlm.write_binary(NGrams((unigrams, bigrams, trigrams)), file)
    if size:
        _inflate(file, len(trigrams), size)


def _inflate(file: Path, trigrams: int, size: int) -> None:
    """Its last table with more buckets, of keys that no n-gram has; the words that stand behind it stay."""
    content = file.read_bytes()
    names = content[content.rindex(UNKNOWN.encode() + b"\0") :]
    table = kenlm.buckets(trigrams) * kenlm.LONGEST.itemsize
    head = content[: len(content) - len(names) - table]
    entries = int((size - len(head) - len(names)) / kenlm.LONGEST.itemsize / kenlm.SPARE)
    count = struct.pack("<Q", trigrams)
    at = head.index(count, head.index(struct.pack("<Q", KNOWN_TO_LM + NO_PIECES)))
    rows = np.zeros(kenlm.buckets(entries), kenlm.LONGEST)
    rows["key"][::2] = np.arange(1, 1 + len(rows[::2]), dtype=np.uint64)
    file.write_bytes(head[:at] + struct.pack("<Q", entries) + head[at + 8 :] + rows.tobytes() + names)


def _config(hidden: int) -> dict[str, object]:
    encoder = {
        "activation_dropout": 0.1, "attention_bias": False, "attention_dropout": 0.1,
        "batch_norm_momentum": 0.01, "conv_kernel_size": 32,
        "conv_residual_weights": [2.0, 1.0], "convolution_bias": False,
        "dropout": 0.1, "dropout_positions": 0.0, "feed_forward_residual_weights": [1.5, 0.5],
        "hidden_act": "silu",
        "hidden_size": hidden, "initializer_range": 0.02, "intermediate_size": 4 * hidden,
        "layer_norm_eps": 1e-06, "layerdrop": 0.1, "max_position_embeddings": 10_000,
        "model_type": "lasr_encoder", "num_attention_heads": 8, "num_hidden_layers": LAYERS,
        "num_key_value_heads": 8, "num_mel_bins": 128,
        "rope_parameters": {"rope_theta": 10_000.0, "rope_type": "default"},
        "subsampling_conv_channels": hidden // 2, "subsampling_conv_kernel_size": 5,
        "subsampling_conv_stride": 2,
    }  # fmt: skip
    return {
        "ctc_loss_reduction": "mean", "ctc_zero_infinity": True, "encoder_config": encoder,
        "initializer_range": 0.02, "model_type": "lasr_ctc", "pad_token_id": 0,
        "transformers_version": "5.0.0.dev0", "vocab_size": PIECES,
    }  # fmt: skip


def _write_tokenizer(folder: Path) -> None:
    scores = [(piece, -0.02 * i) for i, piece in enumerate(pieces())]
    tokenizer = Tokenizer(Unigram(scores, unk_id=3, byte_fallback=False))
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    added = [*(f"<extra_id_{99 - i}>" for i in range(ADDED - 1)), "<pad>"]
    tokenizer.add_special_tokens([AddedToken(each, special=True, normalized=False) for each in added])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "added_tokens.json", {each: PIECES + i for i, each in enumerate(added)})
    named = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _write_json(folder / "special_tokens_map.json", {**named, "additional_special_tokens": added[:-1]})
    _write_json(
        folder / "tokenizer_config.json",
        {"extra_ids": 100, "tokenizer_class": "LasrTokenizer", "vocab_file": None, **named},
    )


def _weights(hidden: int) -> dict[str, torch.Tensor]:
    """Random, and then so that the numbers inside are as large as the real ones."""
    logging.disable_progress_bar()
    with torch.random.fork_rng(), torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about the even kernels
        torch.manual_seed(0)
        config = LasrCTCConfig(**json.loads(json.dumps(_config(hidden))))
        model = LasrForCTC(config).eval()
        sound, first, last = _log_mel(), model.encoder.layers[0], model.encoder.subsampler.dense_1
        largest = float(model.encoder.subsampler(sound).abs().max())
        last.weight.mul_(SUBSAMPLED / largest)
        last.bias.mul_(SUBSAMPLED / largest)
        grown = float(_seen(model, first.norm_out, sound)[0].abs().max())
        through = first.feed_forward2.linear2
        added = float(_seen(model, through, sound)[1].abs().max())
        through.weight.mul_(max(FIRST_BLOCK - grown, 0.0) / (_HALF * added))
        logits = model(input_features=sound).logits
        model.ctc_head.weight.mul_((HIGHEST - LOWEST) / float(logits.max() - logits.min()))
        logits = model(input_features=sound).logits
        model.ctc_head.bias.add_(HIGHEST - float(logits.max()))
        return {name: each.clone() for name, each in model.state_dict().items()}


def _seen(
    model: LasrForCTC, module: torch.nn.Module, sound: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a module is given, and what it gives."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hook = module.register_forward_hook(lambda _, given, gives: seen.append((given[0], gives)))
    model(input_features=sound)
    hook.remove()
    return seen[0]


def _log_mel(frames: int = 400) -> torch.Tensor:
    coarse = torch.randn(1, 1, frames // 8 + 2, 18)
    slow = torch.nn.functional.interpolate(coarse, size=(frames, 128), mode="bilinear")[:, 0]
    return (-5 + 3.5 * slow).clamp(min=math.log(1e-5))


@dataclass(frozen=True)
class Magnitudes:
    """The largest value behind the subsampler, and inside the first block; the logits from and to."""

    subsampled: float
    first_block: float
    lowest: float
    highest: float


def magnitudes(folder: Path) -> Magnitudes:
    """On sound that the weights were not fitted to."""
    with torch.random.fork_rng(), torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about the even kernels
        torch.manual_seed(1)
        model = LasrForCTC.from_pretrained(folder).eval()
        sound = _log_mel()
        logits = model(input_features=sound).logits
        return Magnitudes(
            float(model.encoder.subsampler(sound).abs().max()),
            float(_seen(model, model.encoder.layers[0].norm_out, sound)[0].abs().max()),
            float(logits.min()),
            float(logits.max()),
        )


def _write_json(file: Path, content: dict[str, object]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    print(write(parser.parse_args().folder, hidden=FULL))
