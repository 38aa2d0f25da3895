"""The packed batch: S sequences laid end to end in N tokens, without a padding token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.device_kind import kind_of
from pretrain.models.fixed_shape import FixedShape
from pretrain.models.layout import Layout
from pretrain.models.layout_plan import LayoutPlan, plan_layout
from pretrain.models.memory import Memory

# Length groups per kind of device. GPU: fewer, larger kernels are worth some padding. CPU: a group is small enough for
# its scores to stay in the cache, and takes in a few shorter sequences rather than paying for many small products.
GROUPING: dict[str, dict[str, Any]] = {
    "cuda": {"padding": 0.125, "pairs": None},
    "cpu": {"padding": 0.05, "pairs": 1 << 16},
}


@dataclass
class SoftRows:
    """Tokens that are a mixture of bases instead of one id (allele frequencies).

    Attributes:
        positions: int64 (R,), flat indices into the N tokens, without repeats.
        freq: float32 (R, 4), frequencies of A, C, G, U/T.
    """

    positions: Tensor
    freq: Tensor


@dataclass
class PackedBatch:
    """The input of a backbone.

    Attributes:
        input_ids: int64 (N,).
        cu_seqlens: int32 (S+1,); sequence s is tokens ``cu_seqlens[s] : cu_seqlens[s+1]``.
        position_ids: int64 (N,), from 0 in each sequence.
        lengths: the S lengths, on the host, so that attention does not wait for the device.
        soft_rows: tokens that are mixtures of bases; None if there are none.
        side: model-specific inputs, one value per token (N,), by the names of the architecture's ``side_inputs``
            (``pair_class``, uint8, for pairing models).
        fixed: the shape of every micro-batch, if they have one: ``cu_seqlens`` then ends with empty sequences, which
            are not in ``lengths``.
        pads: how many of the sequences, from the last, are padding for that.
        memory: what a causal model has read of these sequences before; None: they begin with these tokens.
        plan: the layout where somebody has worked it out ahead (``planned``); None: where it is asked for.
    """

    input_ids: Tensor
    cu_seqlens: Tensor
    position_ids: Tensor
    lengths: list[int]
    side: dict[str, Tensor] = field(default_factory=dict)
    soft_rows: SoftRows | None = None
    memory: Memory | None = None
    plan: LayoutPlan | None = None
    fixed: FixedShape | None = None
    pads: int = 0

    @classmethod
    def pack(
        cls,
        input_ids: Tensor,
        lengths: list[int],
        *,
        side: dict[str, Tensor] | None = None,
        soft_rows: SoftRows | None = None,
        memory: Memory | None = None,
    ) -> PackedBatch:
        """Build a batch from flat ids (N,) and lengths (S,).

        Positions count from 0 in each sequence, or go on behind the tokens that ``memory`` has read.
        """
        sizes = torch.tensor(lengths, dtype=torch.int64)
        bounds = F.pad(sizes.cumsum(0), (1, 0))
        positions = torch.arange(int(bounds[-1])) - bounds[:-1].repeat_interleave(sizes)
        if memory is not None:
            positions += memory.tokens
        return cls(
            input_ids=input_ids.to(torch.int64),
            cu_seqlens=bounds.to(input_ids.device, torch.int32),
            position_ids=positions.to(input_ids.device),
            lengths=lengths,
            side=side or {},
            soft_rows=soft_rows,
            memory=memory,
        )

    @cached_property
    def layout(self) -> Layout:
        """Grouping of the sequences by length for attention; computed once per batch and used by every layer."""
        if self.plan is not None:
            return Layout.of(self.plan)
        device = self.input_ids.device
        return Layout.build(self.lengths, device=device, fixed=self.fixed, pads=self.pads, **GROUPING[kind_of(device)])

    @cached_property
    def sequence_layout(self) -> Layout:
        """Grouping for convolutions and FFTs, whose memory does not grow with pairs of tokens: larger groups."""
        device = self.input_ids.device
        if GROUPING[kind_of(device)]["pairs"] is None:
            return self.layout
        return Layout.build(self.lengths, device=device, padding=GROUPING[kind_of(device)]["padding"], pairs=None)

    def planned(self, kind: str, tile_rows: tuple[int, ...] = ()) -> PackedBatch:
        """Work out the layout on the host, ahead of the step.

        Args:
            kind: of the device that the batch is for.
            tile_rows: kinds of tiles that its kernels will ask for.
        """
        plan = plan_layout(self.lengths, tile_rows=tile_rows, fixed=self.fixed, pads=self.pads, **GROUPING[kind])
        return replace(self, plan=plan)

    def padded(self, fixed: FixedShape, pad: int) -> PackedBatch:
        """Fill a batch on the host up to a shape.

        Args:
            fixed: the shape; it holds the batch.
            pad: token id.
        """
        more = fixed.padding(len(self.input_ids))
        lengths, free = [*self.lengths, *more], sum(more)
        positions = [self.position_ids, *(torch.arange(length) for length in more)]
        places = F.pad(torch.tensor(lengths, dtype=torch.int64).cumsum(0), (1, 0))
        return replace(
            self,
            input_ids=F.pad(self.input_ids, (0, free), value=pad),
            cu_seqlens=torch.cat([places, places[-1:].expand(fixed.sequences - len(lengths))]).to(torch.int32),
            position_ids=torch.cat(positions),
            lengths=lengths,
            side={name: F.pad(values, (0, free)) for name, values in self.side.items()},
            fixed=fixed,
            pads=len(more),
        )

    @property
    def real_lengths(self) -> list[int]:
        """Lengths without padding."""
        return self.lengths[: len(self.lengths) - self.pads]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PackedBatch:
        """Copy the batch to another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def map(self, change: Callable[[Tensor], Tensor]) -> PackedBatch:
        """Return a batch whose tensors are ``change`` of these."""
        soft = self.soft_rows
        return replace(
            self,
            input_ids=change(self.input_ids),
            cu_seqlens=change(self.cu_seqlens),
            position_ids=change(self.position_ids),
            side={name: change(tensor) for name, tensor in self.side.items()},
            soft_rows=soft and SoftRows(change(soft.positions), change(soft.freq)),
            plan=self.plan and self.plan.map(change),
        )
