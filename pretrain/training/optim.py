"""Optimizers of the published recipes, as plain torch optimizers that DeepSpeed shards."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.config.sections import Optimizer as OptimizerSettings
from pretrain.training.muon import MuonAdamW, hidden_matrices


class FairseqAdamW(torch.optim.AdamW):
    """AdamW as fairseq writes it: ``p -= lr wd p``, then ``p -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + eps)``.

    torch divides v by its bias correction before adding eps; here eps is added to the raw sqrt(v), so in the first
    thousands of updates its weight differs (recipes/ernie_rna.md#optimizer). That is torch's update with
    eps / sqrt(1-b2^t).
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._counted: dict[Tensor, tuple[Tensor | None, int]] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        published = [group["eps"] for group in self.param_groups]
        for group in self.param_groups:
            group["eps"] /= math.sqrt(1 - group["betas"][1] ** self._next_update(group["params"]))
        super().step(closure)
        for group, eps in zip(self.param_groups, published, strict=True):
            group["eps"] = eps

    def _next_update(self, parameters: list[Tensor]) -> int:
        """Number t of the next update.

        It is counted on the host, which would wait for a GPU to read its count; read from the device only if somebody
        put another count there (a resumed run).
        """
        parameter = next((p for p in parameters if p.grad is not None), None)
        if parameter is None:
            return 1  # nothing will be updated
        count = self.state[parameter].get("step")
        known, updates = self._counted.get(parameter, (None, 0))
        if count is not known:
            updates = int(count)
        self._counted[parameter] = count, updates + 1
        return updates + 1


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Build the named optimizer over the model's parameters, in decayed and undecayed groups.

    Adam's update is one pass over the memory (``fused``), which bounds its speed.
    """
    groups = parameter_groups(model, settings)
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    return ADAMS[settings.name](groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=True)


def drops_on_device(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an update passes over all parameters where its ``found_inf`` is one, without the host knowing.

    Adam in one pass does. fairseq's form counts updates on the host, so it must know; SGD and Muon take several passes.
    """
    return isinstance(optimizer, torch.optim.Adam) and not isinstance(optimizer, FairseqAdamW | MuonAdamW)


ADAMS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adamw_fairseq": FairseqAdamW,
    "adam": torch.optim.Adam,
    "muon": MuonAdamW,
}


def parameter_groups(model: nn.Module, settings: OptimizerSettings) -> list[dict[str, Any]]:
    """Divide the parameters into decayed and undecayed ones, by the named rule.

    ``no_bias_no_norm``: parameters of one dimension do not decay. ``all_but_filters``: parameters of modules with the
    attribute ``is_filter`` do not.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    filters = [module for module in model.modules() if getattr(module, "is_filter", False)]
    of_filters = {id(p) for module in filters for p in module.parameters()}
    decays: Callable[[Tensor], bool] = {
        "all": lambda p: True,
        "no_bias_no_norm": lambda p: p.ndim >= 2,
        "all_but_filters": lambda p: id(p) not in of_filters,
    }[settings.decay]
    hidden = {id(p) for p in hidden_matrices(model)} if settings.name == "muon" else set()
    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in parameters if decays(p) == decayed and (id(p) in hidden) == is_hidden],
            "weight_decay": settings.weight_decay if decayed else 0.0,
            **({"is_hidden": True} if is_hidden else {}),
        }
        for is_hidden in (False, True)
        for decayed in (True, False)
    ]
    return [group for group in groups if group["params"]]


STATE_KEYS: dict[str, tuple[str, ...]] = {  # per optimizer, the tensors it keeps per parameter, of its shape
    "adamw": ("exp_avg", "exp_avg_sq"),
    "adamw_fairseq": ("exp_avg", "exp_avg_sq"),
    "adam": ("exp_avg", "exp_avg_sq"),
    "sgd": ("momentum_buffer",),
    "muon": ("exp_avg", "exp_avg_sq", "momentum_buffer"),  # the last of hidden matrices, the others of all else
}


def fresh_state(name: str, parameter: Tensor, step: int = 0, keys: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Return the state of a parameter after ``step`` updates, with zeros in place of its history.

    Args:
        name: of the optimizer.
        parameter: what it updates.
        step: updates that it has seen.
        keys: what it keeps for this parameter, where that differs from others.
    """
    keys = keys or STATE_KEYS[name]
    state = {key: torch.zeros_like(parameter, memory_format=torch.preserve_format) for key in keys}
    if name != "sgd":
        state["step"] = torch.tensor(float(step), device=parameter.device)  # where the fused update wants it
    return state
