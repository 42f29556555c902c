"""A checkpoint's weights for a tokenizer with other pieces: the head's rows go where their pieces are."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LasrTokenizer

from training import recognition

NEW_BIAS = -3.0  # beside the mean of the known pieces: what is not learned yet must not be written


def weights(folder: Path, tokenizer: LasrTokenizer) -> dict[str, torch.Tensor]:
    """Those of the checkpoint in `folder`; pieces new to it begin at the mean of those that it knows."""
    model, _ = recognition.load(folder)
    known = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    state = {name: weight.clone() for name, weight in model.state_dict().items()}
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    for name in ("ctc_head.weight", "ctc_head.bias"):
        old = state[name]
        new = old.mean(0, keepdim=True).repeat(len(pieces), *(1 for _ in old.shape[1:]))
        if name.endswith("bias"):
            new += NEW_BIAS
        for row, piece in enumerate(pieces):
            if piece in known:
                new[row] = old[known[piece]]
        state[name] = new
    return state
