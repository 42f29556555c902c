"""A checkpoint's weights under a tokenizer with other pieces."""

from pathlib import Path

import pytest
import torch
from transformers import LasrTokenizer

from training import recognition, warm

FOLDER = Path(__file__).parents[2] / "medasr_service" / "demo_model"

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")


def test_rows_of_the_head_go_with_their_pieces_and_all_else_stays() -> None:
    model, tokenizer = recognition.load(FOLDER)
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    moved = [*pieces[:4], "▁quite_new", *pieces[5:400], *pieces[401:], pieces[400]]
    other = LasrTokenizer(vocab=[(piece, -1.0) for piece in moved], extra_ids=0)
    new, old = warm.weights(FOLDER, other), model.state_dict()
    assert new.keys() == old.keys()
    for name, weight in old.items():
        if not name.startswith("ctc_head"):
            assert torch.equal(new[name], weight)
            continue
        for row, piece in enumerate(moved):
            if piece in pieces:
                assert torch.equal(new[name][row], weight[pieces.index(piece)])
    assert new["ctc_head.bias"][4] < old["ctc_head.bias"].mean() - 2
