"""Sequences of a packed batch grouped by length, so that attention runs on rectangular blocks.

Inside the encoder tokens are ordered by group: a group of equal lengths is then a plain view, and only the ids on
entry and the result on exit are permuted. What attention keeps per pair of tokens is packed the same way: group after
group, (B, H, T, T) each, in one flat tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from data_prep.corpus.ragged import offsets_of


@dataclass(frozen=True)
class LengthGroup:
    """B sequences that attention handles as one block of width T.

    Attributes:
        start, stop: the group's tokens in layout order.
        first_pair: pairs of tokens (B*T*T) in the groups before.
        index: int64 (B*T,), tokens of the block counted from ``start``; None if all B lengths equal T.
        real: int64 (stop-start,), cells of the block that hold a token.
        key_mask: bool (B, 1, 1, T), True where a key is a real token.
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
        cu_seqlens: int32 (S+1,) in layout order.
    """

    order: Tensor | None
    inverse_order: Tensor | None
    sequences: tuple[int, ...]
    sequence_of: Tensor
    cu_seqlens: Tensor
    groups: tuple[LengthGroup, ...]
    _tiles: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @classmethod
    def build(
        cls, lengths: list[int], *, padding: float, device: torch.device | str, pairs: int | None = None
    ) -> Layout:
        """Group sequences by length.

        Args:
            lengths: tokens of each of the S sequences.
            padding: a group takes in shorter sequences while its padded share stays below this.
            device: of the index tensors.
            pairs: limit of pairs of tokens in a group of more than one sequence; None for no limit.
        """
        sizes = np.asarray(lengths, dtype=np.int64)
        by_length = np.argsort(sizes, kind="stable")
        sorted_sizes = sizes[by_length]
        starts, ends = offsets_of(sizes), offsets_of(sorted_sizes)
        order = np.repeat(starts[by_length] - ends[:-1], sorted_sizes) + np.arange(ends[-1])
        inverse_order = np.empty_like(order)
        inverse_order[order] = np.arange(len(order))
        upload = _Upload()
        general = [upload.add(x) for x in (order, inverse_order, np.repeat(np.arange(len(sizes)), sorted_sizes), ends)]
        runs = _members(sorted_sizes.tolist(), padding, pairs)
        slots = [None if run[0] == run[-1] else [upload.add(x) for x in _cells(run)] for run in runs]
        sent = upload.send(device)
        groups: list[LengthGroup] = []
        start = first_pair = 0
        for run, slot in zip(runs, slots, strict=True):
            index, real, lengths_of_run = (sent[n] for n in slot) if slot else (None, None, None)
            mask = None
            if lengths_of_run is not None:
                mask = (torch.arange(run[-1], device=device) < lengths_of_run[:, None])[:, None, None, :]
            groups.append(LengthGroup(start, start + sum(run), first_pair, run[-1], tuple(run), index, real, mask))
            start, first_pair = groups[-1].stop, first_pair + groups[-1].pairs
        same = bool((by_length == np.arange(len(sizes))).all())
        return cls(
            order=None if same else sent[general[0]],
            inverse_order=None if same else sent[general[1]],
            sequences=tuple(by_length.tolist()),
            sequence_of=sent[general[2]],
            cu_seqlens=sent[general[3]].to(torch.int32),
            groups=tuple(groups),
        )

    def tiles(self, rows: int) -> tuple[Tensor, Tensor]:
        """Return tables for kernels that work on tiles of at most ``rows`` tokens of one sequence; made once.

        Returns:
            int64 (2, tiles): sequence in layout order, first row. int64 (4, S): first token, length, width of its
            group, and pairs of tokens before the sequence (scores of head x begin at H times that + x width^2).
        """
        if rows not in self._tiles:
            lengths = np.array([length for group in self.groups for length in group.lengths])
            width = np.repeat([group.width for group in self.groups], [len(group.lengths) for group in self.groups])
            spans = np.stack([offsets_of(lengths)[:-1], lengths, width, offsets_of(width**2)[:-1]])
            count = -(-lengths // rows)
            sequence = np.repeat(np.arange(len(lengths)), count)
            first = (np.arange(len(sequence)) - np.repeat(offsets_of(count)[:-1], count)) * rows
            upload = _Upload()
            upload.add(np.concatenate([sequence, first]))
            upload.add(spans.reshape(-1))
            tiles, table = upload.send(self.sequence_of.device)
            self._tiles[rows] = tiles.view(2, -1), table.view(4, -1)
        return self._tiles[rows]

    @property
    def longest(self) -> int:
        """Length of the longest sequence."""
        return max(group.width for group in self.groups)

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


def _cells(lengths: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index and real cells of a group of different lengths, and the lengths."""
    sizes, columns = np.asarray(lengths), np.arange(lengths[-1])
    is_real = columns[None, :] < sizes[:, None]  # (B, T)
    index = np.where(is_real, offsets_of(sizes)[:-1, None] + columns[None, :], 0)  # padded cells repeat a real token
    return index.reshape(-1), np.flatnonzero(is_real), sizes


class _Upload:
    """Arrays of int64 that reach the device in one copy, without making the host wait."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []

    def add(self, array: np.ndarray) -> int:
        """Queue an array; returns its index among those ``send`` returns."""
        self._arrays.append(array)
        return len(self._arrays) - 1

    def send(self, device: torch.device | str) -> list[Tensor]:
        """Copy all arrays to the device and return them as views of one tensor."""
        flat = torch.from_numpy(np.concatenate(self._arrays).astype(np.int64, copy=False))
        if torch.device(device).type == "cuda":
            flat = flat.pin_memory().to(device, non_blocking=True)
        return list(flat.split([len(array) for array in self._arrays]))
