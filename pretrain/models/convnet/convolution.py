"""A convolution over packed tokens, by torch on blocks or as one matrix product: no padding, nothing scattered.

For the product every token's K neighbors are gathered side by side, (N, K C), and multiplied by the weights. The
gradient of the input is the same operation: neighbors on the other side of a token, weights of the other direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.convnet.settings import ConvNetSettings
from pretrain.models.device_kind import kind_of
from pretrain.models.layout import Layout

Activation = Callable[[Tensor], Tensor]


class DilatedConv(nn.Conv1d):
    """A convolution over the tokens of each sequence, zeros beyond both of its ends."""

    def __init__(self, width: int, settings: ConvNetSettings, layer: int) -> None:
        kernel, dilation = settings.kernel_of(layer), settings.dilation_of(layer)
        padding = dilation * (kernel - 1) // 2
        super().__init__(width, width, kernel, padding=padding, dilation=dilation, bias=settings.bias)

    def forward(self, x: Tensor, layout: Layout, act: Activation = lambda y: y) -> Tensor:  # type: ignore[override]
        """Convolve x (N, C) in layout order -> (N, C), then apply ``act``.

        With 16 bits on a CPU one product, about twice as fast (docs/benchmarks.md); else torch's own convolution: with
        32 bits published models were compared in its order of sums, and a GPU would move 2.5 times the bytes in the
        gathered form (by count).
        """
        gathers = x.element_size() < 4 and kind_of(x.device) == "cpu"
        return act(self.gathered(x, layout)) if gathers else self.blocks(x, layout, act)

    def gathered(self, x: Tensor, layout: Layout) -> Tensor:
        """As one product, without padding."""
        y: Tensor = _Convolution.apply(x, self.weight, neighbors(layout, self.kernel_size[0], self.dilation[0]))  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias

    def blocks(self, x: Tensor, layout: Layout, act: Activation = lambda y: y) -> Tensor:
        """By torch's convolution on blocks. Cells of a block without a token are zero, like what lies beyond it.

        ``act`` works on the transposed view of what the convolution leaves, as upstream does: on a contiguous tensor a
        CPU's GELU takes another path, which rounds differently.
        """
        parts = []
        for group, rows in zip(layout.groups, layout.split(x), strict=True):
            block = group.to_blocks(rows, pad=0.0).transpose(1, 2)  # (B, C, T)
            parts.append(group.from_blocks(act(super().forward(block).transpose(1, 2))))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def neighbors(layout: Layout, kernel: int, dilation: int) -> Tensor:
    """int64 (N, K): the token under each tap of each token, N where the tap lies outside the token's sequence."""
    first, stop = (layout.cu_seqlens[layout.sequence_of + end].long()[:, None] for end in (0, 1))
    tokens = len(layout.sequence_of)
    at = torch.arange(tokens, device=first.device)[:, None]
    under = at + dilation * torch.arange(-(kernel // 2), kernel // 2 + 1, device=first.device)
    return under.masked_fill_((under < first) | (under >= stop), tokens)


def _gather(x: Tensor, taps: Tensor) -> Tensor:
    """(N, C) -> (N, K C), zeros where there is no token."""
    return F.pad(x, (0, 0, 0, 1)).index_select(0, taps.reshape(-1)).view(len(x), -1)


class _Convolution(torch.autograd.Function):
    """Gathered neighbors times weights; they are gathered anew in the backward pass, which holds (N, C) alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, taps: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, taps)
        return _gather(x, taps) @ weight.permute(2, 1, 0).reshape(-1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, weight, taps), (grad,) = ctx.saved_tensors, grads
        outputs, inputs, kernel = weight.shape
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:  # a token is under tap k of the one that is under its own tap K - 1 - k
            grad_x = _gather(grad, taps) @ weight.flip(2).permute(2, 0, 1).reshape(-1, inputs)
        if ctx.needs_input_grad[1]:
            grad_weight = (_gather(x, taps).T @ grad).view(kernel, inputs, outputs).permute(2, 1, 0)
        return grad_x, grad_weight, None
