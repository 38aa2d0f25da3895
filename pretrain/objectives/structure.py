"""Secondary structure: the dot-bracket symbol of each nucleotide (UTR-LM, recipes/utr_lm.md#losses)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pretrain.config.sections import Structure
from pretrain.models.heads import StructureHead
from pretrain.objectives.base import (
    IGNORE,
    LossSums,
    Needs,
    Objective,
    ObjectiveContext,
    Outputs,
    class_loss,
    class_targets,
)
from pretrain.objectives.view import SampleView, Targets

if TYPE_CHECKING:
    from pretrain.config import Config

_CLASS = np.full(256, IGNORE, np.int64)
_CLASS[[ord("("), ord("."), ord(")")]] = 0, 1, 2


def structure_note(label_shift: int) -> str:
    """Say which token the structure head reads for which nucleotide."""
    if label_shift == 0:
        return "The structure head gives the symbol of a nucleotide at that nucleotide's own token."
    return (
        "The structure head was trained one column to the left: the symbol of a nucleotide is read at the token "
        "before it, so that of the first nucleotide at `<cls>`."
    )


class StructureObjective(Objective):
    """Three classes '(' '.' ')' at every labeled position, or at the selected ones only. Metric ``accuracy`` (1,)."""

    name = "structure"
    needs = Needs(
        column="structure", advice="structures; fold the corpus (python -m data_prep fold {corpus} --out DIR)"
    )
    scope = "positions"
    baseline = "class frequencies"
    head_reads = "every token (three classes: `(`, `.`, `)`)"

    def __init__(self, settings: Structure, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"accuracy": 1}
        self._masked_only = settings.positions == "masked"
        self._shift = settings.label_shift

    @classmethod
    def misfit(cls, settings: Structure, config: Config) -> str | None:
        """Require masking if only selected positions are targets."""
        if settings.positions == "masked" and config.masking.strategy == "none":
            return (
                "objectives.structure.positions=masked: expected a masking strategy that selects positions, got "
                "masking.strategy=none; set objectives.structure.positions=all"
            )
        return None

    @classmethod
    def card_notes(cls, settings: Structure, facts: Mapping[str, Any]) -> list[str]:
        """Say which nucleotide a token's symbol belongs to."""
        return [structure_note(settings.label_shift)]

    def head(self, context: ObjectiveContext) -> torch.nn.Module:
        """Three classes at every token."""
        return StructureHead(context.hidden_size)

    def targets(self, view: SampleView) -> Targets:
        """Return the symbols of the labeled positions, or of the selected ones only."""
        structure = view.reads.structure
        symbol = self._symbol_of_token(view)
        labeled = np.diff(structure.offsets)[view.sample]
        has = (symbol >= 0) & (symbol < labeled)
        if self._masked_only:
            selected = np.zeros(len(has), bool)
            selected[view.masked.positions] = True
            has &= selected
        positions = np.flatnonzero(has)
        classes = _CLASS[structure.values[structure.offsets[view.sample[positions]] + symbol[positions]]]
        known = classes != IGNORE  # pseudoknot brackets and the like are no class, and are not counted either
        return class_targets(positions[known], classes[known])

    def _symbol_of_token(self, view: SampleView) -> np.ndarray:
        """Index of the symbol of its sequence that each token is trained on, int64 (N,); out of range: none."""
        nucleotide = view.tokens.nucleotide.astype(np.int64)
        if self._shift == 0:
            return nucleotide
        # upstream puts symbol j on column j, where <cls> is column 0: every label sits one token to the left
        column = np.arange(len(nucleotide)) - view.tokens.offsets[view.sample]
        return np.where((nucleotide >= 0) | (column == 0), column, -1)

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        """Cross-entropy of the three classes."""
        assert head is not None
        return class_loss(head(outputs.at(targets["index"])), targets)
