"""The learning-rate range test (Smith 2017): a short run whose rate grows geometrically, and the rate it suggests."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pretrain.config import Config, check
from pretrain.distributed.context import init_distributed
from pretrain.errors import PolymeraseError, RunError
from pretrain.training.components import build_components
from pretrain.training.progress import Progress
from pretrain.training.trainer import build_trainer

_PLATEAU = 0.1  # share of the steps, at the lowest rates, that tell where the loss starts
_SMOOTHING = 0.05  # steps on each side that go into a running mean, as a share of all
_HOPELESS = 2.0  # times the lowest loss: what comes after it is not looked at
_LEAST_STEPS = 20


class Sweep(NamedTuple):
    """Result of a range test.

    Attributes:
        rates, losses: (K,), as measured.
        smooth: running mean of the losses, (K,).
        suggested: the rate at which half of the fall is done, which is where a fall in one piece is steepest.
        lowest: the rate of the lowest loss, beyond which training falls apart.
    """

    rates: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    suggested: float
    lowest: float


def find_rate(config: Config, low: float, high: float, steps: int) -> Sweep:
    """Train ``steps`` steps from ``low`` to ``high`` in a folder that is removed afterwards.

    Raises:
        PolymeraseError: a range that makes no sense, or losses from which nothing can be read.
        KeyboardInterrupt: asked to stop.
    """
    if not 0 < low < high:
        raise PolymeraseError(f"expected learning rates that increase from above 0, got {low:g} to {high:g}")
    if steps < _LEAST_STEPS:
        raise PolymeraseError(f"{steps} steps are too few to see a trend; use at least {_LEAST_STEPS}")
    with tempfile.TemporaryDirectory(prefix="find-lr-") as folder:
        components = build_components(_short(config, folder, steps))
        trainer = build_trainer(
            components, init_distributed(config.engine.timeout_s, config.engine.require_gpu), "never", []
        )
        trainer.logger.progress = Progress(steps, 0, is_first=sys.stderr.isatty())  # silent in logs
        trainer.parts.update.learning_rate = lambda step: low * (high / low) ** (step / (steps - 1))
        with contextlib.suppress(RunError):  # it fell apart: the range was wide enough
            if not trainer.run():
                raise KeyboardInterrupt
        lines = map(json.loads, (Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        points = [(line["learning_rate"], float(line["loss"])) for line in lines if "loss" in line]
    return judge(np.array([rate for rate, _ in points]), np.array([loss for _, loss in points]))


def judge(rates: np.ndarray, losses: np.ndarray) -> Sweep:
    """Suggest a rate from losses (K,) at growing rates (K,)."""
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(np.argmin(finite))
    if end < _LEAST_STEPS // 2:
        raise PolymeraseError(f"the loss was not finite after {end} steps; start from a lower rate (--low)")
    smooth = _running_mean(losses[:end])
    lowest = int(np.argmin(smooth))
    hopeless = np.flatnonzero(smooth[lowest:] > _HOPELESS * smooth[lowest])
    end = lowest + int(hopeless[0]) if len(hopeless) else end
    plateau = max(1, round(_PLATEAU * len(losses)))
    start = smooth[:plateau].mean()  # slopes of single steps would be noise
    noise = float(np.std(losses[:end] - smooth[:end])) / (2 * _half(len(losses)) + 1) ** 0.5
    if lowest < plateau or start - smooth[lowest] <= 4 * noise:
        raise PolymeraseError(
            "the loss did not decrease in this range; start from a lower rate (--low), or check the data"
        )
    above = np.flatnonzero(smooth[: lowest + 1] > (start + smooth[lowest]) / 2)
    halfway = min(int(above[-1]) + 1, lowest) if len(above) else 0
    return Sweep(rates[:end], losses[:end], smooth[:end], float(rates[halfway]), float(rates[lowest]))


def _half(count: int) -> int:
    return max(1, round(_SMOOTHING * count))


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Over neighbors on both sides, fewer at the ends, so that nothing lags behind its rate."""
    half = _half(len(values))
    total, at = np.concatenate([[0.0], np.cumsum(values)]), np.arange(len(values))
    first, last = np.maximum(at - half, 0), np.minimum(at + half, len(values) - 1)
    return (total[last + 1] - total[first]) / (last + 1 - first)


def _short(config: Config, folder: str, steps: int) -> Config:
    """The same run, without anything that costs time or leaves traces."""
    tree: dict[str, Any] = config.model_dump(mode="json")
    tree["run"] |= {"dir": folder}
    tree["tracking"] = {"sinks": []}
    tree["train"] |= {
        "steps": steps, "phases": [], "log_every": 1, "save_every": 0, "eval_every": 0, "eval_sequences": 1,
        "patience": 0, "on_bad_step": "stop", "on_spike": "count",
    }  # fmt: skip
    return check(tree, "find_lr")
