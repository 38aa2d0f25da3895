"""Figures with their uncertainty: a bootstrap over test rows, and the spread over seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pretrain.evaluation.bench.task import Task
from pretrain.evaluation.probing.metrics import LOWER_IS_BETTER, range_of

DRAWS = 400
_SEED = 20240611
_CELLS = 1 << 22  # weights that are measured at once, 8 bytes each and a few times over


@dataclass(frozen=True)
class Answers:
    """What one row of the table said: scores of the test rows, once per seed, (S, C) or (S,) each. about: how."""

    scores: list[np.ndarray]
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """metric -> (seeds,) plain figures, and (seeds, DRAWS) figures of resampled test rows."""

    plain: dict[str, np.ndarray]
    resampled: dict[str, np.ndarray]

    def metrics(self) -> dict[str, float]:
        """Means over seeds."""
        return {name: float(value.mean()) for name, value in self.plain.items()}

    def intervals(self) -> dict[str, dict[str, float]]:
        """Return, by metric, the standard error, and the mean minus and plus two of them, within what it can be."""
        found = {}
        for name, value in self.plain.items():
            mean, error = float(value.mean()), standard_error(self.resampled[name], value)
            low, high = (float(bound) for bound in np.clip([mean - 2 * error, mean + 2 * error], *range_of(name)))
            found[name] = {"low": low, "high": high, "standard_error": error}
        return found


def weights_of(rows: int) -> np.ndarray:
    """How often each test row counts in each of the drawn samples, uint8 (DRAWS, rows): the same for all of a table."""
    draw, share = np.random.default_rng(_SEED), np.full(rows, 1 / rows)
    return np.stack([np.minimum(draw.multinomial(rows, share), 255).astype(np.uint8) for _ in range(DRAWS)])


def figures_of(task: Task, answers: Answers, weights: np.ndarray) -> Figures:
    """Measure every seed's answers on the test rows and on the drawn samples of them."""
    parts = np.array_split(weights, -(-weights.size // _CELLS))
    plain = [task.measured(task.true, scores) for scores in answers.scores]
    drawn = [[task.measured(task.true, scores, part) for part in parts] for scores in answers.scores]
    return Figures(
        {name: np.concatenate([one[name] for one in plain]) for name in plain[0]},
        {name: np.stack([np.concatenate([part[name] for part in one]) for one in drawn]) for name in plain[0]},
    )


def standard_error(resampled: np.ndarray, plain: np.ndarray) -> float:
    """Of a mean over seeds: what other test rows would change, and what other seeds would; (seeds, DRAWS), (seeds,)."""
    by_rows = float(np.nanvar(resampled.mean(axis=0))) if np.isfinite(resampled).any() else np.nan
    by_seeds = float(plain.var(ddof=1)) / len(plain) if len(plain) > 1 else 0.0
    return float(np.sqrt(by_rows + by_seeds))


def versus(task: Task, model: Figures, bar: Figures) -> dict[str, Any]:
    """Is the model better, by the task's metric? Said only beyond two standard errors of the difference, row by row."""
    sign = -1 if task.metric in LOWER_IS_BETTER else 1
    a, b = model.plain[task.metric], bar.plain[task.metric]
    difference = float(a.mean() - b.mean())
    paired = model.resampled[task.metric].mean(axis=0) - bar.resampled[task.metric].mean(axis=0)
    spread = sum(float(x.var(ddof=1)) / len(x) for x in (a, b) if len(x) > 1)
    error = float(np.sqrt(np.nanvar(paired) + spread)) if np.isfinite(paired).any() else float("nan")
    verdict = "no different"
    if abs(difference) > 2 * error:
        verdict = "better" if sign * difference > 0 else "worse"
    return {"metric": task.metric, "difference": difference, "standard_error": error, "verdict": verdict}
