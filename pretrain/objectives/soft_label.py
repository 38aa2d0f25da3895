"""Soft labels: the allele frequencies of each selected position (MutBERT, recipes/mutbert.md#objective)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pretrain.config.sections import SoftLabel
from pretrain.objectives.base import LossSums, ObjectiveContext, Outputs
from pretrain.objectives.view import SampleView, Targets


class SoftLabelObjective:
    """Cross-entropy between the label rows and the softmax over the whole vocabulary.

    Labels are sparse: a token id per position, replaced by four frequencies where the population disagrees.
    Metric ``accuracy`` (1,): the most frequent allele is predicted.
    """

    name = "soft_label"
    uses_output_head = True

    def __init__(self, settings: SoftLabel, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"accuracy": 1}
        self._base_ids = torch.tensor(context.base_ids)

    def head(self, context: ObjectiveContext) -> None:
        """Uses the model's own output head."""

    def targets(self, view: SampleView) -> Targets:
        positions = view.masked.positions
        positions = positions[view.reads.has_alleles[view.sample[positions]]]
        count = len(positions)
        # variants among the selected positions: both lists are sorted, so one search finds them
        place = np.searchsorted(positions, view.variant_token)
        found = place < count
        found[found] = positions[place[found]] == view.variant_token[found]
        safe = positions if count else np.zeros(1, np.int64)
        return Targets(
            {
                "index": safe.astype(np.int64),
                "target": view.tokens.ids[safe].astype(np.int64),
                "valid": np.full(len(safe), float(count > 0), np.float32),
                "soft_row": place[found].astype(np.int64),
                "soft_freq": view.reads.variants.freq[found],
            },
            count,
        )

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        logits = outputs.token_logits(targets["index"]).float()
        log_probability = logits.log_softmax(dim=-1)
        self._base_ids = base_ids = self._base_ids.to(logits.device)  # copied once: the host waits for that
        picked = log_probability.gather(1, targets["target"][:, None]).squeeze(1)
        soft = (log_probability[targets["soft_row"]][:, base_ids] * targets["soft_freq"]).sum(dim=-1)
        picked = picked.index_put((targets["soft_row"],), soft)
        best = targets["target"].index_put((targets["soft_row"],), base_ids[targets["soft_freq"].argmax(dim=-1)])
        correct = ((logits.detach().argmax(dim=-1) == best) * targets["valid"]).sum().reshape(1)
        return LossSums(-(picked * targets["valid"]).sum(), {"accuracy": correct})
