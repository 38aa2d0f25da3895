"""Which readers a loss is compared with, by what one of its targets is."""

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
    """Readers of one objective's targets, fitted on training samples."""

    def losses(self, batch: MicroBatch) -> dict[str, np.ndarray]:
        """Name -> loss (M,) of each target, in the objective's unit; the best constant answer first."""


class NoBaselines:
    """Nothing to compare with."""

    def losses(self, batch: MicroBatch) -> dict[str, np.ndarray]:
        """Nothing."""
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
    """The readers of one objective, fitted on training micro-batches.

    Args:
        name: the objective.
        objectives: all of the run.
        train: micro-batches; only as many are read as the readers need.
        components: of the run: its tokenizer and its context.
        sequences: held-out sequences they will be asked about.
    """
    if objectives[name].scope in TOKEN_SCOPES and not objectives[name].is_likelihood:
        return NoBaselines()  # readers give probabilities of tokens, and this loss is not made of them
    return READERS[objectives[name].scope](name, objectives, components.tokenizer, components.context, train, sequences)
