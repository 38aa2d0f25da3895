"""The bias of the first layer: scores that depend only on the classes of two tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pretrain.models.layout import Layout
from pretrain.models.transformer.kernels import Kernel


def class_bias(
    table: Tensor,
    classes: Tensor,
    layout: Layout,
    kernel: Kernel,
    *,
    dtype: torch.dtype | None = None,
    grad_dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Compute bias[i, j] = table[class of i, class of j].

    Args:
        table: (H, C, C).
        classes: uint8 (N,) in layout order.
        layout: the sequences that the tokens belong to.
        kernel: packs the bias.
        dtype: of the bias; None: as the table.
        grad_dtype: of the gradient that a carrier brings; None: there is none, the bias has a gradient itself.

    Returns:
        Flat (n,) as the kernel packs scores, and its carrier (see ``carrier_of``).
    """
    return _ClassBias.apply(table, classes, layout, kernel, dtype or table.dtype, grad_dtype)


def carrier_of(packed: Tensor, dtype: torch.dtype) -> Tensor:
    """What stands for a flat tensor in autograd's graph and has a gradient of another dtype: one value, seen n times.

    Autograd casts a gradient to the dtype of the tensor that it belongs to, so that of scores could be in no other.
    """
    return torch.empty(1, dtype=dtype, device=packed.device).expand(len(packed))


class _ClassBias(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        classes: Tensor,
        layout: Layout,
        kernel: Kernel,
        dtype: torch.dtype,
        grad_dtype: torch.dtype | None,
    ) -> tuple[Tensor, Tensor | None]:
        ctx.save_for_backward(table, classes)
        ctx.layout, ctx.kernel = layout, kernel
        ctx.set_materialize_grads(False)
        with torch.autocast(table.device.type, enabled=False):
            packed = kernel.class_scores(table, classes, layout, dtype)
        if grad_dtype is None:
            return packed, None
        ctx.mark_non_differentiable(packed)
        return packed, carrier_of(packed, grad_dtype)

    @staticmethod
    def backward(ctx: Any, of_bias: Tensor | None, of_carrier: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        table, classes = ctx.saved_tensors
        grad = of_bias if of_carrier is None else of_carrier
        if grad is None:
            return (None,) * 6
        return ctx.kernel.class_gradient(grad, classes, ctx.layout, table), *(None,) * 5
