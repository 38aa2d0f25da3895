"""Optimizer steps of a published recipe, with the project's own optimizer and learning rates."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretrain.config.sections import Optimizer
from pretrain.training.optim import build_optimizer
from pretrain.training.schedule import learning_rate
from tests.training.corpora import config


@dataclass
class Steps:
    """What each step reported."""

    losses: list[float]
    gradient_norms: list[float]


def run_steps(
    model: nn.Module, losses: list[Callable[[], Tensor]], settings: Optimizer, rate: Callable[[int], float]
) -> Steps:
    """One update per loss function, clipped as ``settings`` say."""
    optimizer, steps = build_optimizer(model, settings), Steps([], [])
    for number, loss_of in enumerate(losses):
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm or math.inf)  # 0: no clipping
        for group in optimizer.param_groups:
            group["lr"] = rate(number)
        optimizer.step()
        steps.losses.append(float(loss.detach()))
        steps.gradient_norms.append(float(norm))
    return steps


def decays(model: nn.Module, settings: Optimizer) -> dict[str, float]:
    """Weight decay of each parameter, by our name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optimizer(model, settings).param_groups
    return {names[id(parameter)]: group["weight_decay"] for group in groups for parameter in group["params"]}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Gradient of each parameter, by our name."""
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in model.named_parameters()}


def rate_of(lr: float, **schedule: Any) -> Callable[[int], float]:
    """Learning rate of each update under a ``schedule`` section."""
    return learning_rate(config(Path("run"), Path("corpus"), optimizer__lr=lr, schedule=schedule))
