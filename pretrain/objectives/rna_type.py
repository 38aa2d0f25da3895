"""The type of an RNA: a classifier on the first token, or a hidden label token (recipes/rnaernie.md#label)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pretrain.config.sections import RnaType
from pretrain.models.heads import TypeHead
from pretrain.objectives.base import IGNORE, LossSums, ObjectiveContext, Outputs, accuracy_by_group, class_targets
from pretrain.objectives.view import SampleView, Targets


class RnaTypeObjective:
    """Cross-entropy over the types of the corpus (``head``) or over the vocabulary at the label slot (``label_token``).

    Samples of an unknown type have no target. Metric ``accuracy`` (1,).
    """

    name = "rna_type"

    def __init__(self, settings: RnaType, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"accuracy": 1}
        self._label_token = self.uses_output_head = settings.mode == "label_token"
        classes = context.rna_type_ids if self._label_token else range(len(context.rna_types))
        self._class_of = dict(zip(context.rna_types, classes, strict=False))

    def head(self, context: ObjectiveContext) -> torch.nn.Module | None:
        return None if self._label_token else TypeHead(context.hidden_size, len(context.rna_types))

    def targets(self, view: SampleView) -> Targets:
        classes = np.array([self._class_of.get(name or "", IGNORE) for name in view.reads.rna_type], np.int64)
        rows = np.flatnonzero(classes != IGNORE)
        if self._label_token:
            slots = view.tokens.label_position
            assert slots is not None
            selected = np.isin(slots, view.masked.positions)  # a label that stands visibly in the input is no target
            rows = rows[selected[rows]]
            positions = slots[rows]
        else:
            positions = view.tokens.offsets[rows]
        return class_targets(positions, classes[rows])

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        index = targets["index"]
        logits = outputs.token_logits(index) if head is None else head(outputs.hidden[index])
        loss = F.cross_entropy(logits.float(), targets["target"], ignore_index=IGNORE, reduction="sum")
        return LossSums(loss, {"accuracy": accuracy_by_group(logits, targets, 1)})
