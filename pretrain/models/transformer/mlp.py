"""The MLP of a layer, which stores little for the backward pass.

It keeps the inner width once (gated ones: up and gate once each) instead of every step from there to the last product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.dropout import SeededDropout, apply_mask
from pretrain.models.linear import Handed, HandingLinear, hand_on
from pretrain.models.precision import computed_dtype
from pretrain.models.transformer.kernels.rows import activated, activated_backward, row_programs
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
        self.up = HandingLinear(width, inner, bias=settings.up_bias)
        self.gate = HandingLinear(width, inner, bias=settings.up_bias) if kind.gated else None
        learned = settings.mlp == "swiglu" and settings.swiglu_beta == "learned"
        self.beta = nn.Parameter(torch.ones(1)) if learned else None
        self.down = ActivatedLinear(inner, width, kind.act, bias=settings.mlp_bias)

    def forward(self, x: Tensor, bias_later: bool = False) -> Handed:
        """(N, D) -> (N, D); x for its next reader; the last bias if its gradient is expected (``hand_on``)."""
        drop, found_along = SeededDropout.draw(self.rate if self.training else 0.0), self.beta is None
        if self.gate is None:
            inner, x, bias = hand_on(self.up, x, bias_later=found_along)
            y, bias = self.down(inner, drop=drop, biases=(bias, None), bias_later=bias_later)
            return y, x, bias
        gate, x, gate_bias = hand_on(self.gate, x, bias_later=found_along)
        up, x, up_bias = hand_on(self.up, x, bias_later=found_along)
        y, bias = self.down(gate, up, self.beta, drop, (gate_bias, up_bias), bias_later)
        return y, x, bias


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
        biases: tuple[Tensor | None, Tensor | None] = (None, None),
        bias_later: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the layer.

        Args:
            x: (N, F).
            factor: (N, F) of gated ones.
            beta: (1,), see ``Mlp``.
            drop: of what goes into the product.
            biases: (F,), those in x and in factor that want their gradient from here.
            bias_later: whoever takes the output can compute the gradient of the bias.

        Returns:
            (N, D); and the bias if its gradient is expected.
        """
        dtype = computed_dtype(x)
        tensors = (t if t is None else t.to(dtype) for t in (x, factor, beta, self.weight))
        programs = row_programs(x.device) if beta is None else None
        call = _Call(self.act, drop, programs, bias_later and programs is not None and self.bias is not None)
        result: tuple[Tensor, Tensor | None] = _ActivatedLinear.apply(*tensors, self.bias, *biases, call)
        return result


def swish(x: Tensor, beta: Tensor) -> Tensor:
    """Return x sigmoid(beta x)."""
    return x * torch.sigmoid(beta * x)


@dataclass(frozen=True)
class _Call:
    """Arguments of one call that are not tensors: programs of a device that has them, and who sums up for the bias."""

    act: str
    drop: SeededDropout
    programs: Any
    bias_later: bool


class _ActivatedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        factor: Tensor | None,
        beta: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        x_bias: Tensor | None,
        factor_bias: Tensor | None,
        call: _Call,
    ) -> tuple[Tensor, Tensor | None]:
        ctx.save_for_backward(x, factor, beta, weight)
        ctx.call, ctx.has_bias = call, bias is not None
        ctx.set_materialize_grads(False)
        if call.programs is not None:
            inner = activated(call.programs, call.act, call.drop, x, factor)
        else:
            inner = ACTIVATIONS[call.act].apply(x) if beta is None else swish(x, beta)
            inner = _dropped(inner if factor is None else inner * factor, call.drop)
        y = F.linear(inner, weight, None if bias is None else bias.to(x.dtype))
        return y, bias.view_as(bias) if bias is not None and call.bias_later else None

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_bias: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        call: _Call = ctx.call
        if grad is None:
            return None, None, None, None, grad_bias, None, None, None
        if ctx.has_bias and not call.bias_later:
            grad_bias = grad.sum(dim=0)
        x, factor, beta, weight = ctx.saved_tensors
        if call.programs is not None:
            inner, of_x, of_factor, sums = activated_backward(
                call.programs, call.act, call.drop, grad @ weight, x, factor
            )
            biases = [total if want else None for total, want in zip_longest(sums, ctx.needs_input_grad[5:7])]
            return of_x, of_factor, None, grad.T @ inner, grad_bias, *biases, None
        act = ACTIVATIONS[call.act]
        activated_x = act.apply(x) if beta is None else swish(x, beta)
        inner = _dropped(activated_x if factor is None else activated_x * factor, call.drop)
        if factor is None:
            del activated_x  # what is freed now is what the next products are written to
        grad_weight = grad.T @ inner
        del inner
        grad = _dropped(grad @ weight, call.drop)
        grad_factor = grad_beta = None
        if factor is not None:
            grad_factor, grad = grad * activated_x, grad * factor
        if beta is None:
            return act.backward(grad, x), grad_factor, None, grad_weight, grad_bias, None, None, None
        share = torch.sigmoid(beta * x)
        slope = grad * x * share * (1 - share)  # of beta x
        grad_beta = (slope * x).sum(dtype=torch.promote_types(x.dtype, torch.float32)).to(beta.dtype).view(1)
        return grad * share + beta * slope, grad_factor, grad_beta, grad_weight, grad_bias, None, None, None


def _dropped(x: Tensor, drop: SeededDropout) -> Tensor:
    """Drop values of x, the same ones at every call."""
    masks = drop.masks(x.device)
    return x if masks is None else apply_mask(x, masks(x)).mul_(drop.scale)
