"""Linear layers that several read the same input of, and whose bias somebody else may find the gradient of.

Queries, keys, values and the residual share one input. Autograd adds up what comes back from them, a kernel and three
times the memory traffic for each. A layer that hands its input on receives what came back from the others instead, and
its own product is added to that while it is made. The gradient of a bias is a sum over tokens of what the kernel below
has just written; where that kernel sums along, the layer hands its bias on, too.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.precision import computed_dtype
from pretrain.models.transformer.kernels.rows import row_programs

Handed = tuple[Tensor, Tensor, Tensor | None]  # a plain tuple: engines look through what modules return


class HandingLinear(nn.Linear):
    """A linear layer with weight (out, in) and bias (out,)."""

    def forward(self, x: Tensor, *, hands_on: bool = False, bias_later: bool = False) -> Any:
        """(N, in) -> (N, out); with ``hands_on`` as ``hand_on``."""
        if not hands_on:
            return super().forward(x)
        dtype = computed_dtype(x)
        return _Handing.apply(x, self.weight.to(dtype), self.bias, dtype, bias_later)


def hand_on(layer: nn.Module, x: Tensor, *, bias_later: bool = False) -> Handed:
    """Apply a layer to x (N, in), on a device with programs over rows so that gradients meet in it.

    Args:
        layer: linear; one that an adapter wraps is applied as it is.
        x: its input.
        bias_later: whoever takes the output can compute the gradient of the bias.

    Returns:
        (N, out); x for the next reader, who must be the only one; and the bias if its gradient is expected.
    """
    if isinstance(layer, HandingLinear) and row_programs(x.device) is not None:
        handed: Handed = layer(x, hands_on=True, bias_later=bias_later)
        return handed
    return layer(x), x, None


class _Handing(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, bias_later: bool
    ) -> Handed:
        read = x.to(dtype)
        ctx.save_for_backward(read, weight)
        ctx.sums_bias = bias is not None and not bias_later
        ctx.set_materialize_grads(False)
        y = F.linear(read, weight, None if bias is None else bias.to(dtype))
        return y, x.view_as(x), bias.view_as(bias) if bias is not None and bias_later else None

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, handed: Tensor | None, grad_bias: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        if grad is None:
            return handed, None, grad_bias, None, None
        if ctx.sums_bias:
            grad_bias = grad.sum(dim=0)
        if handed is None:
            of_x = grad @ weight
        elif handed.dtype == grad.dtype:
            of_x = handed.addmm_(grad, weight)  # the others are done with it: what came back here needed them
        else:
            of_x = handed.add_(grad @ weight)
        return of_x, grad.T @ x if ctx.needs_input_grad[1] else None, grad_bias, None, None
