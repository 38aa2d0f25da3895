"""Minimum free energy: one number per sequence, read at the first token (UTR-LM, recipes/utr_lm.md#losses)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pretrain.config.sections import Mfe
from pretrain.models.heads import MfeHead
from pretrain.objectives.base import LossSums, ObjectiveContext, Outputs
from pretrain.objectives.view import SampleView, Targets


class MfeObjective:
    """Squared error of the z-scored energy; samples without a label do not count.

    Mean and deviation come from the corpus manifest and are kept in the checkpoint, so predictions can be given in
    kcal/mol. Metric ``absolute_error_kcal_per_mol`` (1,).
    """

    name = "mfe"
    uses_output_head = False

    def __init__(self, settings: Mfe, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"absolute_error_kcal_per_mol": 1}
        self._mean, self._std = context.mfe_mean, context.mfe_std

    def head(self, context: ObjectiveContext) -> torch.nn.Module:
        return MfeHead(context.hidden_size)

    def targets(self, view: SampleView) -> Targets:
        energy = view.reads.mfe_kcal_per_mol
        rows = np.flatnonzero(~np.isnan(energy))
        count = len(rows)
        rows = rows if count else np.zeros(1, np.int64)
        score = (energy[rows] - self._mean) / self._std if count else np.zeros(1)
        return Targets(
            {
                "index": view.tokens.offsets[rows].astype(np.int64),
                "target": score.astype(np.float32),
                "valid": np.full(len(rows), float(count > 0), np.float32),
            },
            count,
        )

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        assert head is not None
        predicted = head(outputs.hidden[targets["index"]]).float().squeeze(-1)
        error = (predicted - targets["target"]) * targets["valid"]
        absolute = (error.detach().abs().sum() * self._std).reshape(1)
        return LossSums(error.square().sum(), {"absolute_error_kcal_per_mol": absolute})
