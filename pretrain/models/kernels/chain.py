"""Scores that are not stored but can be had again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chain:
    """Scores S = base + sum of q k^T / sqrt(h) over ``terms``, added in this order.

    base: flat scores; or, where ``classes`` are given, a table (H, C, C) that gives every pair of tokens the value of
    their classes; None is zero. classes: uint8 (N,). terms: queries and keys (N, H, h) of consecutive layers. dtype:
    what scores are kept in; None where they are not handed on.
    """

    base: Tensor | None = None
    classes: Tensor | None = None
    terms: tuple[tuple[Tensor, Tensor], ...] = ()
    dtype: torch.dtype | None = None

    def tensors(self) -> list[Tensor | None]:
        """What autograd has to save."""
        return [self.base, self.classes, *(tensor for term in self.terms for tensor in term)]

    def with_tensors(self, tensors: list[Tensor | None]) -> Chain:
        """The chain of these tensors, in the order of ``tensors``."""
        rest = [tensor for tensor in tensors[2:] if tensor is not None]
        return replace(self, base=tensors[0], classes=tensors[1], terms=tuple(zip(rest[::2], rest[1::2], strict=True)))

    def forget(self) -> Chain:
        """Without its tensors."""
        return Chain(dtype=self.dtype)


def scores_dtype(previous: Tensor | None, q: Tensor) -> torch.dtype:
    """What scores are computed in: what they came in, else float32 (or wider)."""
    return torch.promote_types(q.dtype, torch.float32) if previous is None else previous.dtype
