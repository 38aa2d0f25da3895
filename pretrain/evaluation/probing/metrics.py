"""Metrics of each field, for many weightings of the same rows at once: a bootstrap is one call.

S rows, C classes, B weightings (how often each row counts; one row of ones is the plain figure).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

CLASSIFICATION = ("accuracy", "macro_f1", "mcc", "auroc", "aupr")
REGRESSION = ("spearman", "pearson", "r2", "rmse")
LOWER_IS_BETTER = frozenset({"rmse"})
_RANGES = {  # of metrics that are no share of 0 to 1
    "mcc": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "pearson": (-1.0, 1.0),
    "r2": (-np.inf, 1.0),
    "rmse": (0.0, np.inf),
}


def range_of(metric: str) -> tuple[float, float]:
    """Return the least and the largest value a metric can have; also those of pairs and ranks are shares."""
    return _RANGES.get(metric, (0.0, 1.0))


def measure(true: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Compute every metric of the task, float64 (B,) each.

    Args:
        true: int64 (S,) classes, or float64 (S,) values.
        scores: (S, C), the largest of a row is the predicted class; or (S,) values.
        weights: (B, S), whole numbers; one row of ones by default.

    Returns:
        Classes: accuracy, macro_f1 (over classes that occur or are predicted), mcc (Matthews), auroc and aupr (average
        precision; of two classes that of the second, of more the mean over classes that occur, each against the rest).
        Values: spearman, pearson, r2, rmse. Metrics that a weighting leaves undefined (one class only, no spread) are
            NaN,
        except correlations, MCC and F1 of constant answers, which are 0.
    """
    weights = np.ones((1, len(true))) if weights is None else np.asarray(weights, np.float64)
    return _of_classes(true, scores, weights) if scores.ndim == 2 else _of_values(true, scores, weights)


def _of_classes(true: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    classes = scores.shape[1]
    cell = true * classes + scores.argmax(axis=1)
    table = np.stack([np.bincount(cell, w, classes**2) for w in weights]).reshape(-1, classes, classes)
    right = table.diagonal(axis1=1, axis2=2)  # (B, C)
    occurs, said, total = table.sum(axis=2), table.sum(axis=1), table.sum(axis=(1, 2))
    f1 = np.divide(2 * right, occurs + said, out=np.zeros_like(right), where=occurs + said > 0)
    spread = (total**2 - (said**2).sum(axis=1)) * (total**2 - (occurs**2).sum(axis=1))
    covariance = right.sum(axis=1) * total - (said * occurs).sum(axis=1)
    ones = [1] if classes == 2 else range(classes)
    curves = np.stack([_curves(true == one, scores[:, one], weights) for one in ones])  # (ones, 2, B)
    with np.errstate(invalid="ignore"):
        counted = np.isfinite(curves)
        areas = np.where(counted, curves, 0).sum(axis=0) / counted.sum(axis=0)
    return {
        "accuracy": right.sum(axis=1) / total,
        "macro_f1": f1.sum(axis=1) / (occurs + said > 0).sum(axis=1),
        "mcc": np.divide(covariance, np.sqrt(spread), out=np.zeros_like(total), where=spread > 0),
        "auroc": areas[0],
        "aupr": areas[1],
    }


def _curves(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Areas under the ROC curve and average precision, (2, B); NaN where a weighting has one kind only."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])  # of each stretch of equal scores
    ordered = weights[:, order]
    hits = np.cumsum(ordered * positive[order], axis=1)[:, last]
    misses = np.cumsum(ordered * ~positive[order], axis=1)[:, last]
    new_hits, new_misses = np.diff(hits, prepend=0, axis=1), np.diff(misses, prepend=0, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(hits / (hits + misses))
        roc = (new_misses * (hits - new_hits / 2)).sum(axis=1) / (hits[:, -1] * misses[:, -1])
        area = (new_hits * precision).sum(axis=1) / hits[:, -1]
    return np.stack([roc, np.where(misses[:, -1] > 0, area, np.nan)])


def _of_values(true: np.ndarray, guess: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    true, guess = np.asarray(true, np.float64), np.asarray(guess, np.float64)
    total = weights.sum(axis=1)
    squares = weights @ (true - guess) ** 2
    mean = weights @ true / total
    spread = np.maximum(weights @ true**2 - total * mean**2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = np.where(spread > 0, 1 - squares / spread, np.nan)
    spearman = _correlation(_ranks(true, weights), _ranks(guess, weights), weights)
    pearson = _correlation(true[None] - true.mean(), guess[None] - guess.mean(), weights)
    return {"spearman": spearman, "pearson": pearson, "r2": r2, "rmse": np.sqrt(squares / total)}


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean ranks (B, S) that rows have where each stands there as often as its weight says."""
    group = rankdata(values, "dense") - 1
    size = np.stack([np.bincount(group, w) for w in weights])
    below = np.cumsum(size, axis=1) - size
    return (below + (size + 1) / 2)[:, group]


def _correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1, keepdims=True)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    together = (weights * x * y).sum(axis=1)
    apart = np.sqrt((weights * x**2).sum(axis=1) * (weights * y**2).sum(axis=1))
    return np.divide(together, apart, out=np.zeros_like(together), where=apart > 1e-12)
