"""The choice of baselines for an objective, by the scope of its targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from pretrain.baselines.positions import PositionBaselines
from pretrain.baselines.sequences import SequenceBaselines
from pretrain.baselines.tokens import TokenBaselines
from pretrain.batches.collate import MicroBatch
from pretrain.objectives import Objective
from pretrain.objectives.base import TOKEN_SCOPES


class Baselines(Protocol):
    """Baselines of one objective's targets, fitted on training samples."""

    def losses(self, batch: MicroBatch) -> dict[str, np.ndarray]:
        """Return name -> loss (M,) of each target, in the objective's unit; the best constant answer first."""


class NoBaselines:
    """No baselines, for targets that none is made for."""

    def losses(self, batch: MicroBatch) -> dict[str, np.ndarray]:
        """Return nothing."""
        return {}


READERS: dict[str, Callable[..., Baselines]] = {
    "hidden_tokens": TokenBaselines,
    "next_tokens": TokenBaselines,
    "positions": PositionBaselines,
    "sequences": SequenceBaselines,
}


def fit_baselines(
    name: str, objectives: dict[str, Objective], train: Iterable[MicroBatch], components: Any, sequences: int
) -> Baselines:
    """Fit the baselines of one objective on training micro-batches.

    Args:
        name: the objective.
        objectives: all of the run.
        train: micro-batches; only as many are read as the baselines need.
        components: of the run: its tokenizer and its context.
        sequences: number of held-out sequences.
    """
    if objectives[name].scope in TOKEN_SCOPES and not objectives[name].is_likelihood:
        return NoBaselines()  # readers give probabilities of tokens, and this loss is not made of them
    return READERS[objectives[name].scope](name, objectives, components.tokenizer, components.context, train, sequences)
