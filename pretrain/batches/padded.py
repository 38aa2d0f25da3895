"""Micro-batches that all have one shape (``batch.static``), or whole rows (``models.whole_rows``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pretrain.batches.collate import MicroBatch
from pretrain.models.fixed_shape import FixedShape


@dataclass(frozen=True)
class PaddedTo:
    """Makes micro-batches and fills them up. Targets, counts, checksum and seeds stay those of the sequences.

    Attributes:
        make: (start, stop) -> micro-batch.
        fixed: the shape; None: each micro-batch has its own.
        pad: token id of the padding.
        rows: without a shape of all, the number that the tokens of each are a multiple of.
    """

    make: Callable[[int, int], MicroBatch]
    fixed: FixedShape | None
    pad: int
    rows: int = 1

    def __call__(self, start: int, stop: int) -> MicroBatch:
        """Make the micro-batch of a span of stream positions."""
        return self.filled(self.make(start, stop))

    def filled(self, batch: MicroBatch) -> MicroBatch:
        """Return a micro-batch in the shape of all, or with padding up to whole rows."""
        fixed = self.fixed or (FixedShape.rounding(batch.packed.lengths, self.rows) if self.rows > 1 else None)
        return batch if fixed is None else replace(batch, packed=batch.packed.padded(fixed, self.pad))
