"""Minimum free energy: one number per sequence, read at the first token (UTR-LM, recipes/utr_lm.md#losses)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pretrain.config.sections import Mfe
from pretrain.models.heads import MfeHead
from pretrain.objectives.base import LossSums, Needs, Objective, ObjectiveContext, Outputs
from pretrain.objectives.view import SampleView, Targets

_COLUMN = "mfe_kcal_per_mol"


class MfeObjective(Objective):
    """Squared error of the z-scored energy; samples without a label do not count.

    Mean and deviation come from the corpus manifest and are kept in the checkpoint, so predictions can be given in
    kcal/mol. Metric ``absolute_error_kcal_per_mol`` (1,).
    """

    name = "mfe"
    needs = Needs(column=_COLUMN, advice="energies; fold the corpus (python -m data_prep fold {corpus} --out DIR)")
    scope = "sequences"
    baseline = "mean energy"
    unit = "squared deviations per sequence"
    is_likelihood = False
    head_reads = "the first token (one number)"

    def __init__(self, settings: Mfe, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"absolute_error_kcal_per_mol": 1}
        energy: Mapping[str, float] = next((split[_COLUMN] for split in context.train_splits if split.get(_COLUMN)), {})
        self._mean, self._std = energy.get("mean") or 0.0, energy.get("std") or 1.0

    @classmethod
    def card_notes(cls, settings: Mfe, facts: Mapping[str, Any]) -> list[str]:
        """Say how to turn the output of the head into kcal/mol."""
        energy = facts["mfe_normalisation"]
        return [
            "The mfe head predicts (energy - mean) / deviation, with mean "
            f"{energy['mean_kcal_per_mol']:.6g} and deviation {energy['std_kcal_per_mol']:.6g} kcal/mol."
        ]

    def facts(self) -> dict[str, Any]:
        """Mean and deviation of the training energies."""
        return {"mfe_normalisation": {"mean_kcal_per_mol": self._mean, "std_kcal_per_mol": self._std}}

    def head(self, context: ObjectiveContext) -> torch.nn.Module:
        """One number from the first token."""
        return MfeHead(context.hidden_size)

    def targets(self, view: SampleView) -> Targets:
        """Return the z-scores of the sequences whose energy is known."""
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
            float(count),
        )

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        """Squared errors."""
        assert head is not None
        predicted = head(outputs.at(targets["index"])).float().squeeze(-1)
        error = (predicted - targets["target"]) * targets["valid"]
        squares = error.square()
        absolute = (error.detach().abs().sum() * self._std).reshape(1)
        return LossSums(squares.sum(), {"absolute_error_kcal_per_mol": absolute}, squares.detach())
