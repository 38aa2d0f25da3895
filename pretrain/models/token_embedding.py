"""From packed token ids, and mixtures of bases, to first hidden states: a trained table, or ones and zeros."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol

import torch
from torch import Tensor, nn

from pretrain.errors import PolymeraseError
from pretrain.models.batch import PackedBatch
from pretrain.models.layout import Layout


class HasTable(Protocol):
    """The settings a table is made from. base_token_ids: the rows that a mixture of bases mixes, None where single
    bases have no token."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def base_token_ids(self) -> tuple[int, int, int, int] | None: ...


class TokenEmbedding(nn.Module):
    """One row of a trained table per token. Parameters: word.weight (V, D).

    Args:
        padding_idx: the row that tokens which read it do not train; None trains every row.
    """

    def __init__(self, settings: HasTable, padding_idx: int | None) -> None:
        super().__init__()
        self.base_token_ids = settings.base_token_ids
        self.word = nn.Embedding(settings.vocab_size, settings.hidden_size, padding_idx=padding_idx)

    def forward(self, batch: PackedBatch, layout: Layout) -> Tensor:
        """Packed batch -> (N, D) in layout order."""
        return token_rows(batch, layout, self.word, self.base_token_ids)


class OneHotEmbedding(nn.Module):
    """A one at the place of the token's id, zeros up to the width D. Nothing is trained."""

    def __init__(self, settings: HasTable) -> None:
        super().__init__()
        self.width, self.base_token_ids = settings.hidden_size, settings.base_token_ids

    def forward(self, batch: PackedBatch, layout: Layout) -> Tensor:
        """Packed batch -> float32 (N, D) in layout order."""

        def one_hot(ids: Tensor) -> Tensor:
            return torch.zeros(len(ids), self.width, device=ids.device).scatter_(1, ids[:, None], 1.0)

        return token_rows(batch, layout, one_hot, self.base_token_ids)


def token_rows(
    batch: PackedBatch, layout: Layout, table: Callable[[Tensor], Tensor], base_token_ids: tuple[int, ...] | None
) -> Tensor:
    """Rows (N, D) of the tokens in layout order; soft tokens take their frequencies times the rows of A, C, G, U/T.

    Args:
        table: ids -> rows; called, so that engines which gather parameters per module (ZeRO 3) see it.
    """
    x = table(layout.to_layout_order(batch.input_ids))
    soft = batch.soft_rows
    if soft is None:
        return x
    if base_token_ids is None:
        raise PolymeraseError("this model has no token for each single base, so it cannot read allele frequencies")
    bases = table(_on_device(base_token_ids, x.device)).to(torch.float32)  # (4, D)
    positions = soft.positions if layout.inverse_order is None else layout.inverse_order[soft.positions]
    return x.index_copy(0, positions, (soft.freq @ bases).to(x.dtype))


@cache
def _on_device(ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Sent once, because the host waits for what it sends from ordinary memory."""
    return torch.tensor(ids, device=device)
