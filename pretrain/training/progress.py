"""The progress line of a run: throughput, data wait and remaining time, at no cost to the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pretrain.training.log_lines import LogLines
from pretrain.training.loss_reduction import StepTotals

APART = ("data wait", "evaluation", "saving")


@dataclass(frozen=True)
class Shown:
    """How a run is told.

    Attributes:
        as_json: one JSON object per line instead of text.
        utilization: (tokens per second, tokens of a sequence, targets per token) -> share of the hardware's peak that
            the model's own arithmetic takes; None where the peak is not known.
    """

    as_json: bool = False
    utilization: Callable[[float, float, float], float] | None = None


class Progress:
    """Throughput, remaining time, and what time went to, measured between log steps. Prints on rank 0 only.

    Speed is that of training alone: evaluations and saves are told apart. On a CPU the cores that this process had
    while it trained are told too: where a neighbor takes them, they and the speed fall together.

    On a terminal one line is kept up to date; elsewhere (SLURM logs) a line is printed per report.

    Attributes:
        milestones: name -> step of what is to come; after the first report it is said when that will be.
    """

    def __init__(self, steps: int, step: int, is_first: bool, on_cpu: bool = False, shown: Shown | None = None):
        self._steps, self._first_step, self._step = steps, step, step
        self._on_cpu, self._shown = on_cpu, shown or Shown()
        self._lines = LogLines(is_first, self._shown.as_json)
        self.milestones: dict[str, int] = {}
        self._steps_since, self._tokens, self._sequences = 0, 0, 0
        self._targets: dict[str, int] = {}
        self._spent = dict.fromkeys(APART, 0.0)
        self._busy = 0.0  # seconds of CPU that were spent on what is told apart
        self._since = self._began = time.perf_counter()
        self._cpu_since = time.process_time()

    def __enter__(self) -> Progress:
        self._since = self._began = time.perf_counter()
        self._cpu_since = time.process_time()
        return self

    def __exit__(self, *_: Any) -> None:
        self._lines.close()

    @contextmanager
    def apart(self, what: str) -> Iterator[None]:
        """Context whose duration counts for one of ``APART``, not for computing steps."""
        start, busy = time.perf_counter(), time.process_time()
        yield
        self._spent[what] += time.perf_counter() - start
        self._busy += time.process_time() - busy

    def advance(self, step: int, totals: StepTotals) -> None:
        """Count a finished step."""
        if self._step == self._first_step:
            computed = f"{time.process_time():.1f} s of them computing"
            self.say(f"first step done {seconds_since_start():.1f} s after the start of this process, {computed}")
        self._step = step
        self._steps_since += 1
        self._tokens += totals.tokens
        self._sequences += totals.sequences
        for name, count in totals.targets.items():
            self._targets[name] = self._targets.get(name, 0) + count

    def report(self, means: dict[str, float], bad: dict[str, int]) -> dict[str, float]:
        """Show and return numbers of the interval since the last report.

        Args:
            means: ``loss``, means of the objectives, and what else is shown where it is there: ``epoch``,
                ``learning_rate``, ``gradient_norm``, ``memory_bytes``.
            bad: counts of faults so far, by kind.

        Returns:
            Numbers of the interval; ``OBJECTIVE/target_fraction``: targets per token, for masked language modeling the
            share that was masked.
        """
        now, cpu, spent = time.perf_counter(), time.process_time(), self._spent
        training = max(now - self._since - spent["evaluation"] - spent["saving"], 1e-9)
        compute = max(training - spent["data wait"], 1e-9)
        steps, tokens = max(self._steps_since, 1), max(self._tokens, 1)
        values = {
            "tokens_per_second": self._tokens / training,
            "data_wait_fraction": spent["data wait"] / training,
            "compute_seconds": compute,
            "evaluation_seconds": spent["evaluation"],
            "saving_seconds": spent["saving"],
            "cpu_cores": max(cpu - self._cpu_since - self._busy, 0.0) / compute,
            "tokens_per_step": self._tokens / steps,
            "sequences_per_step": self._sequences / steps,
            **{f"{name}/target_fraction": count / tokens for name, count in self._targets.items()},
        }
        if self._shown.utilization is not None:
            share = min(1.0, sum(self._targets.values()) / tokens)
            length = tokens / max(self._sequences, 1)
            values["mfu"] = self._shown.utilization(values["tokens_per_second"], length, share)
        seconds_left = (now - self._began) / max(self._step - self._first_step, 1) * (self._steps - self._step)
        cores = f" on {values['cpu_cores']:.1f} cores" if self._on_cpu else ""
        other = "".join(f", {what} {spent[what]:.1f} s" for what in ("evaluation", "saving") if spent[what])
        went_wrong = "".join(f"  {kind.replace('_', ' ')} {count}" for kind, count in bad.items() if count)
        self._lines.say(
            f"step {self._step}/{self._steps}{_losses(means)}{_state(means | values)}  "
            f"{values['tokens_per_second']:,.0f} tokens/s  "
            f"compute {compute:.1f} s{cores}, data wait {values['data_wait_fraction']:.1%}{other}  "
            f"left {_duration(seconds_left)}{went_wrong}",
            update=True,
            numbers={"step": self._step, "steps": self._steps, **means, **values, "seconds_left": seconds_left},
        )
        self._say_milestones(now)
        self._steps_since, self._tokens, self._sequences, self._targets = 0, 0, 0, {}
        self._spent, self._busy = dict.fromkeys(APART, 0.0), 0.0
        self._since, self._cpu_since = now, cpu
        return values

    def _say_milestones(self, now: float) -> None:
        """Once: when what is to come will be, at the speed so far."""
        done = self._step - self._first_step
        ahead = {name: step - self._step for name, step in self.milestones.items() if step > self._step}
        self.milestones = {}
        if ahead and done > 0:
            pace, clock = (now - self._began) / done, datetime.now()
            times = (
                f"{name} {clock + timedelta(seconds=pace * steps):%Y-%m-%d %H:%M}" for name, steps in ahead.items()
            )
            self.say(f"at this speed: {', '.join(times)}")

    def say(self, text: str) -> None:
        """Print a line."""
        self._lines.say(text)


def _losses(means: dict[str, float]) -> str:
    """The loss; of each objective where there are several; at hidden and at shown positions where they differ."""
    names = [key.removesuffix("/loss") for key in means if key.endswith("/loss") and key.count("/") == 1]
    each = []
    for name in names:
        parts = [f"{part} {means[key]:.4f}" for part in ("hidden", "shown") if (key := f"{name}/{part}/loss") in means]
        if len(names) > 1:
            each.append(f"{name} {parts[0] if parts else format(means[f'{name}/loss'], '.4f')}")
        else:
            each += parts
    accuracy = next((f"  accuracy {value:.3f}" for key, value in means.items() if key.endswith("/accuracy")), "")
    return f"  loss {means['loss']:.4f}" + (f" ({', '.join(each)})" if each else "") + accuracy


def _state(values: dict[str, float]) -> str:
    """What else there is to say of a step, in short."""
    formats = {
        "epoch": "epoch {:.2f}", "learning_rate": "lr {:.2e}", "gradient_norm": "gradient {:.3g}",
        "mfu": "MFU {:.1%}",
    }  # fmt: skip
    found = [text.format(values[key]) for key, text in formats.items() if key in values]
    if "memory_bytes" in values:
        found.append(f"memory {values['memory_bytes'] / 2**30:.2f} GiB")
    return "".join(f"  {part}" for part in found)


def seconds_since_start() -> float:
    """Return how long this process has been running, imports included."""
    import psutil

    return time.time() - psutil.Process().create_time()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
