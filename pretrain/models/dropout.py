"""Dropout whose mask takes a byte per value, is cheap to draw on a CPU, and can be drawn again from a seed.

torch draws one Bernoulli variable per value, which is a tenth of a training step on a CPU. Four 16-bit numbers from one
64-bit word are six times faster; the rate is then a multiple of 2^-16 and the scale is that of the true rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_STEPS = 1 << 16


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Values set to zero at ``rate``, the others scaled, in training; x itself otherwise."""
    if not training or rate == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate)
    return _ByteMaskDropout.apply(x, rate)


@dataclass(frozen=True)
class Drop:
    """Dropout of attention probabilities: the same seed gives the same masks in the same order."""

    rate: float
    seed: int = 0

    @classmethod
    def draw(cls, rate: float) -> Drop:
        """A new seed from torch's host generator, if anything is dropped at all. No device is asked."""
        return cls(rate, int(torch.empty(1, dtype=torch.int64).random_().numpy()[0]) if rate else 0)

    @property
    def scale(self) -> float:
        """What kept values are multiplied with."""
        return 1.0 / (1.0 - _threshold(self.rate) / _STEPS)

    def masks(self, device: torch.device) -> torch.Generator | None:
        """The generator that ``keep_mask`` draws from, at its start; None where nothing is dropped."""
        return torch.Generator(device).manual_seed(self.seed) if self.rate else None


def keep_mask(shape: torch.Size, rate: float, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """uint8, 1 where a value is kept. ``generator`` None is torch's own."""
    count = shape.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64, device=device)
    words.random_(-(2**63), None, generator=generator)  # type: ignore[call-overload]
    numbers = words.view(torch.int16)[:count].view(shape)
    return (numbers >= _threshold(rate) - _STEPS // 2).view(torch.uint8)


def _threshold(rate: float) -> int:
    return min(round(rate * _STEPS), _STEPS - 1)


class _ByteMaskDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        mask = keep_mask(x.shape, rate, x.device, None)
        ctx.save_for_backward(mask)
        ctx.scale = Drop(rate).scale
        return (x * mask).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (mask,) = ctx.saved_tensors
        return (grad * mask).mul_(ctx.scale), None
