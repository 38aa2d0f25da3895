"""All tensors of a micro-batch in one piece of memory: pinned ahead, it reaches a GPU in one copy.

Ten to fifteen small copies, each from memory that is pinned when it is needed, cost the host more than the step of a
small model costs the GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pretrain.batches.collate import MicroBatch
from pretrain.models.layout_plan import TILES

_ALIGNED = 16  # bytes: every dtype may begin there


def gathered(batch: MicroBatch, pin: bool) -> MicroBatch:
    """Return the micro-batch with its tensors in one block.

    Args:
        batch: on the host.
        pin: in memory that a GPU reads by itself.
    """
    tensors: list[Tensor] = []
    batch.map(lambda tensor: tensors.append(tensor) or tensor)  # type: ignore[func-returns-value]
    begins, end = [], 0
    for tensor in tensors:
        begins.append(end)
        end += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
    block = torch.empty(end, dtype=torch.uint8, pin_memory=pin)
    views = []
    for tensor, begin in zip(tensors, begins, strict=True):
        views.append(block[begin : begin + tensor.nbytes].view(tensor.dtype).view(tensor.shape).copy_(tensor))
    rest = iter(views)
    return replace(batch.map(lambda tensor: next(rest)), block=block)


def sent(batch: MicroBatch, device: torch.device) -> MicroBatch:
    """Copy a micro-batch to a GPU at once, without making the host wait."""
    if batch.block is None:
        batch = gathered(batch, pin=True)
    assert batch.block is not None
    block = batch.block if batch.block.is_pinned() else batch.block.pin_memory()  # one from a loader process is not
    return viewed(batch, block.to(device, non_blocking=True))


def viewed(batch: MicroBatch, block: Tensor) -> MicroBatch:
    """Return the micro-batch with its tensors in a copy of its block."""

    def place(tensor: Tensor) -> Tensor:
        begin = tensor.storage_offset() * tensor.element_size()
        return block[begin : begin + tensor.nbytes].view(tensor.dtype).view(tensor.shape)

    return replace(batch.map(place), block=block)


@dataclass(frozen=True)
class Prepared:
    """Makes micro-batches for a kind of device: with their layout, in one block. Runs in loaders.

    Attributes:
        make: (start, stop) -> micro-batch.
        kind: of the device.
        tile_rows: kinds of tiles that its kernels will ask for.
        pin: whether the block is pinned here; what crosses to another process cannot be.
    """

    make: Callable[[int, int], MicroBatch]
    kind: str
    tile_rows: tuple[int, ...]
    pin: bool

    def __call__(self, start: int, stop: int) -> MicroBatch:
        """Make the micro-batch of a span of stream positions."""
        batch = self.make(start, stop)
        return gathered(replace(batch, packed=batch.packed.planned(self.kind, self.tile_rows)), self.pin)


def preparing(
    make: Callable[[int, int], MicroBatch], device: torch.device, workers: int
) -> Callable[[int, int], MicroBatch]:
    """Return what a loader calls: on a CPU ``make`` itself, as nothing has to be sent."""
    if device.type != "cuda":
        return make

    return Prepared(make, device.type, tuple(sorted(set(TILES.values()))), pin=workers == 0)
