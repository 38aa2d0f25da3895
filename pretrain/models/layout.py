"""Sequences of a packed batch grouped by length, so that attention runs on rectangular blocks.

Inside the encoder tokens are ordered by group: a group of equal lengths is then a plain view, and only the ids at
the entrance and the result at the exit are permuted. Whatever attention keeps per pair of tokens is packed the same
way: group after group, (B, H, T, T) each, in one flat tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class LengthGroup:
    """B sequences that attention handles as one block of width T.

    start, stop: the group's tokens in layout order. first_pair: pairs of tokens (B*T*T) in the groups before. index:
    int64 (B*T,) tokens of the block counted from ``start``, or None where all B lengths equal T. real: int64
    (stop-start,) cells of the block that hold a token. key_mask: bool (B, 1, 1, T), True where a key is real.
    lengths: (B,).
    """

    start: int
    stop: int
    first_pair: int
    width: int
    lengths: tuple[int, ...]
    index: Tensor | None
    real: Tensor | None
    key_mask: Tensor | None

    @property
    def pairs(self) -> int:
        """B*T*T."""
        return len(self.lengths) * self.width**2

    def block(self, rows: Tensor) -> Tensor:
        """The group's tokens (stop-start, ...) -> (B, T, ...)."""
        if self.index is not None:
            rows = rows.index_select(0, self.index)
        return rows.reshape(len(self.lengths), self.width, *rows.shape[1:])

    def tokens(self, block: Tensor) -> Tensor:
        """(B, T, ...) -> (stop-start, ...), the real tokens only."""
        rows = block.reshape(-1, *block.shape[2:])
        return rows if self.real is None else rows.index_select(0, self.real)


@dataclass(frozen=True)
class Layout:
    """Order of tokens inside the encoder and the groups in that order.

    order: int64 (N,), batch token at each layout place; place: its inverse. None where both orders agree.
    sequences: for each sequence in layout order its number in the batch. sequence_of: int64 (N,), the layout sequence
    of each layout token. cu_seqlens: int32 (S+1,) in layout order.
    """

    order: Tensor | None
    place: Tensor | None
    sequences: tuple[int, ...]
    sequence_of: Tensor
    cu_seqlens: Tensor
    groups: tuple[LengthGroup, ...]

    @classmethod
    def build(
        cls, lengths: list[int], *, padding: float, device: torch.device | str, pairs: int | None = None
    ) -> Layout:
        """Group by length.

        Args:
            padding: a group may take in shorter sequences while its padded share stays below this.
            pairs: groups of more than one sequence have at most this many pairs of tokens; None is no limit.
        """
        sizes = np.asarray(lengths, dtype=np.int64)
        by_length = np.argsort(sizes, kind="stable")
        groups: list[LengthGroup] = []
        start = first_pair = 0
        for members in _members(sizes[by_length].tolist(), padding, pairs):
            groups.append(_group(start, first_pair, members, device))
            start, first_pair = groups[-1].stop, first_pair + groups[-1].pairs
        starts = np.concatenate([[0], np.cumsum(sizes)])
        sorted_sizes = sizes[by_length]
        ends = np.concatenate([[0], np.cumsum(sorted_sizes)])
        order = np.repeat(starts[by_length] - ends[:-1], sorted_sizes) + np.arange(ends[-1])
        same = bool((by_length == np.arange(len(sizes))).all())
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return cls(
            order=None if same else torch.from_numpy(order).to(device),
            place=None if same else torch.from_numpy(place).to(device),
            sequences=tuple(by_length.tolist()),
            sequence_of=torch.from_numpy(np.repeat(np.arange(len(sizes)), sorted_sizes)).to(device),
            cu_seqlens=torch.from_numpy(ends.astype(np.int32)).to(device),
            groups=tuple(groups),
        )

    @property
    def longest(self) -> int:
        """Length of the longest sequence."""
        return max(group.width for group in self.groups)

    @property
    def pairs(self) -> int:
        """Pairs of tokens in all groups."""
        return self.groups[-1].first_pair + self.groups[-1].pairs

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, ...) in layout order -> per group (stop-start, ...)."""
        return x.split([group.stop - group.start for group in self.groups])

    def split_pairs(self, packed: Tensor, heads: int) -> list[Tensor]:
        """Flat (heads * pairs,) -> per group a view (B, H, T, T)."""
        blocks = packed.split([heads * group.pairs for group in self.groups])
        return [
            block.view(len(group.lengths), heads, group.width, group.width)
            for block, group in zip(blocks, self.groups, strict=True)
        ]

    def enter(self, x: Tensor) -> Tensor:
        """Batch order -> layout order, along the first dimension."""
        return x if self.order is None else x.index_select(0, self.order)

    def leave(self, x: Tensor) -> Tensor:
        """Layout order -> batch order, along the first dimension."""
        return x if self.place is None else x.index_select(0, self.place)


def _members(sorted_lengths: list[int], padding: float, pairs: int | None) -> list[list[int]]:
    """Cut ascending lengths into runs whose padded area is at most (1 + padding) times the real one."""
    runs: list[list[int]] = []
    for length in sorted_lengths:
        area = (len(runs[-1]) + 1) * length if runs else 0
        fits = pairs is None or area * length <= pairs
        if runs and fits and area <= (1 + padding) * (sum(runs[-1]) + length):
            runs[-1].append(length)
        else:
            runs.append([length])
    return runs


def _group(start: int, first_pair: int, lengths: list[int], device: torch.device | str) -> LengthGroup:
    width, total = lengths[-1], sum(lengths)
    if lengths[0] == width:
        return LengthGroup(start, start + total, first_pair, width, tuple(lengths), None, None, None)
    sizes = np.asarray(lengths)
    is_real = np.arange(width)[None, :] < sizes[:, None]  # (B, T)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    index = np.where(is_real, first[:, None] + np.arange(width)[None, :], 0)  # a padded cell repeats a real token
    return LengthGroup(
        start=start,
        stop=start + total,
        first_pair=first_pair,
        width=width,
        lengths=tuple(lengths),
        index=torch.from_numpy(index.reshape(-1)).to(device),
        real=torch.from_numpy(np.flatnonzero(is_real)).to(device),
        key_mask=torch.from_numpy(is_real).to(device)[:, None, None, :],
    )
