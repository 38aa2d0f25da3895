"""Micro-batches that all have one shape (``batch.static``)."""

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
    """

    make: Callable[[int, int], MicroBatch]
    fixed: FixedShape | None
    pad: int

    def __call__(self, start: int, stop: int) -> MicroBatch:
        """Make the micro-batch of a span of stream positions."""
        return self.filled(self.make(start, stop))

    def filled(self, batch: MicroBatch) -> MicroBatch:
        """Return a micro-batch in the shape of all."""
        return batch if self.fixed is None else replace(batch, packed=batch.packed.padded(self.fixed, self.pad))
