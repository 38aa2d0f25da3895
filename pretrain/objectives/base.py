"""What every objective is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pretrain.objectives.view import SampleView, Targets

IGNORE = -100  # class target that contributes nothing


@dataclass(frozen=True)
class ObjectiveContext:
    """What the run knows that objectives need."""

    hidden_size: int
    strategies: tuple[str, ...] = ("base",)  # masking strategies, in the order of the mixture
    soft_labels: bool = False  # the soft_label objective is on
    base_ids: tuple[int, int, int, int] = (0, 0, 0, 0)  # token ids of A, C, G, T/U
    rna_types: tuple[str, ...] = ()  # classes of the rna_type objective, in order
    rna_type_ids: tuple[int, ...] = ()  # their label tokens, IGNORE for types without one
    label_objective: bool = False  # hidden label tokens belong to the rna_type objective
    mfe_mean: float = 0.0  # kcal/mol, of the training corpus
    mfe_std: float = 1.0


@dataclass(frozen=True)
class Outputs:
    """What the encoder gives to objectives."""

    hidden: Tensor  # (N, D)
    token_logits: Callable[[Tensor], Tensor]  # flat positions (M,) -> logits (M, V) of the model's own output head


@dataclass(frozen=True)
class LossSums:
    """A loss summed over its targets, and sums of metrics, all on the device."""

    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """A loss with its head, its targets and its metrics. Registered in ``pretrain/objectives/__init__.py``."""

    name: str
    weight: float
    uses_output_head: bool  # reads ``Outputs.token_logits``
    metrics: dict[str, int]  # what it sums besides its loss, and how many sums (one per strategy, or 1)

    def head(self, context: ObjectiveContext) -> nn.Module | None:
        """The objective's own parameters, or None."""

    def targets(self, view: SampleView) -> Targets:
        """Labels of a micro-batch, on the host."""

    def loss(self, outputs: Outputs, head: nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        """Sum of the loss over the targets (never a mean)."""


def class_targets(positions: np.ndarray, classes: np.ndarray, group: np.ndarray | None = None) -> Targets:
    """Flat positions int64 (M,) with one class each; ``group`` (M,) sorts metrics."""
    count = len(positions)
    if group is None:
        group = np.zeros(count, np.int64)
    if not count:
        positions, classes, group = np.zeros(1, np.int64), np.full(1, IGNORE), np.zeros(1, np.int64)
    return Targets(
        {
            "index": positions.astype(np.int64),
            "target": classes.astype(np.int64),
            "group": group.astype(np.int64),
        },
        count,
    )


def accuracy_by_group(logits: Tensor, targets: dict[str, Tensor], groups: int) -> Tensor:
    """Right predictions per group, float32 (K,). Ignored targets never count."""
    hits = (logits.detach().argmax(dim=-1) == targets["target"]).float()
    return torch.zeros(groups, device=hits.device).index_add_(0, targets["group"], hits)
