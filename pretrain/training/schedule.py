"""Learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from pretrain.config import Config, phases_of
from pretrain.config.sections import Schedule


@dataclass(frozen=True)
class _Course:
    """Where the phases of a schedule lie, in steps."""

    warmup: int
    decay: int  # last part of "wsd"
    total: int

    def done(self, step: int, start: int) -> float:
        """Share of the way from ``start`` to the end."""
        return min(1.0, max(0.0, (step - start) / max(1, self.total - start)))


def _cosine(done: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * done))


# step after the warm-up -> share of (peak - min) that is left
_DECAYS: dict[str, Callable[[int, _Course], float]] = {
    "constant": lambda step, course: 1.0,
    "linear": lambda step, course: 1.0 - course.done(step, course.warmup),
    "cosine": lambda step, course: _cosine(course.done(step, course.warmup)),
    "cosine_from_start": lambda step, course: _cosine(course.done(step, 0)),
    "inverse_sqrt": lambda step, course: math.sqrt(max(1, course.warmup) / max(1, step)),
    "wsd": lambda step, course: 1.0 - course.done(step, course.total - course.decay),
}


def learning_rate(config: Config) -> Callable[[int], float]:
    """The rate of update ``step`` (0 is the first update of the run), whatever the phase."""
    phases = phases_of(config)
    rates = [_rate(phase.config.schedule, phase.config.optimizer.lr, phase.schedule_steps) for phase in phases]
    ends = [phase.end_step for phase in phases]

    def rate(step: int) -> float:
        at = min(bisect_right(ends, step), len(phases) - 1)
        return rates[at](step - phases[at].schedule_from)

    return rate


def _rate(schedule: Schedule, peak: float, total: int) -> Callable[[int], float]:
    """The rate of each update since the schedule began."""
    decay, warmup = _DECAYS[schedule.name], schedule.warmup_steps
    course = _Course(warmup, schedule.decay_steps, total)

    def rate(step: int) -> float:
        step = max(step, schedule.first_step)
        if step < warmup:
            return schedule.start_lr + (peak - schedule.start_lr) * step / warmup
        return schedule.min_lr + (peak - schedule.min_lr) * decay(step, course)

    return rate
