"""From our packed micro-batches to padded batches of transformers' classes, with the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.batches.collate import MicroBatch
from pretrain.objectives import OBJECTIVES
from pretrain.objectives.base import IGNORE


@dataclass(frozen=True)
class Row:
    """One sample.

    Attributes:
        ids: int64 (T,) after corruption.
        labels: int64 (T,), IGNORE where nothing is predicted.
        columns: int64 (R,), tokens that are allele frequencies.
        freq: float32 (R, 4), their frequencies.
    """

    ids: Tensor
    labels: Tensor
    columns: Tensor
    freq: Tensor


def rows_of(batch: MicroBatch) -> list[Row]:
    """Return the samples of a micro-batch with the hidden tokens that objectives predict."""
    packed = batch.packed
    labels = torch.full_like(packed.input_ids, IGNORE)
    for name, count in batch.counts.items():
        if count and OBJECTIVES[name].scope == "hidden_tokens":
            labels[batch.targets[name]["index"]] = batch.targets[name]["target"]
    soft = packed.soft_rows
    positions = torch.zeros(0, dtype=torch.int64) if soft is None else soft.positions
    freq = torch.zeros(0, 4) if soft is None else soft.freq
    rows = []
    for start, stop in pairwise(packed.cu_seqlens.tolist()):
        here = (positions >= start) & (positions < stop)
        rows.append(Row(packed.input_ids[start:stop], labels[start:stop], positions[here] - start, freq[here]))
    return rows


def padded(
    rows: Sequence[Row], pad_id: int, vocab_size: int, base_ids: Sequence[int] | None, pairing: bool
) -> dict[str, Tensor]:
    """Build the inputs of a masked-LM class, padded to the longest row.

    Ids (B, T), or rows of probabilities (B, T, V) if there are allele frequencies; ``selected_positions`` for pairing
    models.
    """
    longest = max(len(row.ids) for row in rows)
    ids = torch.stack([F.pad(row.ids, (0, longest - len(row.ids)), value=pad_id) for row in rows])
    labels = torch.stack([F.pad(row.labels, (0, longest - len(row.ids)), value=IGNORE) for row in rows])
    lengths = torch.tensor([len(row.ids) for row in rows])
    real = torch.arange(longest)[None, :] < lengths[:, None]
    inputs: dict[str, Tensor] = {"input_ids": ids, "attention_mask": real.long(), "labels": labels}
    if any(len(row.columns) for row in rows):
        inputs["input_ids"] = F.one_hot(ids, vocab_size).float()
        for number, row in enumerate(rows):
            inputs["input_ids"][number, row.columns] = 0.0
            inputs["input_ids"][number, row.columns[:, None], torch.tensor(base_ids)] = row.freq
    if pairing:
        inputs["selected_positions"] = labels != IGNORE
    return inputs
