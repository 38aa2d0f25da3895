"""The packed batch: S sequences laid end to end in N tokens, without a padding token."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.layout import Layout

# Length groups per kind of device. GPU: fewer, larger kernels are worth some padding. CPU: a group is small enough for
# its scores to stay in the cache, and takes in a few shorter sequences rather than paying for many small products.
GROUPING: dict[str, dict[str, Any]] = {
    "cuda": {"padding": 0.125, "pairs": None},
    "cpu": {"padding": 0.05, "pairs": 1 << 16},
}


@dataclass
class SoftRows:
    """Tokens that are a mixture of bases instead of one id (allele frequencies).

    positions: int64 (R,) flat indices into N, without repeats. freq: float32 (R, 4), columns A, C, G, U/T.
    """

    positions: Tensor
    freq: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SoftRows:
        """The same rows on another device."""
        return SoftRows(
            self.positions.to(device, non_blocking=non_blocking), self.freq.to(device, non_blocking=non_blocking)
        )


@dataclass
class PackedBatch:
    """What the encoder reads.

    input_ids: int64 (N,). cu_seqlens: int32 (S+1,), sequence s is tokens cu_seqlens[s] : cu_seqlens[s+1].
    position_ids: int64 (N,), restarting at 0 in each sequence. lengths: the S lengths on the host, so that attention
    needs no device synchronisation. pair_class: uint8 (N,), see ``pairing.pair_classes``; pairing models only.
    """

    input_ids: Tensor
    cu_seqlens: Tensor
    position_ids: Tensor
    lengths: list[int]
    pair_class: Tensor | None = None
    soft_rows: SoftRows | None = None

    @classmethod
    def pack(
        cls,
        input_ids: Tensor,
        lengths: list[int],
        *,
        pair_class: Tensor | None = None,
        soft_rows: SoftRows | None = None,
    ) -> PackedBatch:
        """A batch from flat ids (N,) and lengths alone; positions count from 0 in each sequence."""
        sizes = torch.tensor(lengths, dtype=torch.int64)
        bounds = F.pad(sizes.cumsum(0), (1, 0))
        positions = torch.arange(int(bounds[-1])) - bounds[:-1].repeat_interleave(sizes)
        return cls(
            input_ids=input_ids.to(torch.int64),
            cu_seqlens=bounds.to(input_ids.device, torch.int32),
            position_ids=positions.to(input_ids.device),
            lengths=lengths,
            pair_class=pair_class,
            soft_rows=soft_rows,
        )

    @cached_property
    def layout(self) -> Layout:
        """How sequences are grouped by length: worked out once per batch, used by every layer."""
        device = self.input_ids.device
        return Layout.build(self.lengths, device=device, **GROUPING[device.type])

    @property
    def first_tokens(self) -> Tensor:
        """int64 (S,): flat index of each sequence's first token."""
        return self.cu_seqlens[:-1].to(torch.int64)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PackedBatch:
        """The same batch with its tensors on another device."""
        moved: dict[str, Any] = {
            field.name: value.to(device, non_blocking=non_blocking)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor | SoftRows)
        }
        return replace(self, **moved)
