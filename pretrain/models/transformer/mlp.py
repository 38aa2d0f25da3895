"""The MLP of a layer, which stores little for the backward pass.

It keeps the inner width once (gated ones: up and gate once each) instead of every step from there to the last product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.dropout import SeededDropout, apply_mask
from pretrain.models.transformer.settings import TransformerSettings


@dataclass(frozen=True)
class Activation:
    """A function and its gradient from the gradient above and the input."""

    apply: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


ACTIVATIONS: dict[str, Activation] = {
    "gelu": Activation(F.gelu, torch.ops.aten.gelu_backward),
    "gelu_tanh": Activation(
        partial(F.gelu, approximate="tanh"), partial(torch.ops.aten.gelu_backward, approximate="tanh")
    ),
    "relu": Activation(F.relu, lambda grad, x: torch.ops.aten.threshold_backward(grad, x, 0)),
    "silu": Activation(F.silu, torch.ops.aten.silu_backward),
}


@dataclass(frozen=True)
class MlpKind:
    """One kind of MLP: down(act(up(x))), or with a gate down(act(gate(x)) * up(x)).

    Attributes:
        act: name in ACTIVATIONS.
        products: matrix products of hidden x inner width in the forward pass.
        kept: tensors of the inner width that are kept for the backward pass.
    """

    act: str
    products: int = 2
    kept: int = 1
    gated: bool = False


MLPS: dict[str, MlpKind] = {
    "gelu": MlpKind("gelu"),
    "gelu_tanh": MlpKind("gelu_tanh"),
    "relu": MlpKind("relu"),
    "swiglu": MlpKind("silu", products=3, kept=2, gated=True),
    "geglu": MlpKind("gelu", products=3, kept=2, gated=True),
}


class Mlp(nn.Module):
    """The MLP of one layer.

    Parameters: {up,gate (F,D),down (D,F)}.{weight,bias}, gate of gated ones only; beta (1,) of swiglu where it is
    learned: act(a) = a sigmoid(beta a).
    """

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        kind, width, inner = MLPS[settings.mlp], settings.hidden_size, settings.intermediate_size
        self.rate = settings.hidden_dropout_prob if settings.mlp_dropout == "inner" else 0.0
        self.up = nn.Linear(width, inner, bias=settings.up_bias)
        self.gate = nn.Linear(width, inner, bias=settings.up_bias) if kind.gated else None
        learned = settings.mlp == "swiglu" and settings.swiglu_beta == "learned"
        self.beta = nn.Parameter(torch.ones(1)) if learned else None
        self.down = ActivatedLinear(inner, width, kind.act, bias=settings.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        drop = SeededDropout.draw(self.rate if self.training else 0.0)
        if self.gate is None:
            return self.down(self.up(x), drop=drop)
        return self.down(self.gate(x), self.up(x), self.beta, drop)


class ActivatedLinear(nn.Linear):
    """A layer linear(dropout(act(x) * factor)); everything but the product is recomputed in the backward pass.

    It is a module of its own, so that engines that gather parameters per module (ZeRO 3) see it being called.
    """

    def __init__(self, in_features: int, out_features: int, act: str, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.act = act

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        factor: Tensor | None = None,
        beta: Tensor | None = None,
        drop: SeededDropout = SeededDropout(0.0),  # noqa: B008 (frozen)
    ) -> Tensor:
        """(N, F), (N, F) or None, (1,) or None -> (N, D)."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        tensors = (t if t is None else t.to(dtype) for t in (x, factor, beta, self.weight, self.bias))
        return _ActivatedLinear.apply(*tensors, ACTIVATIONS[self.act], drop)


def swish(x: Tensor, beta: Tensor) -> Tensor:
    """Return x sigmoid(beta x)."""
    return x * torch.sigmoid(beta * x)


class _ActivatedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        factor: Tensor | None,
        beta: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        act: Activation,
        drop: SeededDropout,
    ) -> Tensor:
        ctx.save_for_backward(x, factor, beta, weight)
        ctx.act, ctx.drop, ctx.has_bias = act, drop, bias is not None
        inner = act.apply(x) if beta is None else swish(x, beta)
        return F.linear(_dropped(inner if factor is None else inner * factor, drop), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, factor, beta, weight = ctx.saved_tensors
        activated = ctx.act.apply(x) if beta is None else swish(x, beta)
        inner = _dropped(activated if factor is None else activated * factor, ctx.drop)
        if factor is None:
            del activated  # what is freed now is what the next products are written to
        grad_weight, grad_bias = grad.T @ inner, grad.sum(dim=0) if ctx.has_bias else None
        del inner
        grad = _dropped(grad @ weight, ctx.drop)
        grad_factor = grad_beta = None
        if factor is not None:
            grad_factor, grad = grad * activated, grad * factor
        if beta is None:
            return ctx.act.backward(grad, x), grad_factor, None, grad_weight, grad_bias, None, None
        share = torch.sigmoid(beta * x)
        slope = grad * x * share * (1 - share)  # of beta x
        grad_beta = (slope * x).sum(dtype=torch.promote_types(x.dtype, torch.float32)).to(beta.dtype).view(1)
        return grad * share + beta * slope, grad_factor, grad_beta, grad_weight, grad_bias, None, None


def _dropped(x: Tensor, drop: SeededDropout) -> Tensor:
    """Drop values of x, the same ones at every call."""
    masks = drop.masks(x.device)
    return x if masks is None else apply_mask(x, masks(x)).mul_(drop.scale)
