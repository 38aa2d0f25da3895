"""The numbers of a layout, worked out on the host: in a loader, before a step needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from data_prep.corpus.ragged import offsets_of
from pretrain.models.fixed_shape import FixedShape

# Tokens on each side of a tile of the attention programs, by what they read. It stands here because the loader makes
# their tables.
TILES = {torch.float32: 32, torch.bfloat16: 64, torch.float16: 64}
ROW_STEP = 16  # of scores: their rows begin at multiples of so many values, and are read and written by the 16 bytes


@dataclass(frozen=True)
class LayoutPlan:
    """What ``Layout.of`` is made from.

    Attributes:
        numbers: int64, all index arrays end to end; the one thing that goes to a device.
        sizes: of each array: order, inverse order, sequence of each token, ends of sequences; of each group of
            different lengths index, real cells and lengths; of each kind of tile its tiles and its spans.
        sequences: index in the batch of each sequence in layout order.
        runs: lengths of the sequences of each group.
        tile_rows: kinds of tiles that are in it, see ``tile_tables``.
        fixed: the shape of every micro-batch, if they have one.
    """

    numbers: Tensor
    sizes: tuple[int, ...]
    sequences: tuple[int, ...]
    runs: tuple[tuple[int, ...], ...]
    tile_rows: tuple[int, ...] = ()
    fixed: FixedShape | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> LayoutPlan:
        """Change the numbers, for example where they lie."""
        return replace(self, numbers=change(self.numbers))


def plan_layout(
    lengths: Sequence[int],
    *,
    padding: float,
    pairs: int | None = None,
    tile_rows: tuple[int, ...] = (),
    fixed: FixedShape | None = None,
    pads: int = 0,
) -> LayoutPlan:
    """Group sequences by length.

    Args:
        lengths: tokens of each of the S sequences.
        padding: a group takes in shorter sequences while its padded share stays below this.
        pairs: limit of pairs of tokens in a group of more than one sequence; None for no limit.
        tile_rows: kinds of tiles that will be asked for.
        fixed: the shape of every micro-batch, if they have one.
        pads: how many of the sequences, from the last, are its padding. They stay last, in groups of their own, so that
            all else, masks of dropout too, is as it would be without them.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    real = len(sizes) - pads
    by_length = np.concatenate([np.argsort(sizes[:real], kind="stable"), np.arange(real, len(sizes))])
    sorted_sizes = sizes[by_length]
    starts, ends = offsets_of(sizes), offsets_of(sorted_sizes)
    order = np.repeat(starts[by_length] - ends[:-1], sorted_sizes) + np.arange(ends[-1])
    inverse_order = np.empty_like(order)
    inverse_order[order] = np.arange(len(order))
    places = ends if fixed is None else np.pad(ends, (0, fixed.sequences - len(sizes)), mode="edge")
    arrays = [order, inverse_order, np.repeat(np.arange(len(sizes)), sorted_sizes), places]
    of_all = sorted_sizes.tolist()
    runs = [*_members(of_all[:real], padding, pairs), *_members(of_all[real:], padding, pairs)]
    for run in runs:
        if run[0] != run[-1]:
            arrays += _cells(run)
    for rows in tile_rows:
        arrays += tile_tables(runs, rows, fixed)
    return LayoutPlan(
        end_to_end(arrays),
        tuple(len(array) for array in arrays),
        tuple(by_length.tolist()),
        tuple(tuple(run) for run in runs),
        tile_rows,
        fixed,
    )


def tile_tables(runs: Sequence[Sequence[int]], rows: int, fixed: FixedShape | None = None) -> list[np.ndarray]:
    """Return tables for kernels that work on tiles of at most ``rows`` tokens of one sequence, flat.

    With a fixed shape they have its size: sequences of no token, and tiles that lie in the last of those.

    Returns:
        int64 (2 * tiles,): sequence in layout order, first row; the longest sequences first, as they take longest.
        int64 (4 * S,): first token, length, values from row to row of its scores, and of one head's scores those before
        the sequence (scores of head x begin at H times that + x length width).
    """
    lengths = np.array([length for run in runs for length in run])
    if fixed is not None:
        lengths = np.pad(lengths, (0, fixed.sequences - len(lengths)))
    width = -(-lengths // ROW_STEP) * ROW_STEP
    spans = np.concatenate([offsets_of(lengths)[:-1], lengths, width, offsets_of(lengths * width)[:-1]])
    count = -(-lengths // rows)
    sequence = np.repeat(np.arange(len(lengths)), count)
    first = (np.arange(len(sequence)) - np.repeat(offsets_of(count)[:-1], count)) * rows
    idle = 0 if fixed is None else fixed.tiles(rows) - len(sequence)
    tiles = [np.pad(sequence[::-1], (0, idle), constant_values=len(lengths) - 1), np.pad(first[::-1], (0, idle))]
    return [np.concatenate(tiles), spans]


def end_to_end(arrays: Sequence[np.ndarray]) -> Tensor:
    """Arrays of whole numbers as one int64 tensor."""
    return torch.from_numpy(np.concatenate(arrays).astype(np.int64, copy=False))


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


def _cells(lengths: list[int]) -> list[np.ndarray]:
    """Of a run of different lengths: index and real of its group, and the lengths."""
    sizes, columns = np.asarray(lengths), np.arange(lengths[-1])
    is_real = columns[None, :] < sizes[:, None]  # (B, T)
    index = np.where(is_real, offsets_of(sizes)[:-1, None] + columns[None, :], 0)  # padded cells repeat a real token
    return [index.reshape(-1), np.flatnonzero(is_real), sizes]
