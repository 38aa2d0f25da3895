"""Letters come back from the tokens of every vocabulary, and a letter counts as seen only where the model sees it."""

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.baselines.letters import HIDDEN, MARGIN, OTHER, LetterTable, layout, token_targets
from pretrain.tokenizers import build_tokenizer
from tests.baselines.batches import micro_batch, objectives_of


def read(tokenizer_name: str, sequences: list[str], selected: list[int], shown: dict[int, str] | None = None):
    tokenizer = build_tokenizer(tokenizer_name)
    batch = micro_batch(tokenizer, sequences, selected, shown)
    return token_targets(batch, "mlm", objectives_of(tokenizer), LetterTable(tokenizer))


@pytest.mark.parametrize("name", ["ernie_rna", "mutbert", "rnaernie", "utr_lm", "utrbert_3mer", "dnabert_6mer"])
def test_letters_come_back_from_tokens(name):
    tokenizer = build_tokenizer(name)
    rows = ["ACGTACGTAA", "GATTACAGGC", "TTTTGC"]
    tokens = tokenizer.encode(Ragged.from_rows([row.encode() for row in rows]))
    symbols, place, letters = layout(tokens.ids, tokens.offsets, LetterTable(tokenizer))
    assert letters.tolist() == [len(row) for row in rows]
    starts = place[tokens.offsets[:-1]]
    found = ["".join("ACGT"[c] for c in symbols[a : a + n]) for a, n in zip(starts, letters, strict=True)]
    assert found == rows
    assert (symbols[: starts[0]] == OTHER).all()
    assert all((symbols[a - MARGIN : a] == OTHER).all() for a in starts)


def test_hidden_and_shown_letters_are_seen_as_the_model_sees_them():
    targets = read("ernie_rna", ["ACGUACGU"], [1, 3, 5, 7], {3: "A", 5: "A"})  # 3 random, 5 kept
    start = targets.first[0]
    assert targets.seen[start : start + 8].tolist() == [HIDDEN, 1, 0, 3, 0, 1, HIDDEN, 3]
    assert targets.true[start : start + 8].tolist() == [0, 1, 2, 3] * 2
    assert targets.is_hidden.tolist() == [True, False, False, True]
    assert (targets.shown == targets.token).tolist() == [False, False, True, False]


def test_unknown_letters_of_kmers_agree_with_a_search_through_all_visible_tokens():
    draw, k = np.random.default_rng(8), 4
    sequence = "".join(draw.choice(list("ACGU"), 20))
    for count in (1, 3, 6, 12):
        selected = sorted(draw.choice(np.arange(1, 18), count, replace=False).tolist())
        visible = {token + j for token in range(17) if token + 1 not in selected for j in range(k)}
        expected = [[token - 1 + j not in visible for j in range(k)] for token in selected]
        assert read("utrbert_4mer", [sequence], selected).unknown.tolist() == expected


def test_letters_outside_the_alphabet_and_special_tokens_are_no_letters():
    assert read("ernie_rna", ["ACNGU"], [0, 1, 3, 6]).usable.tolist() == [False, True, False, False]  # cls, A, N, eos
