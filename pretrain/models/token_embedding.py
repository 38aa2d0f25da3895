"""First hidden states of packed token ids and mixtures of bases: from a trained table, or one-hot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from pretrain.errors import PolymeraseError
from pretrain.models.batch import PackedBatch
from pretrain.models.constants import constant
from pretrain.models.layout import Layout


class HasTable(Protocol):
    """The settings that an embedding is built from."""

    @property
    def vocab_size(self) -> int:
        """Rows V of the table."""

    @property
    def hidden_size(self) -> int:
        """Width D of a row."""

    @property
    def base_token_ids(self) -> tuple[int, int, int, int] | None:
        """Rows of A, C, G, U/T, which a mixture of bases mixes; None if single bases have no token."""


class TokenEmbedding(nn.Module):
    """One row of a trained table per token. Parameters: word.weight (V, D).

    Args:
        padding_idx: id whose row receives no gradient; None trains every row.
    """

    def __init__(self, settings: HasTable, padding_idx: int | None) -> None:
        super().__init__()
        self.base_token_ids = settings.base_token_ids
        self.word = nn.Embedding(settings.vocab_size, settings.hidden_size, padding_idx=padding_idx)

    def forward(self, batch: PackedBatch, layout: Layout) -> Tensor:
        """Embed a packed batch -> (N, D) in layout order."""
        return token_rows(batch, layout, self.word, self.base_token_ids)


class OneHotEmbedding(nn.Module):
    """A one at the index of the token's id, zeros up to the width D. Nothing is trained."""

    def __init__(self, settings: HasTable) -> None:
        super().__init__()
        self.width, self.base_token_ids = settings.hidden_size, settings.base_token_ids

    def forward(self, batch: PackedBatch, layout: Layout) -> Tensor:
        """Embed a packed batch -> float32 (N, D) in layout order."""

        def one_hot(ids: Tensor) -> Tensor:
            return torch.zeros(len(ids), self.width, device=ids.device).scatter_(1, ids[:, None], 1.0)

        return token_rows(batch, layout, one_hot, self.base_token_ids)


def token_rows(
    batch: PackedBatch, layout: Layout, table: Callable[[Tensor], Tensor], base_token_ids: tuple[int, ...] | None
) -> Tensor:
    """Return the rows (N, D) of the tokens in layout order; a soft token mixes the rows of A, C, G, U/T by frequency.

    Args:
        batch: the tokens.
        layout: the order of the result.
        table: ids -> rows. It is called, so that engines that gather parameters per module (ZeRO 3) see it.
        base_token_ids: ids of A, C, G, U/T.

    Raises:
        PolymeraseError: the batch has soft tokens and the model has no token for each single base.
    """
    x = table(layout.to_layout_order(batch.input_ids))
    soft = batch.soft_rows
    if soft is None:
        return x
    if base_token_ids is None:
        raise PolymeraseError("this model has no token for each single base, so it cannot read allele frequencies")
    bases = table(constant(base_token_ids, x.device)).to(torch.float32)  # (4, D)
    positions = soft.positions if layout.inverse_order is None else layout.inverse_order[soft.positions]
    return x.index_copy(0, positions, (soft.freq @ bases).to(x.dtype))
