"""Small tensors of numbers that never change."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from pretrain.models.device_kind import counting


def constant(values: tuple[Any, ...], device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """The values as a tensor, sent to a device once, because the host waits for what it sends from ordinary memory."""
    if counting() is not None:  # a tensor without content must not stay behind
        return torch.zeros_like(torch.tensor(values, dtype=dtype, device="meta"), device=device)
    return _sent(values, device, dtype)


@cache
def _sent(values: tuple[Any, ...], device: torch.device, dtype: torch.dtype | None) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)
