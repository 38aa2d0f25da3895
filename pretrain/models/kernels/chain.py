"""Scores that are not stored but can be had again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chain:
    """Scores S = base + sum of q k^T / sqrt(h) over ``terms``, added in this order.

    base: flat scores, None is zero. terms: queries and keys (N, H, h) of consecutive layers.
    """

    base: Tensor | None
    terms: tuple[tuple[Tensor, Tensor], ...] = ()

    def tensors(self) -> list[Tensor | None]:
        """Base, then all queries and keys: what autograd has to save."""
        return [self.base, *(tensor for term in self.terms for tensor in term)]

    @classmethod
    def of(cls, tensors: list[Tensor | None]) -> Chain:
        """The reverse of ``tensors``."""
        rest = [tensor for tensor in tensors[1:] if tensor is not None]
        return cls(tensors[0], tuple(zip(rest[::2], rest[1::2], strict=True)))


def scores_dtype(previous: Tensor | None, q: Tensor) -> torch.dtype:
    """What scores are computed in: what they came in, else float32 (or wider)."""
    return torch.promote_types(q.dtype, torch.float32) if previous is None else previous.dtype
