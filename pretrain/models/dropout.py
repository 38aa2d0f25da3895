"""Dropout with masks that are cheap to draw on a CPU and take no memory: the backward pass redraws them from a seed.

torch draws one Bernoulli variable per value, which is a tenth of a training step on a CPU. Here one 64-bit word makes
four numbers of 15 bits, each of which becomes a mask of all or no bits: several times faster (docs/benchmarks.md). The
rate is then a multiple of 2^-15, and the scale is that of the true rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.device_kind import counting, kind_of

Masks = Callable[[Tensor], Tensor]
_STEPS = 1 << 15
_SAME_SIZE = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """Zero values at ``rate`` and scale the others while training; return x itself otherwise."""
    if not training or rate == 0.0:
        return x
    if kind_of(x.device) != "cpu":
        return F.dropout(x, rate)
    return _SeededDropoutFunction.apply(x, SeededDropout.draw(rate))


@dataclass(frozen=True)
class SeededDropout:
    """Dropout with a rate: the same seed gives the same masks in the same order."""

    rate: float
    seed: int = 0

    @classmethod
    def draw(cls, rate: float) -> SeededDropout:
        """Draw a new seed from torch's host generator if anything is to be dropped; no device is asked."""
        if not rate:
            return cls(rate)
        return cls(rate, 1 if counting() else int(torch.empty(1, dtype=torch.int64).random_().numpy()[0]))

    @property
    def scale(self) -> float:
        """Factor of the values that are kept."""
        return 1.0 / (1.0 - _threshold(self.rate) / _STEPS)

    def masks(self, device: torch.device) -> Masks | None:
        """Restart the masks of this seed.

        Returns:
            A function that draws the next mask for the values it is given: int16 of their shape, all bits set where a
                value
            is kept and none where it is dropped. None if nothing is dropped.
        """
        if not self.rate:
            return None
        words, threshold = _words(self.seed, device), _threshold(self.rate)

        def draw(values: Tensor) -> Tensor:
            numbers = words(-(-values.numel() // 4)).view(torch.int16)[: values.numel()].view(values.shape)
            # threshold - 1 - number is negative where number >= threshold; its sign fills the word
            return numbers.bitwise_and_(_STEPS - 1).neg_().add_(threshold - 1).bitwise_right_shift_(15)

        return draw


def apply_mask(values: Tensor, mask: Tensor) -> Tensor:
    """Return the values, zero where the mask has no bits set."""
    bits = _SAME_SIZE[values.element_size()]
    return values.view(bits).bitwise_and(mask.to(bits)).view(values.dtype)


def _threshold(rate: float) -> int:
    return min(round(rate * _STEPS), _STEPS - 1)


def _words(seed: int, device: torch.device) -> Callable[[int], Tensor]:
    """Random int64, a number of them per call; on the host from numpy's generator, twice as fast as torch's."""
    if kind_of(device) == "cpu":
        host = np.random.SFC64(seed)
        return lambda count: torch.from_numpy(host.random_raw(count).view(np.int64))
    generator = torch.Generator(device).manual_seed(seed)

    def draw(count: int) -> Tensor:
        words = torch.empty(count, dtype=torch.int64, device=device)
        return words.random_(-(2**63), None, generator=generator)  # type: ignore[call-overload]

    return draw


class _SeededDropoutFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, drop: SeededDropout) -> Tensor:
        ctx.drop = drop
        return _applied(drop, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return _applied(ctx.drop, grad), None


def _applied(drop: SeededDropout, x: Tensor) -> Tensor:
    masks = drop.masks(x.device)
    assert masks is not None
    return apply_mask(x, masks(x)).mul_(drop.scale)
