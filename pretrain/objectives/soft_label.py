"""Soft labels: the allele frequencies of each selected position (MutBERT, recipes/mutbert.md#objective)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pretrain.config.sections import SoftLabel
from pretrain.objectives.base import LossSums, Needs, Objective, ObjectiveContext, Outputs, metrics_by_group
from pretrain.objectives.hidden_tokens import group_labels, groups_of
from pretrain.objectives.view import SampleView, Targets


class SoftLabelObjective(Objective):
    """Cross-entropy between the label rows and the softmax over the whole vocabulary.

    Labels are sparse: a token id per position, replaced by four frequencies where the population disagrees.
    Metrics ``accuracy`` (the most frequent allele is predicted) and ``loss`` by group.
    """

    name = "soft_label"
    needs = Needs(
        kind="allele_frequencies",
        masking=True,
        causal=False,
        advice="an allele-frequency corpus (python -m data_prep allele-frequencies)",
    )
    scope = "hidden_tokens"
    baseline = "mean of the labels"
    uses_output_head = True

    def __init__(self, settings: SoftLabel, context: ObjectiveContext):
        self.weight, self._context = settings.weight, context
        self.groups = group_labels(context)
        self.metrics = {"accuracy": len(self.groups), "loss": len(self.groups)}
        self._base_ids = torch.tensor(context.base_ids)

    def claims(self, view: SampleView) -> np.ndarray:
        """Claim everything selected in samples with frequencies."""
        return view.reads.has_alleles[view.sample[view.masked.positions]]

    def targets(self, view: SampleView) -> Targets:
        """Return reference tokens, and the frequencies of those that vary."""
        positions = view.masked.positions
        positions = positions[view.reads.has_alleles[view.sample[positions]]]
        count = len(positions)
        # variants among the selected positions: both lists are sorted, so one search finds them
        place = np.searchsorted(positions, view.variant_token)
        found = place < count
        found[found] = positions[place[found]] == view.variant_token[found]
        safe = positions if count else np.zeros(1, np.int64)
        group = groups_of(view, safe, self._context)
        arrays = {
            "index": safe.astype(np.int64),
            "target": view.tokens.ids[safe].astype(np.int64),
            "group": group,
            "valid": np.full(len(safe), float(count > 0), np.float32),
            "soft_row": place[found].astype(np.int64),
            "soft_freq": view.reads.variants.freq[found],
        }
        weight = view.weight_at(positions)
        if weight is not None:
            arrays["weight"] = weight if count else np.zeros(1, np.float32)
        by_group = np.bincount(group[:count], weight, minlength=len(self.groups)).astype(np.float64)
        return Targets(arrays, float(by_group.sum()), by_group)

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        """Cross-entropy of the model's own output head."""
        logits = outputs.token_logits(targets["index"]).float()
        log_probability = logits.log_softmax(dim=-1)
        self._base_ids = base_ids = self._base_ids.to(logits.device)  # copied once: the host waits for that
        picked = log_probability.gather(1, targets["target"][:, None]).squeeze(1)
        soft = (log_probability[targets["soft_row"]][:, base_ids] * targets["soft_freq"]).sum(dim=-1)
        picked = picked.index_put((targets["soft_row"],), soft)
        best = targets["target"].index_put((targets["soft_row"],), base_ids[targets["soft_freq"].argmax(dim=-1)])
        hits = (logits.detach().argmax(dim=-1) == best) & (targets["valid"] > 0)
        picked = picked * targets["valid"]
        weighted = picked * targets["weight"] if "weight" in targets else picked
        losses = -picked.detach()
        return LossSums(-weighted.sum(), metrics_by_group(losses, hits, targets, len(self.groups)), losses, hits)
