"""Sequences of a packed batch grouped by length, so that attention runs on rectangular blocks.

Inside the encoder tokens are ordered by group: a group of equal lengths is then a plain view, and only the ids on
entry and the result on exit are permuted. What attention keeps per pair of tokens is packed the same way: group after
group, (B, H, T, T) each, in one flat tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pretrain.models.fixed_shape import FixedShape
from pretrain.models.layout_plan import LayoutPlan, end_to_end, plan_layout, tile_tables


@dataclass(frozen=True)
class LengthGroup:
    """B sequences that attention handles as one block of width T.

    Attributes:
        start, stop: the group's tokens in layout order.
        first_pair: pairs of tokens (B*T*T) in the groups before.
        index: int64 (B*T,), tokens of the block counted from ``start``; None if all B lengths equal T.
        real: int64 (stop-start,), cells of the block that hold a token.
        sizes: int64 (B,), the lengths on the device, likewise.
        lengths: (B,).
    """

    start: int
    stop: int
    first_pair: int
    width: int
    lengths: tuple[int, ...]
    index: Tensor | None
    real: Tensor | None
    sizes: Tensor | None

    @cached_property
    def key_mask(self) -> Tensor | None:
        """Bool (B, 1, 1, T), True where a key is a real token; None if all are. Programs with tables need none."""
        if self.sizes is None:
            return None
        return (torch.arange(self.width, device=self.sizes.device) < self.sizes[:, None])[:, None, None, :]

    @property
    def pairs(self) -> int:
        """Cells of the group's attention matrices, B*T*T."""
        return len(self.lengths) * self.width**2

    def to_blocks(self, rows: Tensor, pad: float | None = None) -> Tensor:
        """Arrange the group's tokens (stop-start, ...) as (B, T, ...).

        Args:
            rows: the group's tokens in layout order.
            pad: value of padded cells, for convolutions and FFTs. By default they repeat a real token, which costs
                nothing, for attention that masks them anyway.
        """
        if self.index is not None:
            rows = rows.index_select(0, self.index)
        block = rows.reshape(len(self.lengths), self.width, *rows.shape[1:])
        if pad is None or self.key_mask is None:
            return block
        real = self.key_mask.view(*block.shape[:2], *(1,) * (block.dim() - 2))
        return block.masked_fill(~real, pad)

    def from_blocks(self, block: Tensor) -> Tensor:
        """Take the real tokens out of (B, T, ...) -> (stop-start, ...)."""
        rows = block.reshape(-1, *block.shape[2:])
        return rows if self.real is None else rows.index_select(0, self.real)


@dataclass(frozen=True)
class Layout:
    """Order of tokens inside the encoder, and the groups in that order.

    Attributes:
        order: int64 (N,), index in the batch of each token in layout order; None if both orders agree.
        inverse_order: its inverse.
        sequences: index in the batch of each sequence in layout order.
        sequence_of: int64 (N,), the sequence in layout order of each token in layout order.
        cu_seqlens: int32 (S+1,) in layout order; with a fixed shape it ends with empty sequences.
        fixed: the shape of every micro-batch, if they have one.
    """

    order: Tensor | None
    inverse_order: Tensor | None
    sequences: tuple[int, ...]
    sequence_of: Tensor
    cu_seqlens: Tensor
    groups: tuple[LengthGroup, ...]
    fixed: FixedShape | None = None
    _tiles: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)
    masks: dict[Any, Any] = field(default_factory=dict, repr=False)  # that a back-end made for the layers of one pass

    @classmethod
    def build(
        cls,
        lengths: list[int],
        *,
        padding: float,
        device: torch.device | str,
        pairs: int | None = None,
        fixed: FixedShape | None = None,
        pads: int = 0,
    ) -> Layout:
        """Plan a layout, see ``plan_layout``, and send it to a device."""
        plan = plan_layout(lengths, padding=padding, pairs=pairs, fixed=fixed, pads=pads)
        return cls.of(plan.map(lambda numbers: _sent(numbers, device)))

    @classmethod
    def of(cls, plan: LayoutPlan) -> Layout:
        """Make the layout of a plan whose numbers lie on the device."""
        parts = iter(plan.numbers.split(plan.sizes))
        order, inverse_order, sequence_of, ends = (next(parts) for _ in range(4))
        groups: list[LengthGroup] = []
        start = first_pair = 0
        for run in plan.runs:
            index, real, sizes = (next(parts) if run[0] != run[-1] else None for _ in range(3))
            groups.append(LengthGroup(start, start + sum(run), first_pair, run[-1], run, index, real, sizes))
            start, first_pair = groups[-1].stop, first_pair + groups[-1].pairs
        same = plan.fixed is None and plan.sequences == tuple(range(len(plan.sequences)))
        tiles = {rows: (next(parts).view(2, -1), next(parts).view(4, -1)) for rows in plan.tile_rows}
        return cls(
            order=None if same else order,
            inverse_order=None if same else inverse_order,
            sequences=plan.sequences,
            sequence_of=sequence_of,
            cu_seqlens=ends.to(torch.int32),
            groups=tuple(groups),
            fixed=plan.fixed,
            _tiles=tiles,
        )

    def tiles(self, rows: int) -> tuple[Tensor, Tensor]:
        """Return the tables of ``tile_tables``, int64 (2, tiles) and (4, S); made once, if not in the plan."""
        if rows not in self._tiles:
            arrays = tile_tables([group.lengths for group in self.groups], rows, self.fixed)
            numbers = _sent(end_to_end(arrays), self.sequence_of.device)
            tiles, spans = numbers.split([len(array) for array in arrays])
            self._tiles[rows] = tiles.view(2, -1), spans.view(4, -1)
        return self._tiles[rows]

    @property
    def longest(self) -> int:
        """Length of the longest sequence, or of the longest that may come where shapes are fixed."""
        return self.fixed.longest if self.fixed else max(group.width for group in self.groups)

    @property
    def pairs(self) -> int:
        """Pairs of tokens in all groups."""
        return self.groups[-1].first_pair + self.groups[-1].pairs

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Split (N, ...) in layout order into one (stop-start, ...) per group."""
        return x.split([group.stop - group.start for group in self.groups])

    def split_pairs(self, packed: Tensor, heads: int) -> list[Tensor]:
        """View flat (heads * pairs,) as one (B, H, T, T) per group."""
        blocks = packed.split([heads * group.pairs for group in self.groups])
        return [
            block.view(len(group.lengths), heads, group.width, group.width)
            for block, group in zip(blocks, self.groups, strict=True)
        ]

    def to_layout_order(self, x: Tensor) -> Tensor:
        """Permute the first dimension from batch order to layout order."""
        return x if self.order is None else x.index_select(0, self.order)

    def to_batch_order(self, x: Tensor) -> Tensor:
        """Permute the first dimension from layout order to batch order."""
        return x if self.inverse_order is None else x.index_select(0, self.inverse_order)


def _sent(numbers: Tensor, device: torch.device | str) -> Tensor:
    """Copy numbers to a device without making the host wait."""
    if torch.device(device).type == "cuda":
        numbers = numbers.pin_memory().to(device, non_blocking=True)
    return numbers
