"""The type of an RNA: a classifier on the first token, or a hidden label token (recipes/rnaernie.md#label)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pretrain.config.sections import RnaType
from pretrain.models.heads import TypeHead
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

_PUBLISHED_TYPES = 28  # classes of the published head: its size where no corpus says which types there are


class RnaTypeObjective(Objective):
    """Cross-entropy over the types of the corpus (``head``) or over the vocabulary at the label slot (``label_token``).

    Samples of an unknown type have no target. Metric ``accuracy`` (1,).
    """

    name = "rna_type"
    needs = Needs(column="rna_type", advice="a corpus with an rna_type column")
    scope = "sequences"
    baseline = "type frequencies"
    head_reads = "the first token"

    def __init__(self, settings: RnaType, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"accuracy": 1}
        self._label_token = self.uses_output_head = settings.mode == "label_token"
        named = {name for split in context.train_splits for name in split.get("rna_type", ())} - {"(none)"}
        self._types = sorted(named)
        tokens = {token: number for number, token in enumerate(context.vocabulary)}
        self._class_of = {
            name: tokens.get(name.replace("_", ""), IGNORE) if self._label_token else number
            for number, name in enumerate(self._types)
        }

    @classmethod
    def misfit(cls, settings: RnaType, config: Config) -> str | None:
        """Require that label tokens are sometimes hidden if they are targets."""
        if settings.mode == "label_token" and not (config.corpus.label_slot and config.masking.label_rate):
            return "objectives.rna_type.mode=label_token needs corpus.label_slot=true and masking.label_rate above 0"
        return None

    @classmethod
    def card_notes(cls, settings: RnaType, facts: Mapping[str, Any]) -> list[str]:
        """Name the classes."""
        types = facts["rna_types"]
        return [f"Classes of the rna_type head, in order: {', '.join(types)}."] if types else []

    def facts(self) -> dict[str, Any]:
        """The classes, in order."""
        return {"rna_types": list(self._types)}

    def head(self, context: ObjectiveContext) -> torch.nn.Module | None:
        """A classifier on the first token; the label token is read by the output head."""
        return None if self._label_token else TypeHead(context.hidden_size, len(self._types) or _PUBLISHED_TYPES)

    def claims(self, view: SampleView) -> np.ndarray | None:
        """Hidden label tokens."""
        return ~view.tokens.maskable[view.masked.positions] if self._label_token else None

    def targets(self, view: SampleView) -> Targets:
        """The types that are known and, as label tokens, hidden."""
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
        """Cross-entropy of its own head or of the output head."""
        index = targets["index"]
        return class_loss(outputs.token_logits(index) if head is None else head(outputs.at(index)), targets)
