"""`python -m training.cached_encoder`: live text from an encoder that keeps its work. What is lost?

A Conformer that was trained on whole recordings sees the future of each frame in every layer. Here frames
come in steps: each step computes its own frames and some that lie ahead, once, against the attention inputs
and the convolution states that earlier steps have left, which were computed with no more future than their
step had. No weights are changed. Measured is the WER against one forward over the whole recording, and how
many frames are computed for each that is kept.
"""

import argparse
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from transformers import LasrForCTC
from transformers.models.lasr.modeling_lasr import apply_rotary_pos_emb

from medasr_service.evaluation import scoring
from medasr_service.model.checkpoint import DEMO_FOLDER
from training import recognition
from training.evaluation import Texts, speak_short
from training.features import extract
from training.voices import VOICES, present

# mypy: disallow-untyped-calls=false
# (transformers and torch leave some functions untyped)

FRAMES_PER_S = 25
BEHIND = 20 * FRAMES_PER_S  # frames that are attended to
SEED = 60_000


@dataclass
class Kept:
    """Of one layer, what earlier steps have left: [1, frames, hidden] each."""

    attended: list[torch.Tensor] = field(default_factory=list)
    convolved: list[torch.Tensor] = field(default_factory=list)


def _joined(kept: list[torch.Tensor], new: torch.Tensor, most: int) -> torch.Tensor:
    return torch.cat([*kept, new], 1)[:, -(most + new.shape[1]) :]


def _attend(attention: Any, rotary: Any, new: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    def heads(projection: torch.nn.Linear, hidden: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = (
            projection(hidden).view(1, hidden.shape[1], -1, attention.head_dim).transpose(1, 2)
        )
        return found

    cos, sin = rotary(seen, torch.arange(seen.shape[1])[None])
    # Queries of all frames, of which the last are asked for: both are turned by the place in what is seen.
    query, key = apply_rotary_pos_emb(heads(attention.q_proj, seen), heads(attention.k_proj, seen), cos, sin)
    query = query[:, :, -new.shape[1] :]
    value = heads(attention.v_proj, seen)
    attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=attention.scaling)
    found: torch.Tensor = attention.o_proj(attended.transpose(1, 2).reshape(1, new.shape[1], -1))
    return found


def _block(layer: Any, rotary: Any, hidden: torch.Tensor, kept: Kept, keep: int) -> torch.Tensor:
    """One Conformer block on the frames of a step, of which the first ``keep`` are left for later ones."""
    first, second = layer.feed_forward_residual_weights
    hidden = first * hidden + second * layer.feed_forward1(layer.norm_feed_forward1(hidden))
    new = layer.norm_self_att(hidden)
    hidden = hidden + _attend(layer.self_attn, rotary, new, _joined(kept.attended, new, BEHIND))
    kept.attended.append(new[:, :keep])
    new = layer.norm_conv(hidden)
    kernel = layer.conv.depthwise_conv.kernel_size[0]
    convolved = layer.conv(_joined(kept.convolved, new, kernel))[:, -new.shape[1] :]
    kept.convolved.append(new[:, :keep])
    first_conv, second_conv = layer.conv_residual_weights
    hidden = first_conv * hidden + second_conv * convolved
    hidden = first * hidden + second * layer.feed_forward2(layer.norm_feed_forward2(hidden))
    found: torch.Tensor = layer.norm_out(hidden)
    return found


def posteriors(model: LasrForCTC, features: torch.Tensor, step: int, ahead: int) -> torch.Tensor:
    """Log-posteriors [frames, pieces] of features [1, frames of 10 ms, 128], step by step."""
    encoder = model.encoder
    hidden = encoder.subsampler(features)
    kept = [Kept() for _ in encoder.layers]
    found = []
    for start in range(0, hidden.shape[1], step):
        keep = min(step, hidden.shape[1] - start)
        now = hidden[:, start : start + keep + ahead]
        for layer, left in zip(encoder.layers, kept, strict=True):
            now = _block(layer, encoder.rotary_emb, now, left, keep)
        found.append(encoder.out_norm(now[:, :keep]))
    logits: torch.Tensor = model.ctc_head(torch.cat(found, 1))
    return logits[0].log_softmax(-1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--each", type=int, default=12, help="recordings of each voice")
    each = parser.parse_args().each
    model, tokenizer = recognition.load(DEMO_FOLDER)
    texts, rng = Texts(SEED, []), Random(SEED)
    voices, _ = present(VOICES)
    recordings = [one for voice in voices for one in speak_short(voice, each, texts, rng)]
    arrays = [torch.from_numpy(extract(one.waveform))[None].float() for one in recordings]
    references = [one.text for one in recordings]

    def wer(step: int, ahead: int) -> float:
        heard = [
            str(tokenizer.decode(posteriors(model, array, step, ahead).argmax(-1), skip_special_tokens=True))
            for array in arrays
        ]
        return 100 * scoring.word_error_rate(references, heard)

    with torch.inference_mode():
        whole = wer(100_000, 0)
        words = sum(len(scoring.normalise(text).split()) for text in references)
        print(f"{len(recordings)} recordings, {words} words; in one forward: WER {whole:.2f} %\n")
        print("| step | ahead | WER | points more | frames computed for one kept |\n|---|---|---|---|---|")
        for step_s in (0.4, 0.8):
            for ahead_s in (0.4, 0.8, 1.6, 3.2):
                step, ahead = round(step_s * FRAMES_PER_S), round(ahead_s * FRAMES_PER_S)
                found = wer(step, ahead)
                cells = (
                    f"{step_s} s",
                    f"{ahead_s} s",
                    f"{found:.2f} %",
                    f"{found - whole:+.2f}",
                    1 + ahead / step,
                )
                print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
