"""Micro-batches made by hand, as baselines read them."""

from collections.abc import Sequence

import numpy as np
import torch

from data_prep.corpus import Ragged
from pretrain.batches.collate import MicroBatch
from pretrain.config.sections import CausalLm, Mlm
from pretrain.models import PackedBatch
from pretrain.objectives import OBJECTIVES, Objective, ObjectiveContext
from pretrain.tokenizers import Tokenizer, build_tokenizer


def context_of(tokenizer: Tokenizer) -> ObjectiveContext:
    return ObjectiveContext(8, mask_id=tokenizer.mask_id, vocabulary=tuple(tokenizer.vocab))


def objectives_of(tokenizer: Tokenizer) -> dict[str, Objective]:
    return {"mlm": OBJECTIVES["mlm"](Mlm(), context_of(tokenizer))}


def causal_objectives(tokenizer: Tokenizer) -> dict[str, Objective]:
    return {"causal_lm": OBJECTIVES["causal_lm"](CausalLm(), context_of(tokenizer))}


def micro_batch(
    tokenizer: Tokenizer | str,
    sequences: Sequence[str],
    selected: Sequence[int],
    shown: dict[int, str] | None = None,
    start: int = 0,
) -> MicroBatch:
    """Sequences with the given flat token positions selected: hidden, but for those that show a token."""
    tokenizer = build_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
    tokens = tokenizer.encode(Ragged.from_rows([row.encode() for row in sequences]))
    index = np.array(selected, np.int64)
    inputs = tokens.ids.copy()
    inputs[index] = tokenizer.mask_id
    for position, token in (shown or {}).items():
        inputs[position] = tokenizer.vocab.index(token)
    group = (inputs[index] != tokenizer.mask_id).astype(np.int64)
    return MicroBatch(
        PackedBatch.pack(torch.from_numpy(inputs), tokens.lengths.tolist()),
        {
            "mlm": {
                "index": torch.from_numpy(index),
                "target": torch.from_numpy(tokens.ids[index].astype(np.int64)),
                "group": torch.from_numpy(group),
            }
        },
        {"mlm": len(index)}, {"mlm": float(len(index))}, {"mlm": np.bincount(group, minlength=2).astype(float)},
        0, 0, start,
    )  # fmt: skip


def masked_batches(
    tokenizer: Tokenizer, rows: Sequence[str], seed: int, each: int = 20, rate: float = 0.15, keep: float = 0.1
) -> list[MicroBatch]:
    """Letters hidden one by one at a rate; of the selected a share ``keep`` is kept, as much is random."""
    draw = np.random.default_rng(seed)
    batches = []
    for start in range(0, len(rows), each):
        part = rows[start : start + each]
        offsets = np.cumsum([0, *(len(row) + 2 for row in part)])
        selected, shown = [], {}
        for offset, row in zip(offsets, part, strict=False):
            for place in np.flatnonzero(draw.random(len(row)) < rate):
                position, kind = int(offset + 1 + place), draw.random()
                selected.append(position)
                if kind < keep:
                    shown[position] = tokenizer.vocab[tokenizer.nucleotide_ids["ACGU".index(row[place])]]
                elif kind < 2 * keep:
                    shown[position] = tokenizer.vocab[tokenizer.nucleotide_ids[draw.integers(4)]]
        if selected:
            batches.append(micro_batch(tokenizer, part, selected, shown, start))
    return batches


def random_rows(count: int, length: int, seed: int, shares: Sequence[float] = (0.25, 0.25, 0.25, 0.25)) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list("ACGU"), length, p=shares)) for _ in range(count)]
