"""Linear probes by k-fold cross-validation: ridge regression for values, logistic regression for classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pretrain.evaluation.probing.linear import (
    INVERSE_STRENGTHS,
    RIDGE_STRENGTHS,
    logistic,
    probabilities,
    standardized,
)
from pretrain.evaluation.probing.metrics import measure
from pretrain.evaluation.probing.table import LabeledSequences

_MIDDLE = 1.0  # inverse strength where there are too few rows to choose one


def probe(features: np.ndarray, table: LabeledSequences, folds: int, seed: int) -> dict[str, Any]:
    """Return mean and deviation over folds of each metric.

    Args:
        features: float (S, F), standardized within the training folds.
        table: labels (S,).
        folds: number of folds.
        seed: equal seeds give equal folds.

    Returns:
        The metrics of :func:`probing.metrics.measure`, each {"mean", "std"}.
    """
    results = []
    for train, test in folds_of(table, folds, seed):
        (x, held_out), y = standardized(features[train], features[test]), table.labels[train]
        if table.is_classification:
            guess = _classes(x, y, held_out, len(table.classes), seed)
        else:
            guess = _values(x, y, held_out)
        results.append(score(table.labels[test], guess))
    return mean_and_deviation(results)


def folds_of(table: LabeledSequences, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield training and test rows of each fold; classes are spread evenly over folds."""
    from sklearn.model_selection import KFold, StratifiedKFold

    splitter = (StratifiedKFold if table.is_classification else KFold)(folds, shuffle=True, random_state=seed)
    return splitter.split(np.zeros(len(table.labels)), table.labels)


def mean_and_deviation(results: list[dict[str, float]]) -> dict[str, Any]:
    """Metric -> {"mean", "std"} over folds."""
    return {
        name: {
            "mean": float(np.mean([result[name] for result in results])),
            "std": float(np.std([result[name] for result in results])),
        }
        for name in results[0]
    }


def score(true: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    """Metrics of one fold; guess: (S, C) scores of classes, or (S,) values."""
    return {name: float(value[0]) for name, value in measure(true, guess).items()}


def _classes(x: np.ndarray, y: np.ndarray, held_out: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Probabilities; the strength is chosen on a fifth of the training folds, where they have rows to spare for it."""
    from sklearn.model_selection import train_test_split

    seen, counts = np.unique(y, return_counts=True)
    outer_rows = max(int(np.ceil(0.2 * len(y))), len(seen))
    if counts.min() < 2 or len(y) - outer_rows < len(seen):
        return probabilities(logistic(_MIDDLE, x, y), held_out, classes)
    inner, outer, inner_y, outer_y = train_test_split(x, y, test_size=outer_rows, random_state=seed, stratify=y)
    inverse = max(INVERSE_STRENGTHS, key=lambda c: logistic(c, inner, inner_y).score(outer, outer_y))
    return probabilities(logistic(inverse, x, y), held_out, classes)


def _values(x: np.ndarray, y: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=np.array(RIDGE_STRENGTHS) * x.shape[1]).fit(x, y).predict(held_out)
