"""Causal language modeling: the next token, at every token of a sequence."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pretrain.config.sections import CausalLm
from pretrain.objectives.base import LossSums, Needs, Objective, ObjectiveContext, Outputs, class_loss, class_targets
from pretrain.objectives.view import SampleView, Targets


class CausalLmObjective(Objective):
    """Cross-entropy of the next token; the last token of a sequence predicts nothing.

    Sequences are packed one after another and their positions begin anew with each, so no target lies in another
    sequence. Metric ``accuracy`` (1,).
    """

    name = "causal_lm"
    needs = Needs(masking=False, causal=True)
    scope = "next_tokens"
    baseline = "letter frequencies"
    uses_output_head = True

    def __init__(self, settings: CausalLm, context: ObjectiveContext):
        self.weight = settings.weight
        self.metrics = {"accuracy": 1}
        unknown = [token for token in settings.ignored_tokens if token not in context.vocabulary]
        if unknown and context.vocabulary:
            from pretrain.errors import PolymeraseError

            raise PolymeraseError(
                f"objectives.causal_lm.ignored_tokens: expected tokens of the vocabulary, got {unknown[0]!r}; "
                f"the first ones are {', '.join(context.vocabulary[:12])}"
            )
        self._ignored = np.array([context.vocabulary.index(t) for t in settings.ignored_tokens if t not in unknown])

    def targets(self, view: SampleView) -> Targets:
        """Every token but the last one of each sequence, with the token after it."""
        ids, positions = view.tokens.ids, next_token_positions(view)
        positions = positions[~np.isin(ids[positions + 1], self._ignored)]
        return class_targets(positions, ids[positions + 1], weight=view.weight_at(positions + 1))

    def loss(self, outputs: Outputs, head: torch.nn.Module | None, targets: dict[str, Tensor]) -> LossSums:
        """Cross-entropy of the model's own output head."""
        return class_loss(outputs.token_logits(targets["index"]), targets)


def next_token_positions(view: SampleView) -> np.ndarray:
    """Return the flat positions of all tokens that are followed by another one of the same sequence, int64 (M,)."""
    offsets = view.tokens.offsets
    last = np.zeros(len(view.tokens.ids), bool)
    last[offsets[1:][offsets[1:] > offsets[:-1]] - 1] = True
    return np.flatnonzero(~last)
