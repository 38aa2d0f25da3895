"""Norms, alone and behind a residual sum.

What follows a sublayer of a post-norm layer is dropout, residual and norm: on a GPU one kernel each way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.device_kind import kind_of
from pretrain.models.dropout import dropout
from pretrain.models.fused import fuse
from pretrain.models.transformer.kernels import kernel_of

Formula = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]
Fused = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """Return (x - mean) / sqrt(variance + eps) * weight + bias, over the last dimension."""
    return F.layer_norm(x, weight.shape, weight, bias, eps)


def rms_norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """Return x / sqrt(mean(x^2) + eps) * weight over the last dimension, in the wider dtype of both; without bias."""
    dtype = torch.promote_types(x.dtype, weight.dtype)
    return F.rms_norm(x.to(dtype), weight.shape, weight.to(dtype), eps)


class LayerNorm(nn.LayerNorm):
    """Parameters: weight (D,), bias (D,)."""

    kind = "layer"

    def __init__(self, width: int, eps: float, bias: bool = True) -> None:
        super().__init__(width, eps=eps, bias=bias)


class RmsNorm(nn.Module):
    """Parameters: weight (D,)."""

    kind, bias = "rms", None

    def __init__(self, width: int, eps: float, bias: bool = True) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return rms_norm(x, self.weight, None, self.eps)


class _BehindSum:
    """The norm of x + dropout(y), x the residual and y from the sublayer.

    It is a module of its own, so that engines that gather parameters per module (ZeRO 3) see it being called.
    """

    def forward(self, x: Tensor, y: Tensor, rate: float) -> Tensor:
        """(N, D), (N, D) -> (N, D)."""
        norm: LayerNorm | RmsNorm = self  # type: ignore[assignment]
        rate = rate if norm.training else 0.0
        if kind_of(x.device) == "cuda" and kernel_of(x.device)[0] == "triton":
            return compiled(norm.kind, norm.eps, rate)(x, y, norm.weight, norm.bias)
        return super().forward(x + dropout(y, rate, norm.training))  # type: ignore[misc]


class ResidualLayerNorm(_BehindSum, LayerNorm):  # type: ignore[misc]
    """Parameters: weight (D,), bias (D,)."""


class ResidualRmsNorm(_BehindSum, RmsNorm):  # type: ignore[misc]
    """Parameters: weight (D,)."""


@dataclass(frozen=True)
class Norm:
    """One kind of norm. It has no matrix product, so it counts no floating-point operations.

    Attributes:
        alone, behind_sum: modules built from (width, eps, bias=True); RMS norms never have a bias.
        formula: the norm in torch's operations.
        kept: values per value of its input that are kept for the backward pass.
    """

    alone: Callable[..., nn.Module]
    behind_sum: Callable[..., nn.Module]
    formula: Formula
    kept: int


NORMS: dict[str, Norm] = {
    "layer": Norm(LayerNorm, ResidualLayerNorm, layer_norm, kept=1),
    "rms": Norm(RmsNorm, ResidualRmsNorm, rms_norm, kept=2),
}


@cache
def plain(kind: str, eps: float, rate: float) -> Fused:
    """Return the formula in torch's operations: (x, y, weight, bias) -> norm."""
    formula = NORMS[kind].formula

    def residual_norm(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return formula(x + F.dropout(y, rate), weight, bias, eps)

    return residual_norm


def compiled(kind: str, eps: float, rate: float) -> Fused:
    """The same as one kernel, for any number of tokens; masks are drawn from torch's generator of the device."""
    return fuse(plain(kind, eps, rate), kept=1)  # the sum
