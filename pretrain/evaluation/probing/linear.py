"""Linear models on standardized features: logistic for classes, ridge for values."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from pretrain.evaluation.probing.metrics import LOWER_IS_BETTER, measure

INVERSE_STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # of the logistic penalty
RIDGE_STRENGTHS = tuple(np.logspace(-2, 3, 6).tolist())  # of the ridge penalty, per feature
_ITERATIONS = 500


@dataclass(frozen=True)
class Fitted:
    """scores: float64 (S, C) probabilities or (S,) values of the rows that were asked for. strength: the one chosen."""

    scores: np.ndarray
    strength: float


def standardized(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Standardize each by mean and deviation of ``train``; columns without spread become 0."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    return [(x - mean) / scale for x in (train, *others)]


def logistic(inverse_strength: float, x: np.ndarray, y: np.ndarray) -> Any:
    """Fit a logistic regression. One that has not quite converged, or has many classes, is a probe like any other."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return LogisticRegression(C=inverse_strength, max_iter=_ITERATIONS).fit(x, y)


def probabilities(model: Any, x: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities (S, C); classes that the model has not seen have 0."""
    result = np.zeros((len(x), classes))
    result[:, model.classes_] = model.predict_proba(x)
    return result


def fit_by_dev(
    features: np.ndarray, labels: np.ndarray, classes: int, rows: tuple[np.ndarray, np.ndarray, np.ndarray], metric: str
) -> Fitted:
    """Fit on training rows, choose the strength by ``metric`` on dev rows, answer for test rows.

    Args:
        features: float (S, F), as they are; standardized by the training rows here.
        labels: int64 (S,) classes, or float64 (S,) values.
        classes: number of classes; 0 for values.
        rows: training, dev and test rows. Of equally good strengths the strongest penalty is taken.
        metric: of :mod:`probing.metrics`.
    """
    from sklearn.linear_model import Ridge

    train, dev, test = rows
    x, x_dev, x_test = standardized(features[train], features[dev], features[test])
    strengths = INVERSE_STRENGTHS if classes else tuple(reversed(RIDGE_STRENGTHS))

    def scores_of(strength: float) -> tuple[np.ndarray, np.ndarray]:
        if classes:
            model = logistic(strength, x, labels[train])
            return probabilities(model, x_dev, classes), probabilities(model, x_test, classes)
        model = Ridge(alpha=strength * x.shape[1]).fit(x, labels[train])
        return model.predict(x_dev), model.predict(x_test)

    answers = [scores_of(strength) for strength in strengths]
    sign = -1 if metric in LOWER_IS_BETTER else 1
    quality = [sign * float(measure(labels[dev], on_dev)[metric][0]) for on_dev, _ in answers]
    best = int(np.argmax(np.nan_to_num(quality, nan=-np.inf)))
    return Fitted(answers[best][1], strengths[best])
