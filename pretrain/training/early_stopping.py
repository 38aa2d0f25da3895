"""Early stopping: the held-out loss has not fallen for a while (``train.patience``)."""

from __future__ import annotations

import math
from typing import Any


class EarlyStopping:
    """Follows the evaluations of a run; the same on every rank, because all of them have the same means.

    Args:
        evaluations: how many in a row may bring no lower loss; 0: any number.
        weights: objective -> its weight in the loss that is followed.
    """

    def __init__(self, evaluations: int, weights: dict[str, float]):
        self._evaluations, self._weights = evaluations, weights
        self._best, self.best_step, self._since = math.inf, -1, 0

    @property
    def exhausted(self) -> bool:
        """Whether the run is to stop."""
        return 0 < self._evaluations <= self._since

    def note(self, step: int, values: dict[str, float]) -> bool:
        """Record an evaluation, ``validation/NAME/loss`` -> mean. Returns whether it is the best so far."""
        if not self._evaluations or not values:
            return False
        loss = sum(weight * values.get(f"validation/{name}/loss", 0.0) for name, weight in self._weights.items())
        if loss < self._best:
            self._best, self.best_step, self._since = loss, step, 0
            return True
        self._since += 1
        return False

    def describe(self) -> str:
        """Format the line that is printed when the run stops."""
        return (
            f"the held-out loss has not fallen for {self._since} evaluations: stopping. Best: {self._best:.4f} at step "
            f"{self.best_step} (python launch/export.py RUN exports it)"
        )

    def state(self) -> dict[str, Any]:
        """Return the state for the checkpoint."""
        best = None if math.isinf(self._best) else self._best
        return {"best": best, "best_step": self.best_step, "since": self._since, "stopped": self.exhausted}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        self._best = math.inf if state["best"] is None else state["best"]
        self.best_step, self._since = state["best_step"], state["since"]
