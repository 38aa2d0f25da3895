"""Padded golden batches to packed ones and back."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pretrain.models import PackedBatch, SoftRows, pair_classes


@dataclass(frozen=True)
class Packed:
    """A packed batch and the places its tokens had in the padded one: real bool (B, T)."""

    batch: PackedBatch
    real: Tensor

    def pick(self, padded: Tensor) -> Tensor:
        """(B, T, ...) -> (N, ...), real tokens only."""
        return padded[self.real]


def pack(ids: Tensor, real: Tensor, *, pair_table: np.ndarray | None = None, selected: Tensor | None = None) -> Packed:
    """Drop padding. With a pair table, classes are those of ``ids``, selected positions (B, T) bool set apart."""
    flat = ids[real]
    classes = None
    if pair_table is not None:
        positions = None if selected is None else np.flatnonzero(selected[real].numpy())
        classes = torch.from_numpy(pair_classes(flat.numpy(), pair_table, positions))
    batch = PackedBatch.pack(flat, real.sum(1).tolist(), pair_class=classes)
    return Packed(batch, real)


def pack_rows(rows: Tensor, real: Tensor, bases: tuple[int, int, int, int]) -> Packed:
    """Probability rows (B, T, V): one-hot rows become ids, the others soft rows over the bases."""
    flat = rows[real]
    soft = (flat != 0).sum(1) > 1
    positions = soft.nonzero()[:, 0]
    batch = PackedBatch.pack(flat.argmax(1), real.sum(1).tolist())
    batch.soft_rows = SoftRows(positions, flat[positions][:, list(bases)])
    return Packed(batch, real)
