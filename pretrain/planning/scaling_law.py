"""Loss against size and tokens: power laws fitted to a ladder of small runs, and a prediction with an interval.

L(N, D) = E + A N^-a + B D^-b (Hoffmann et al. 2022), N trained parameters, D tokens of training. With one size only
the term of N is left out; such a law predicts longer runs of that size alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pretrain.errors import PolymeraseError

DRAWS = 200  # refits that the interval is made of
COVERAGE = 0.95
_STARTS = 24
_STEEPEST = 2.0  # exponents above are no power law but noise


@dataclass(frozen=True)
class Rung:
    """One evaluation of a run: the held-out loss of ``parameters`` after ``tokens``."""

    parameters: int
    tokens: float
    loss: float


@dataclass(frozen=True)
class ScalingLaw:
    """A fitted law; ``scale`` are the N and D that its terms are counted from, so that A and B are nats there."""

    floor: float
    size: tuple[float, float]  # A, a
    data: tuple[float, float]  # B, b
    scale: tuple[float, float]
    residual: float  # standard deviation of what the law leaves, nats

    def loss(self, parameters: float | np.ndarray, tokens: float | np.ndarray) -> np.ndarray:
        """Return the loss that the law says."""
        n, d = np.asarray(parameters) / self.scale[0], np.asarray(tokens) / self.scale[1]
        return self.floor + self.size[0] * n ** -self.size[1] + self.data[0] * d ** -self.data[1]


def fit_law(rungs: Sequence[Rung], seed: int = 0) -> ScalingLaw:
    """Fit by least squares from several starts; the best one stays.

    Raises:
        PolymeraseError: fewer points than the law has constants.
    """
    sizes = {rung.parameters for rung in rungs}
    constants = 5 if len(sizes) > 1 else 3
    if len(rungs) <= constants:
        raise PolymeraseError(
            f"{len(rungs)} points are too few for a law of {constants} constants: expected at least {constants + 1}; "
            "evaluate more often or add a rung"
        )
    n, d, losses = (
        np.array([getattr(rung, name) for rung in rungs], float) for name in ("parameters", "tokens", "loss")
    )
    scale = float(np.exp(np.log(n).mean())), float(np.exp(np.log(d).mean()))
    best = _fit(n / scale[0], d / scale[1], losses, len(sizes) > 1, np.random.default_rng(seed))
    left = losses - _law(best, n / scale[0], d / scale[1])
    residual = float(np.sqrt((left**2).sum() / (len(rungs) - constants)))
    return ScalingLaw(best[0], (best[1], best[2]), (best[3], best[4]), scale, residual)


def interval(
    rungs: Sequence[Rung], law: ScalingLaw, parameters: int, tokens: float, seed: int = 0
) -> tuple[float, float]:
    """Return the central 95 % of what laws say that are fitted to redrawn points, a new point's own scatter included.

    Points of one run are redrawn independently although they are not, so the interval is rather too narrow.

    Raises:
        PolymeraseError: another size than the only one of the ladder.
    """
    if len({rung.parameters for rung in rungs}) == 1 and parameters != rungs[0].parameters:
        raise PolymeraseError(
            f"all rungs have {rungs[0].parameters:,} parameters, expected at least two sizes to predict one of "
            f"{parameters:,}; add a --rung"
        )
    generator = np.random.default_rng(seed)
    n, d = _column(rungs, "parameters"), _column(rungs, "tokens")
    expected, predicted = law.loss(n, d), []
    has_sizes = len(set(n.tolist())) > 1
    for _ in range(DRAWS):
        redrawn = expected + generator.normal(0.0, law.residual, len(rungs))
        best = _fit(n / law.scale[0], d / law.scale[1], redrawn, has_sizes, generator, start=_constants(law))
        at = _law(best, np.array([parameters / law.scale[0]]), np.array([tokens / law.scale[1]]))[0]
        predicted.append(at + generator.normal(0.0, law.residual))
    low, high = np.quantile(predicted, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def _column(rungs: Sequence[Rung], name: str) -> np.ndarray:
    return np.array([getattr(rung, name) for rung in rungs], float)


def _constants(law: ScalingLaw) -> np.ndarray:
    return np.array([law.floor, *law.size, *law.data])


def _law(constants: np.ndarray, n: np.ndarray, d: np.ndarray) -> np.ndarray:
    floor, a_factor, a, b_factor, b = constants
    return floor + a_factor * n**-a + b_factor * d**-b


def _fit(
    n: np.ndarray, d: np.ndarray, losses: np.ndarray, has_sizes: bool, generator: np.random.Generator,
    start: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Return E, A, a, B, b, all at least 0; A and a are 0 where there is one size."""
    from scipy.optimize import least_squares

    highest = float(losses.max())
    upper = np.array([highest, highest, _STEEPEST, highest, _STEEPEST])
    lower = np.zeros(5)
    if not has_sizes:
        upper[1:3] = 1e-12
    starts = [generator.uniform(lower, upper) for _ in range(_STARTS)] if start is None else [start]
    found = [
        least_squares(
            lambda x: _law(x, n, d) - losses, np.clip(begin, lower + 1e-14, upper - 1e-14), bounds=(lower, upper)
        )
        for begin in starts
    ]
    return np.asarray(min(found, key=lambda result: float(result.cost)).x)
