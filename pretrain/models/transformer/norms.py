"""Norms, alone and behind a residual sum.

What follows a sublayer is dropout, residual and norm: on a GPU one program each way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.dropout import SeededDropout, dropout
from pretrain.models.transformer.kernels.rows import SumNorm, row_programs, sum_norm, sum_norm_backward

Formula = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]


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

    def forward(self, x: Tensor, y: Tensor, y_bias: Tensor | None, rate: float) -> tuple[Tensor, Tensor]:
        """(N, D), (N, D), the bias (D,) that is in y and wants its gradient -> the norm (N, D), and the sum."""
        norm: LayerNorm | RmsNorm = self  # type: ignore[assignment]
        rate = rate if norm.training else 0.0
        if (programs := row_programs(x.device)) is not None:
            with_programs = programs, SumNorm(norm.kind == "layer", norm.eps, SeededDropout.draw(rate))
            summed: tuple[Tensor, Tensor] = NormBehindSum.apply(x, y, norm.weight, norm.bias, y_bias, with_programs)
            return summed
        total = x + dropout(y, rate, norm.training)
        return super().forward(total), total  # type: ignore[misc]


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


class NormBehindSum(torch.autograd.Function):
    """Norm and sum by the programs, which keep the sum and two numbers per token for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        y_bias: Tensor | None,
        how: tuple[Any, SumNorm],
    ) -> tuple[Tensor, Tensor]:
        """Return the norm (N, D) of x + dropout(y), and the sum."""
        out, total, statistics = sum_norm(*how, x.contiguous(), y.contiguous(), weight, bias)
        ctx.save_for_backward(total, statistics, weight)
        ctx.how, ctx.dtypes = how, (x.dtype, y.dtype)
        ctx.set_materialize_grads(False)
        return out, total

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_sum: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        """Return gradients of x, y, weight, bias and y's bias."""
        total, statistics, weight = ctx.saved_tensors
        grad = torch.zeros_like(total) if grad is None else grad.contiguous()
        grad_sum = None if grad_sum is None else grad_sum.contiguous()
        programs, norm = ctx.how
        of_x, of_y, sums = sum_norm_backward(programs, norm, grad, grad_sum, (total, statistics, weight), ctx.dtypes)
        wanted = zip(sums.to(weight.dtype), ctx.needs_input_grad[2:5], strict=True)
        return of_x, of_y, *(total if want else None for total, want in wanted), None
