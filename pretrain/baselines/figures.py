"""Means over held-out targets with their standard errors, beside baselines on the very same targets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SIGMAS = 2.0  # standard errors of a difference before it is said to be one


@dataclass(frozen=True)
class TargetLosses:
    """M held-out targets of one objective.

    Attributes:
        loss: float64 (M,).
        hits: bool (M,), whether the likeliest answer is right; None if answers are not classes.
        weight: float64 (M,).
        sequence: int64 (M,), held-out sequence of each: sequences are independent, their targets are not.
        baselines: name -> loss (M,); the best constant answer first.
    """

    loss: np.ndarray
    hits: np.ndarray | None
    weight: np.ndarray
    sequence: np.ndarray
    baselines: dict[str, np.ndarray] = field(default_factory=dict)

    def figures(self, rows: np.ndarray | None = None) -> dict[str, Any]:
        """Summarize all targets, or some, bool (M,): loss, standard error, accuracy, baselines, the best of them.

        ``difference`` is the loss minus that of the best baseline, ``constant_difference`` minus that of the constant
        answer, each with a standard error of its own: losses are paired target by target.
        """
        rows = np.ones(len(self.loss), bool) if rows is None else rows
        weight, sequence = self.weight[rows], self.sequence[rows]
        result: dict[str, Any] = {"targets": int(rows.sum()), "sequences": len(np.unique(sequence))}
        if not weight.any():
            return result
        result["loss"], result["standard_error"] = mean_and_error(self.loss[rows], weight, sequence)
        if self.hits is not None:
            result["accuracy"] = float(np.average(self.hits[rows], weights=weight))
        if self.baselines:
            means = {name: float(np.average(loss[rows], weights=weight)) for name, loss in self.baselines.items()}
            best = min(means, key=lambda name: means[name])
            result |= {"baselines": means, "best_baseline": best}
            for key, name in (("", best), ("constant_", next(iter(means)))):
                difference, error = mean_and_error((self.loss - self.baselines[name])[rows], weight, sequence)
                result |= {f"{key}difference": difference, f"{key}difference_standard_error": error}
        return result


def mean_and_error(values: np.ndarray, weight: np.ndarray, sequence: np.ndarray) -> tuple[float, float | None]:
    """Return the weighted mean of values (M,) and its standard error over sequences; None if there is only one.

    The mean is a ratio of sums over sequences; its error follows from how far each sequence's sum lies from the one the
    mean predicts (the delta method), so many targets in few sequences claim no more than those few allow.
    """
    _, row = np.unique(sequence, return_inverse=True)
    total = np.bincount(row, weight)
    mean = float(np.average(values, weights=weight))
    count = len(total)
    if count < 2:
        return mean, None
    away = np.bincount(row, weight * (values - mean))
    return mean, math.sqrt(float(np.square(away).sum()) * count / (count - 1)) / float(total.sum())


def verdict(figures: dict[str, Any], than: str = "") -> str:
    """Return ``better`` or ``worse`` than the best baseline beyond two standard errors, ``level``, or ``unknown``."""
    difference, error = figures.get(f"{than}difference"), figures.get(f"{than}difference_standard_error")
    if difference is None or error is None:
        return "unknown"
    if abs(difference) <= SIGMAS * error:
        return "level"
    return "better" if difference < 0 else "worse"
