"""Learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Callable

from pretrain.config import Config, total_steps


def _cosine(done: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * done))


_DECAYS: dict[str, Callable[[float], float]] = {  # share of the decay phase done -> share of (peak - min) left
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": _cosine,
    "cosine_from_start": _cosine,
}


def learning_rate(config: Config) -> Callable[[int], float]:
    """The rate of update ``step`` (0 is the first update of the run)."""
    schedule, peak, total = config.schedule, config.optimizer.lr, total_steps(config)
    decay, warmup = _DECAYS[schedule.name], schedule.warmup_steps
    start = 0 if schedule.name == "cosine_from_start" else warmup

    def rate(step: int) -> float:
        step = max(step, schedule.first_step)
        if step < warmup:
            return schedule.start_lr + (peak - schedule.start_lr) * step / warmup
        done = min(1.0, (step - start) / max(1, total - start))
        return schedule.min_lr + (peak - schedule.min_lr) * decay(done)

    return rate
