"""Linear probes by k-fold cross-validation: ridge regression for values, logistic regression for classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from pretrain.evaluation.probing.table import LabelledSequences

_STRENGTHS = np.logspace(-2, 3, 6)  # of the ridge penalty, chosen on the training folds
_INVERSE_STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # of the logistic one, chosen on a fifth of the training folds
_ITERATIONS = 500


def probe(features: np.ndarray, table: LabelledSequences, folds: int, seed: int) -> dict[str, Any]:
    """Mean and deviation over folds of each metric.

    Args:
        features: float (S, F), standardised within the training folds.

    Returns:
        classification: accuracy, macro_f1, mcc (Matthews). regression: spearman, r2, rmse. Each {"mean", "std"}.
    """
    from sklearn.exceptions import ConvergenceWarning

    results = []
    # a fit that has not quite converged is a probe like any other
    warnings.simplefilter("ignore", ConvergenceWarning)
    for train, test in folds_of(table, folds, seed):
        x, y = features[train], table.labels[train]
        mean, deviation = x.mean(axis=0), x.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        x, held_out = (x - mean) / scale, (features[test] - mean) / scale
        if table.is_classification:
            guess = _classes(x, y, held_out, seed)
        else:
            guess = _values(x, y, held_out)
        results.append(score(table, table.labels[test], guess))
    return mean_and_deviation(results)


def folds_of(table: LabelledSequences, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Training and test rows of each fold; classes are spread evenly over folds."""
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


def score(table: LabelledSequences, true: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    """Metrics of one fold."""
    if table.is_classification:
        from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

        return {
            "accuracy": float(accuracy_score(true, guess)),
            "macro_f1": float(f1_score(true, guess, average="macro")),
            "mcc": float(matthews_corrcoef(true, guess)),
        }
    from scipy.stats import spearmanr
    from sklearn.metrics import r2_score

    spearman = spearmanr(true, guess).statistic if np.ptp(guess) and np.ptp(true) else 0.0
    return {
        "spearman": float(spearman),
        "r2": float(r2_score(true, guess)),
        "rmse": float(np.sqrt(np.mean((true - guess) ** 2))),
    }


def _classes(x: np.ndarray, y: np.ndarray, held_out: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    def fitted(inverse: float, rows: np.ndarray, labels: np.ndarray) -> Any:
        return LogisticRegression(C=inverse, max_iter=_ITERATIONS).fit(rows, labels)

    enough = np.bincount(y)[np.unique(y)].min() > 1
    inner, outer, inner_y, outer_y = train_test_split(
        x, y, test_size=max(0.2, len(np.unique(y)) / len(y)), random_state=seed, stratify=y if enough else None
    )
    inverse = max(_INVERSE_STRENGTHS, key=lambda c: fitted(c, inner, inner_y).score(outer, outer_y))
    return fitted(inverse, x, y).predict(held_out)


def _values(x: np.ndarray, y: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=_STRENGTHS * x.shape[1]).fit(x, y).predict(held_out)
