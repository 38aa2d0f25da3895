"""What a model has to beat, without any pretraining: counts of k-mers, with and without positions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_prep.corpus import Ragged
from pretrain.evaluation.bench.figures import Answers
from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.probing.features import kmer_counts, letters_at_ends
from pretrain.evaluation.probing.linear import fit_by_dev

_REACH = 50  # letters from either end whose place is told


def _counts(sequences: Ragged) -> np.ndarray:
    """(S, 256)."""
    return kmer_counts(sequences, 4)


def _counts_and_places(sequences: Ragged) -> np.ndarray:
    """(S, 256 + 400)."""
    return np.concatenate([_counts(sequences), letters_at_ends(sequences, _REACH)], axis=1)


BARS: dict[str, Callable[[Ragged], np.ndarray]] = {"kmer4": _counts, "kmer4_positions": _counts_and_places}


def bar_answers(task: Task) -> dict[str, Answers]:
    """A linear model on the features of every bar, its strength chosen on dev rows."""
    return {name: linear_answers(task, features(task.table.sequences)) for name, features in BARS.items()}


def linear_answers(task: Task, features: np.ndarray) -> Answers:
    """A logistic or ridge regression on features (S, F) of all rows: fitted on train, chosen on dev, asked on test."""
    rows = (task.rows["train"], task.rows["dev"], task.rows["test"])
    fitted = fit_by_dev(features, task.table.labels, len(task.table.classes), rows, task.metric)
    return Answers([fitted.scores], {"strength": fitted.strength, "features": features.shape[1]})
