"""What follows a sublayer of a post-LN layer: dropout, residual and norm, on a GPU in one kernel each way."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.dropout import dropout
from pretrain.models.transformer.kernels import kernel_of

Fused = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class ResidualNorm(nn.LayerNorm):
    """norm(x + dropout(y)): x the residual, y from the sublayer. A module of its own, so that engines which gather
    parameters per module (ZeRO 3) see it being called."""

    def forward(self, x: Tensor, y: Tensor, rate: float) -> Tensor:  # type: ignore[override]
        """(N, D), (N, D) -> (N, D)."""
        rate = rate if self.training else 0.0
        if x.device.type == "cuda" and kernel_of("cuda")[0] == "triton":
            return compiled(self.eps, rate)(x, y, self.weight, self.bias)
        return super().forward(x + dropout(y, rate, self.training))


def plain(eps: float, rate: float) -> Fused:
    """The formula in torch's operations: (x, y, weight, bias) -> norm."""

    def residual_norm(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.layer_norm(x + F.dropout(y, rate), weight.shape, weight, bias, eps)

    return residual_norm


@cache
def compiled(eps: float, rate: float) -> Fused:
    """The same as one kernel, for any number of tokens; masks are drawn from torch's generator of the device."""
    return torch.compile(plain(eps, rate), dynamic=True, fullgraph=True)
