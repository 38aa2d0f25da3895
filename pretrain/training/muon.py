"""Muon for the hidden matrices of a model, AdamW for everything else: one optimizer to whoever steps it.

A hidden matrix's update is the nearest orthogonal matrix to its momentum (``torch.optim.Muon``), scaled so that its
values are as large as AdamW's would be: both take the same learning rate and decay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.errors import PolymeraseError

MOMENTUM = 0.95  # as published
_SMALLEST = 16  # sides of a matrix below which orthogonal means nothing


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Weights of the linear layers of the backbone; embeddings, output head and long filters are none."""
    return list(_hidden(getattr(model, "encoder", model)))


def _hidden(module: nn.Module) -> Iterator[nn.Parameter]:
    if getattr(module, "is_filter", False):
        return
    weight = module.weight if isinstance(module, nn.Linear) else None
    if isinstance(weight, nn.Parameter) and weight.requires_grad and min(weight.shape) >= _SMALLEST:
        yield weight
    for child in module.children():
        yield from _hidden(child)


class MuonAdamW(torch.optim.AdamW):
    """Steps two optimizers that share one state.

    Args:
        groups: of parameters; those with ``is_hidden`` hold matrices only.
        options: of AdamW.
    """

    def __init__(self, groups: list[dict[str, Any]], **options: Any):
        if not hasattr(torch.optim, "Muon"):
            raise PolymeraseError("optimizer.name=muon: this version of torch has no Muon; update torch, or use adamw")
        super().__init__(groups, **options)
        self._matrices = {p for group in self.param_groups if group.get("is_hidden") for p in group["params"]}
        own = [
            {key: group[key] for key in ("params", "lr", "weight_decay")}
            for group in self.param_groups
            if group.get("is_hidden")
        ]
        self._muon = torch.optim.Muon(own, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw") if own else None
        if self._muon is not None:
            self._muon.state = self.state

    def state_keys(self, parameter: Tensor) -> tuple[str, ...]:
        """Tensors that are kept for a parameter, shaped like it."""
        return ("momentum_buffer",) if parameter in self._matrices else ("exp_avg", "exp_avg_sq")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group.get("is_hidden")]
        try:
            super().step(closure)
        finally:
            self.param_groups = groups
        if self._muon is None:
            return
        hidden = [group for group in groups if group.get("is_hidden")]
        for own, group in zip(self._muon.param_groups, hidden, strict=True):
            own["lr"] = group["lr"]
        updated = [p for p in self._matrices if p.grad is not None]
        for parameter in updated:
            self.state[parameter].setdefault("step", torch.zeros(()))  # on the host: only checkpoints read it
        self._muon.step()
        for parameter in updated:
            self.state[parameter]["step"] += 1
