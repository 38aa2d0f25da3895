"""Masked language modelling: the original token at every selected position."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pretrain.config.sections import Mlm
from pretrain.objectives.base import IGNORE, LossSums, ObjectiveContext, Outputs, accuracy_by_group, class_targets
from pretrain.objectives.view import SampleView, Targets


class MlmObjective:
    """Cross-entropy in float32 over the vocabulary, head on the selected positions only.

    Metric ``accuracy`` (K,): right predictions by masking strategy of a mixture (K = 1 otherwise).
    """

    name = "mlm"
    uses_output_head = True

    def __init__(self, settings: Mlm, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"accuracy": len(context.strategies)}
        self._skip_alleles = context.soft_labels
        self._skip_labels = context.label_objective

    def head(self, context: ObjectiveContext) -> None:
        """Uses the model's own output head."""

    def targets(self, view: SampleView) -> Targets:
        positions = view.masked.positions
        if self._skip_alleles:  # those positions have soft labels
            positions = positions[~view.reads.has_alleles[view.sample[positions]]]
        if self._skip_labels:  # those are of the rna_type objective
            positions = positions[view.tokens.maskable[positions]]
        return class_targets(positions, view.tokens.ids[positions], view.masked.strategy[view.sample[positions]])

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        logits = outputs.token_logits(targets["index"])
        loss = F.cross_entropy(logits.float(), targets["target"], ignore_index=IGNORE, reduction="sum")
        return LossSums(loss, {"accuracy": accuracy_by_group(logits, targets, self.metrics["accuracy"])})
