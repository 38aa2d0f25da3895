"""The module that is trained: a language model, and a head for each objective that needs one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pretrain.models import LanguageModel, PackedBatch
from pretrain.objectives.base import LossSums, Objective, ObjectiveContext, Outputs


class PretrainingModel(LanguageModel):
    """A language model with objectives; its forward returns the weighted sum of the losses, and sums for the log.

    Args:
        model: backbone and output head.
        objectives: by name.
        context: what their heads need.
    """

    def __init__(self, model: LanguageModel, objectives: dict[str, Objective], context: ObjectiveContext):
        heads = {name: objective.head(context) for name, objective in objectives.items()}
        super().__init__(
            model.encoder, model.mlm_head, {name: head for name, head in heads.items() if head is not None}
        )
        self.objectives = objectives

    def forward(  # type: ignore[override]
        self, batch: PackedBatch, targets: dict[str, dict[str, Tensor]], coefficients: dict[str, float]
    ) -> tuple[Tensor, dict[str, LossSums]]:
        """Compute the losses of one micro-batch.

        Args:
            batch: N packed tokens.
            targets: per objective, its arrays as tensors.
            coefficients: per objective the factor of its sum (weight / divisor of the recipe).

        Returns:
            Scalar loss, and per objective the sums before any division.
        """
        hidden = self.encoder(batch).hidden
        outputs = Outputs(hidden, lambda index: self.logits_at(hidden, index))
        sums = {
            name: objective.loss(outputs, self._head(name), targets[name])
            for name, objective in self.objectives.items()
        }
        loss = torch.stack([parts.loss * coefficients[name] for name, parts in sums.items()]).sum()
        if not any(objective.uses_output_head for objective in self.objectives.values()):
            # every parameter takes part in every step, also those no objective reads
            loss = loss + 0.0 * outputs.token_logits(batch.cu_seqlens[:1].long()).sum()
        return loss, sums

    def _head(self, name: str) -> nn.Module | None:
        return self.heads[name] if name in self.heads else None  # noqa: SIM401 (a ModuleDict has no get)
