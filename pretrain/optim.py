"""Optimisers of the published recipes, as plain torch optimisers that DeepSpeed shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.config.sections import Optimizer as OptimizerSettings


class FairseqAdamW(torch.optim.Optimizer):
    """AdamW as fairseq writes it: ``p -= lr wd p``, then ``p -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + eps)``.

    torch divides v by its bias correction before adding eps; here eps is added to the raw sqrt(v), so in the first
    thousands of updates its weight differs (spec ernie_rna.md (c), "Optimisation").
    """

    def __init__(self, params: Iterable, lr: float, betas: tuple[float, float], eps: float, weight_decay: float):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state.update(fresh_state("adamw_fairseq", parameter))
        beta1, beta2 = group["betas"]
        state["step"] += 1
        step = int(state["step"])  # lives on the CPU, so this does not wait for the device
        state["exp_avg"].lerp_(parameter.grad, 1 - beta1)
        state["exp_avg_sq"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
        size = group["lr"] * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(state["exp_avg"], state["exp_avg_sq"].sqrt().add_(group["eps"]), value=-size)


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The named optimiser over the model's parameters, in decayed and undecayed groups."""
    adam: dict[str, Any] = {"lr": settings.lr, "betas": settings.betas, "eps": settings.eps}
    groups = parameter_groups(model, settings)
    if settings.name == "adamw":
        return torch.optim.AdamW(groups, **adam)
    if settings.name == "adamw_fairseq":
        return FairseqAdamW(groups, weight_decay=0.0, **adam)
    if settings.name == "adam":
        return torch.optim.Adam(groups, **adam)
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)


def parameter_groups(model: nn.Module, settings: OptimizerSettings) -> list[dict[str, Any]]:
    """Decayed and undecayed parameters; biases and norm weights are the ones with one dimension."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if settings.decay == "all":
        return [{"params": parameters, "weight_decay": settings.weight_decay}]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


STATE_KEYS = {  # per optimiser, the tensors it keeps per parameter, shaped like the parameter
    "adamw": ("exp_avg", "exp_avg_sq"),
    "adamw_fairseq": ("exp_avg", "exp_avg_sq"),
    "adam": ("exp_avg", "exp_avg_sq"),
    "sgd": ("momentum_buffer",),
}


def fresh_state(name: str, parameter: Tensor, step: int = 0) -> dict[str, Tensor]:
    """State of a parameter after ``step`` updates, with zeros where the history belongs."""
    state = {key: torch.zeros_like(parameter, memory_format=torch.preserve_format) for key in STATE_KEYS[name]}
    if name != "sgd":
        state["step"] = torch.tensor(float(step))
    return state
