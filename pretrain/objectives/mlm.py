"""Masked language modeling: the original token at every selected position."""

from __future__ import annotations

import torch
from torch import Tensor

from pretrain.config.sections import Mlm
from pretrain.objectives.base import LossSums, Needs, Objective, ObjectiveContext, Outputs, class_loss, class_targets
from pretrain.objectives.hidden_tokens import group_labels, groups_of
from pretrain.objectives.view import SampleView, Targets


class MlmObjective(Objective):
    """Cross-entropy in float32 over the vocabulary, head on the selected positions only.

    Metrics ``accuracy`` and ``loss`` by group: hidden and shown targets of each masking strategy.
    """

    name = "mlm"
    needs = Needs(masking=True, causal=False)
    scope = "hidden_tokens"
    baseline = "letter frequencies"
    uses_output_head = True

    def __init__(self, settings: Mlm, context: ObjectiveContext):
        self.weight, self._context = settings.weight, context
        self.groups = group_labels(context)
        self.metrics = {"accuracy": len(self.groups), "loss": len(self.groups)}

    def targets(self, view: SampleView) -> Targets:
        """The tokens that stood at the selected positions."""
        positions = view.free_positions
        group = groups_of(view, positions, self._context)
        return class_targets(positions, view.tokens.ids[positions], group, len(self.groups), view.weight_at(positions))

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        """Cross-entropy of the model's own output head."""
        return class_loss(outputs.token_logits(targets["index"]), targets, len(self.groups))
