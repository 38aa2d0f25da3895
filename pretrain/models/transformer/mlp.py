"""The MLP of a layer, which keeps the inner width once for the backward pass instead of twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.transformer.settings import TransformerSettings


@dataclass(frozen=True)
class Activation:
    """A function and its gradient from the gradient above and the input."""

    apply: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


ACTIVATIONS: dict[str, Activation] = {
    "gelu": Activation(F.gelu, lambda grad, x: torch.ops.aten.gelu_backward(grad, x)),
    "gelu_tanh": Activation(
        partial(F.gelu, approximate="tanh"), partial(torch.ops.aten.gelu_backward, approximate="tanh")
    ),
    "relu": Activation(F.relu, lambda grad, x: torch.ops.aten.threshold_backward(grad, x, 0)),
}


class Mlp(nn.Module):
    """down(act(up(x))), without dropout in between."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.up = nn.Linear(settings.hidden_size, settings.intermediate_size)
        self.down = ActivatedLinear(settings.intermediate_size, settings.hidden_size, settings.mlp)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return self.down(self.up(x))


class ActivatedLinear(nn.Linear):
    """linear(act(x)); act(x) is computed again in the backward pass. A module of its own, so that engines which gather
    parameters per module (ZeRO 3) see it being called."""

    def __init__(self, in_features: int, out_features: int, act: str) -> None:
        super().__init__(in_features, out_features)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, D)."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        return _ActivatedLinear.apply(x.to(dtype), self.weight.to(dtype), self.bias.to(dtype), self.act)


class _ActivatedLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, act: str) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.act = act
        return F.linear(ACTIVATIONS[act].apply(x), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        act = ACTIVATIONS[ctx.act]
        grad_weight = grad.T @ act.apply(x)
        return act.backward(grad @ weight, x), grad_weight, grad.sum(dim=0), None
