"""Steps that go wrong: counted in every step, judged when the loss is read anyway, handled as the config says.

A step is bad when its update was dropped because the gradient was not finite (``Engine.end_micro_batch``), when its
loss is not finite, or, if ``train.on_spike`` asks for more than counting, when its loss is a spike: more than
``train.spike_deviations`` running deviations above its running mean. Losses stay on the device until they are read: at
log steps, before a checkpoint, and in every step only if spikes are to be skipped.
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pretrain.config import Config
from pretrain.distributed.context import DistributedContext, sum_tensor_over_ranks
from pretrain.errors import RunError
from pretrain.training.schedule import learning_rate

_MEMORY = 0.99  # of the running mean and variance: about the last hundred steps
_FIRST_STEPS = 20  # losses that must have been seen before one can be a spike
_LEAST_DEVIATION = 0.01  # of the mean: a loss that hardly varies must not turn every ripple into a spike
_ADVICE = (
    "lower optimizer.lr, or use engine.precision=fp32, or set train.on_bad_step=roll_back; the checkpoints are kept"
)

_QUIET_STEPS = 20  # that must lie between two spikes for both to be told
_SPIKE_ADVICE = {
    "skip": "; this update was skipped. If it happens again, lower optimizer.lr or raise schedule.warmup_steps",
    "count": "; this update was applied. If the loss does not recover, resume from the previous checkpoint "
    "(--resume) with a lower optimizer.lr, more schedule.warmup_steps, a lower optimizer.max_grad_norm, or "
    "train.on_spike=roll_back",
}


class StepSpan(NamedTuple):
    """One step: its number, and its part of the stream."""

    step: int
    start: int
    end: int


class StabilityMonitor:
    """Judges the steps of a run; the same on every rank.

    Attributes:
        counts: bad events since the run began, by kind.
    """

    def __init__(self, config: Config, dist_context: DistributedContext):
        self._settings, self._dist_context = config.train, dist_context
        self._scales_loss = config.engine.precision == "fp16"
        self.counts = {"dropped_updates": 0, "nonfinite_losses": 0, "loss_spikes": 0, "roll_backs": 0}
        self._mean, self._variance, self._seen = 0.0, 0.0, 0
        self._noted: list[tuple[StepSpan, Tensor]] = []
        self._norms: dict[int, Tensor | float] = {}  # step -> norm of its gradient, on the device until read
        self._usual_norm = math.nan
        self._max_norm = config.optimizer.max_grad_norm
        self._noted_drops: list[tuple[StepSpan, Tensor]] = []
        self._bad_steps: set[int] = set()
        self._to_undo: list[StepSpan] = []
        self._returns: tuple[int, int] = (-1, 0)  # checkpoint, how often it was gone back to
        self._learning_rate = learning_rate(config)
        self._last_spike = -_QUIET_STEPS
        self._untold: list[tuple[int, str]] = []

    @property
    def needs_every_loss(self) -> bool:
        """Whether the loss must be known before the update, which waits for the device in every step."""
        return self._settings.on_spike == "skip" and self._settings.spike_deviations > 0

    def note(self, span: StepSpan, loss: Tensor) -> None:
        """Remember the loss of a step, this rank's share of it, on the device."""
        self._noted.append((span, loss))

    def note_norm(self, span: StepSpan, norm: Tensor | float) -> None:
        """Remember the norm of a step's gradient before clipping; all ranks have the same."""
        self._norms[span.step] = norm

    def read(self) -> bool:
        """Judge the noted losses. Collective. Returns whether the last one is a spike whose update is to be skipped."""
        noted, drops = self._noted, self._noted_drops
        if not noted and not drops:
            return False
        values = torch.stack([value.double() for _, value in [*noted, *drops]])
        numbers = sum_tensor_over_ranks(values, self._dist_context).tolist()
        self._noted, self._noted_drops = [], []
        norms, self._norms = {step: float(norm) for step, norm in self._norms.items()}, {}
        losses, dropped = numbers[: len(noted)], numbers[len(noted) :]
        judged = [
            self._judge(span, loss, norms.pop(span.step, math.nan))
            for (span, _), loss in zip(noted, losses, strict=True)
        ]
        for norm in norms.values():  # where spikes are skipped, a loss is judged before its gradient is there
            self._remember_norm(norm)
        for (span, _), was_dropped in zip(drops, dropped, strict=True):
            if was_dropped:
                self._count_dropped(span)
        return bool(judged) and judged[-1]

    def _judge(self, span: StepSpan, loss: float, norm: float) -> bool:
        """Whether the update of this step is to be skipped because its loss is a spike. norm: of its gradient."""
        policy = self._settings.on_spike
        if not math.isfinite(loss):
            self.counts["nonfinite_losses"] += 1
            self._bad(span, self._settings.on_bad_step, f"the loss is {loss}")
            return False
        ceiling, usual, deviation = self._ceiling(), self._mean, self._deviation()
        self._remember(min(loss, ceiling))
        if loss <= ceiling:
            self._remember_norm(norm)
            return False
        self.counts["loss_spikes"] += 1
        far = f"{loss:.4g}, {(loss - usual) / deviation:.0f} deviations above the usual {usual:.4g}"
        self._tell(span.step, f"{far}, at {self._circumstances(span.step, norm)}", policy)
        if policy != "count":
            self._bad(span, policy, f"the loss is {loss:.4g}, usually {usual:.4g}")
        return policy == "skip"

    def dropped(self, span: StepSpan, was_dropped: bool | Tensor = True) -> None:
        """Hear of the update of a step, the same on every rank; a tensor on the device is looked at when read.

        Args:
            span: of the step.
            was_dropped: by the engine, because its gradient was not finite.
        """
        if isinstance(was_dropped, Tensor):
            self._noted_drops.append((span, was_dropped))
        elif was_dropped:
            self._count_dropped(span)

    def _count_dropped(self, span: StepSpan) -> None:
        """Count a dropped update. In fp16 that is how the scale of the loss is found, so it is not a fault there."""
        self.counts["dropped_updates"] += 1
        if not self._scales_loss:
            self._bad(span, self._settings.on_bad_step, "the gradient is not finite; the update was dropped")

    def steps_to_roll_back(self) -> list[StepSpan]:
        """Return bad steps that require the last checkpoint; each is returned once."""
        found, self._to_undo = self._to_undo, []
        return found

    def to_tell(self) -> list[tuple[int, str]]:
        """Return steps whose loss jumped, with advice; each is returned once."""
        told, self._untold = self._untold, []
        return told

    def state(self) -> dict[str, Any]:
        """Return the state for the checkpoint, so that a resumed run judges as if it had never stopped."""
        return {"counts": dict(self.counts), "mean": self._mean, "variance": self._variance, "seen": self._seen}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state at the start of a process."""
        self.counts |= state["counts"]
        self._mean, self._variance, self._seen = state["mean"], state["variance"], state["seen"]

    def begin_anew(self) -> None:
        """Forget what losses were usual: those of another phase are no measure."""
        self._mean, self._variance, self._seen = 0.0, 0.0, 0

    def rolled_back(self, state: dict[str, Any], step: int) -> None:
        """Take over the state of the checkpoint of ``step``. Events counted since then stay counted."""
        self.restore(state | {"counts": {}})
        self.counts["roll_backs"] += 1
        self._noted, self._norms, self._noted_drops, self._bad_steps = [], {}, [], set()
        self._returns = (step, self._returns[1] + 1 if self._returns[0] == step else 1)
        if self._returns[1] > self._settings.bad_steps_in_a_row:
            raise RunError(f"went back to the checkpoint of step {step} {self._returns[1]} times; {_ADVICE}")

    def _circumstances(self, step: int, norm: float) -> str:
        """Rate and gradient of a step, in words. Where spikes are skipped the gradient is not known yet."""
        rate = f"a learning rate of {self._learning_rate(step - 1):.3g}"
        if not math.isfinite(norm):
            return rate
        usual = f", usually {self._usual_norm:.3g}" if math.isfinite(self._usual_norm) else ""
        clipped = f", clipped to {self._max_norm:.3g}" if 0 < self._max_norm < norm else ""
        return f"{rate} and a gradient norm of {norm:.3g}{usual}{clipped}"

    def _tell(self, step: int, what: str, policy: str) -> None:
        """Where a spike begins. Those that stop the run or take it back are said by whoever does so."""
        quiet, self._last_spike = step - self._last_spike, step
        if quiet < _QUIET_STEPS or policy not in _SPIKE_ADVICE:
            return
        self._untold.append((step, f"the loss jumped to {what}{_SPIKE_ADVICE[policy]}"))

    def _ceiling(self) -> float:
        """The highest loss that is no spike."""
        limit = self._settings.spike_deviations
        if not limit or self._seen < _FIRST_STEPS:
            return math.inf
        return self._mean + limit * self._deviation()

    def _deviation(self) -> float:
        return max(math.sqrt(self._variance), _LEAST_DEVIATION * abs(self._mean), 1e-12)

    def _remember(self, loss: float) -> None:
        self._seen += 1
        weight = max(1 / self._seen, 1 - _MEMORY)
        step = loss - self._mean
        self._mean += weight * step
        self._variance = (1 - weight) * (self._variance + weight * step * step)

    def _remember_norm(self, norm: float) -> None:
        """Of steps that are no spikes; what is usual is learned anew after a resume, for it changes no decision."""
        if math.isfinite(norm):
            usual = self._usual_norm if math.isfinite(self._usual_norm) else norm
            self._usual_norm = _MEMORY * usual + (1 - _MEMORY) * norm

    def _bad(self, span: StepSpan, policy: str, what: str) -> None:
        if span.step in self._bad_steps:
            return  # a loss that is not finite also drops its update: one bad step, not two
        self._bad_steps.add(span.step)
        in_a_row = next(n for n in count(1) if span.step - n not in self._bad_steps)
        if policy == "stop":
            raise RunError(f"step {span.step}: {what}; {_ADVICE}")
        if in_a_row > self._settings.bad_steps_in_a_row:
            raise RunError(f"step {span.step}: {what}, as in the {in_a_row - 1} steps before; {_ADVICE}")
        if policy == "roll_back":
            self._to_undo.append(span)
