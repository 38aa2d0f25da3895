"""Conversion of padded batches, as Hugging Face models and goldens have them, to packed ones and back."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain.models.batch import PackedBatch, SoftRows
from pretrain.models.entry import SideInput


@dataclass(frozen=True)
class Unpadded:
    """A packed batch and its place in the padded one: ``real`` bool (B, T) is False at padding."""

    batch: PackedBatch
    real: Tensor

    def pick(self, padded: Tensor) -> Tensor:
        """Take the real tokens out of (B, T, ...) -> (N, ...)."""
        return padded[self.real]


def unpad(ids: Tensor, real: Tensor, side_inputs: Mapping[str, SideInput] | None = None) -> Unpadded:
    """Pack padded ids. Positions count real tokens only, also where padding stands inside a row.

    Args:
        ids: (B, T).
        real: bool (B, T), False at padding.
        side_inputs: of the model that reads the batch (``side_inputs_of``), computed from the ids as they are.
    """
    flat = ids[real]
    side = {name: torch.from_numpy(fill(flat.numpy(), None)) for name, fill in (side_inputs or {}).items()}
    return Unpadded(PackedBatch.pack(flat, real.sum(1).tolist(), side=side), real)


def unpad_rows(rows: Tensor, real: Tensor, base_token_ids: tuple[int, int, int, int]) -> Unpadded:
    """Pack probability rows (B, T, V): rows with one entry become its id, the others soft rows over A, C, G, U/T."""
    flat = rows[real]
    positions = ((flat != 0).sum(1) > 1).nonzero()[:, 0]
    soft = SoftRows(positions, flat[positions][:, list(base_token_ids)])
    return Unpadded(PackedBatch.pack(flat.argmax(1), real.sum(1).tolist(), soft_rows=soft), real)
