"""Cutting the stream into micro-batches.

A micro-batch is a run of consecutive stream positions, closed when the next sequence would exceed a bound. Step s takes
the next G micro-batches, whoever computes them: rank r of W takes numbers r, r + W, ... of each step. Everything
follows from the position in the stream, so a plan is resumed by a number and is the same on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LengthsAt = Callable[[np.ndarray], np.ndarray]  # stream positions (S,) -> tokens of each sample (S,)


class Span(NamedTuple):
    """Stream positions [start, stop) of one micro-batch."""

    start: int
    stop: int


@dataclass(frozen=True)
class Bounds:
    """Limits that close a micro-batch; None is no limit."""

    tokens: int | None = None
    sequences: int | None = None
    pair_cells: int | None = None


class Plan:
    """The micro-batches of each optimizer step.

    Args:
        lengths_at: token counts of the samples at given stream positions.
        bounds: size of one micro-batch.
        micro_batches: G, micro-batches per optimizer step over all ranks.
        end: stop at this stream position (evaluation); None for the endless training stream.
    """

    skipped_spans: dict[int, int]  # start -> end of stretches of the stream that are left out (steps that went wrong)

    def __init__(self, lengths_at: LengthsAt, bounds: Bounds, micro_batches: int, end: int | None = None):
        self.skipped_spans = {}
        self._lengths_at = lengths_at
        self._bounds = bounds
        self._end = end
        self.micro_batches = micro_batches

    def steps(self, position: int) -> Iterator[list[Span]]:
        """Yield the steps from a stream position on: G spans each (fewer, possibly none, only at ``end``)."""
        spans = self._spans(self._beyond(position))
        while True:
            step = [span for _, span in zip(range(self.micro_batches), spans, strict=False)]
            if not step:
                return
            yield step
            if step[-1].stop in self.skipped_spans:
                spans = self._spans(self._beyond(step[-1].stop))

    def _beyond(self, position: int) -> int:
        while position in self.skipped_spans:
            position = self.skipped_spans[position]
        return position

    def _spans(self, position: int) -> Iterator[Span]:
        """Consecutive spans from a stream position on."""
        ahead = 256  # positions looked at together; grows to what a few micro-batches need
        while self._end is None or position < self._end:
            stop = position + ahead if self._end is None else min(position + ahead, self._end)
            cuts = cut(self._lengths_at(np.arange(position, stop, dtype=np.int64)), self._bounds)
            complete = cuts if stop == self._end else cuts[:-1]  # the last run may go on beyond what was looked at
            if not complete:
                ahead *= 2
                continue
            start = position
            for length in complete:
                yield Span(start, start + length)
                start += length
            position = start
            ahead = min(max(256, 4 * max(complete)), 65536)


def cut(lengths: np.ndarray, bounds: Bounds) -> list[int]:
    """Cut samples greedily into micro-batches by token counts (S,); a sample beyond a bound is alone.

    Returns:
        Number of consecutive samples of each micro-batch.
    """
    costs = [
        (np.concatenate(([0], np.cumsum(cost, dtype=np.int64))), bound)
        for cost, bound in (
            (lengths, bounds.tokens),
            (lengths.astype(np.int64) ** 2, bounds.pair_cells),
            (np.ones_like(lengths), bounds.sequences),
        )
        if bound is not None
    ]
    cuts, start = [], 0
    while start < len(lengths):
        stop = min(int(np.searchsorted(total, total[start] + bound, side="right")) - 1 for total, bound in costs)
        stop = max(stop, start + 1)
        cuts.append(stop - start)
        start = stop
    return cuts


def share_of_rank(spans: list[Span], rank: int, world_size: int, micro_batches: int) -> list[Span | None]:
    """Return the spans of one rank in one step; None for a turn in which it has nothing to do while others have.

    All ranks take equally many turns, because collective operations need every rank.
    """
    micro_batches_per_rank = -(-micro_batches // world_size)
    mine = spans[rank::world_size]
    return [*mine, *([None] * (micro_batches_per_rank - len(mine)))]
