"""Secondary structure: the dot-bracket symbol of each nucleotide (UTR-LM, recipes/utr_lm.md#losses)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pretrain.config.sections import Structure
from pretrain.models.heads import StructureHead
from pretrain.objectives.base import IGNORE, LossSums, ObjectiveContext, Outputs, accuracy_by_group, class_targets
from pretrain.objectives.view import SampleView, Targets

_CLASS = np.full(256, IGNORE, np.int64)
_CLASS[[ord("("), ord("."), ord(")")]] = 0, 1, 2


class StructureObjective:
    """Three classes '(' '.' ')' at every labelled position, or at the selected ones only. Metric ``accuracy`` (1,)."""

    name = "structure"
    uses_output_head = False

    def __init__(self, settings: Structure, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"accuracy": 1}
        self._masked_only = settings.positions == "masked"
        self._shift = settings.label_shift

    def head(self, context: ObjectiveContext) -> torch.nn.Module:
        return StructureHead(context.hidden_size)

    def targets(self, view: SampleView) -> Targets:
        structure = view.reads.structure
        symbol = self._symbol_of_token(view)
        labelled = np.diff(structure.offsets)[view.sample]
        has = (symbol >= 0) & (symbol < labelled)
        if self._masked_only:
            selected = np.zeros(len(has), bool)
            selected[view.masked.positions] = True
            has &= selected
        positions = np.flatnonzero(has)
        classes = _CLASS[structure.values[structure.offsets[view.sample[positions]] + symbol[positions]]]
        known = classes != IGNORE  # pseudoknot brackets and the like are no class, and are not counted either
        return class_targets(positions[known], classes[known])

    def _symbol_of_token(self, view: SampleView) -> np.ndarray:
        """Which symbol of its sequence each token is trained on, int64 (N,); out of range: none."""
        nucleotide = view.tokens.nucleotide.astype(np.int64)
        if self._shift == 0:
            return nucleotide
        # upstream puts symbol j on column j, where <cls> is column 0: every label sits one token to the left
        column = np.arange(len(nucleotide)) - view.tokens.offsets[view.sample]
        return np.where((nucleotide >= 0) | (column == 0), column, -1)

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        assert head is not None
        logits = head(outputs.hidden[targets["index"]])
        loss = F.cross_entropy(logits.float(), targets["target"], ignore_index=IGNORE, reduction="sum")
        return LossSums(loss, {"accuracy": accuracy_by_group(logits, targets, 1)})
