"""The progress line of a run: throughput, data wait and remaining time, at no cost to the run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pretrain.training.loss_reduction import StepTotals

APART = ("data wait", "evaluation", "saving")


class Progress:
    """Throughput, remaining time, and what time went to, measured between log steps. Prints on rank 0 only.

    Speed is that of training alone: evaluations and saves are told apart. On a CPU the cores that this process had
    while it trained are told too: where a neighbor takes them, they and the speed fall together.

    On a terminal one line is kept up to date; elsewhere (SLURM logs) a line is printed per report.
    """

    def __init__(self, steps: int, step: int, is_first: bool, on_cpu: bool = False):
        self._steps, self._first_step, self._step = steps, step, step
        self._is_first, self._on_cpu = is_first, on_cpu
        self._bar = is_first and sys.stderr.isatty()
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
        if self._bar:
            print(file=sys.stderr)

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
            self.say(f"first step done {seconds_since_start():.1f} s after the start of this process")
        self._step = step
        self._steps_since += 1
        self._tokens += totals.tokens
        self._sequences += totals.sequences
        for name, count in totals.targets.items():
            self._targets[name] = self._targets.get(name, 0) + count

    def report(self, means: dict[str, float], loss: float, bad: dict[str, int]) -> dict[str, float]:
        """Show and return numbers of the interval since the last report; ``bad`` counts faults so far, by kind.

        ``OBJECTIVE/target_fraction``: targets per token, for masked language modeling the share that was masked.
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
        done = max(self._step - self._first_step, 1)
        left = (now - self._began) / done * (self._steps - self._step)
        apart = [
            f"{group} {means[key]:.4f}" for group in ("hidden", "shown") if (key := _first(means, f"/{group}/loss"))
        ]
        accuracy = f"  accuracy {means[key]:.3f}" if (key := _first(means, "/accuracy")) else ""
        accuracy = (f" ({', '.join(apart)})" if apart else "") + accuracy
        cores = f" on {values['cpu_cores']:.1f} cores" if self._on_cpu else ""
        other = "".join(f", {what} {spent[what]:.1f} s" for what in ("evaluation", "saving") if spent[what])
        went_wrong = "".join(f"  {kind.replace('_', ' ')} {count}" for kind, count in bad.items() if count)
        self.say(
            f"step {self._step}/{self._steps}  loss {loss:.4f}{accuracy}  {values['tokens_per_second']:,.0f} tokens/s  "
            f"compute {compute:.1f} s{cores}, data wait {values['data_wait_fraction']:.1%}{other}  "
            f"left {_duration(left)}{went_wrong}",
            update=True,
        )
        self._steps_since, self._tokens, self._sequences, self._targets = 0, 0, 0, {}
        self._spent, self._busy = dict.fromkeys(APART, 0.0), 0.0
        self._since, self._cpu_since = now, cpu
        return values

    def say(self, text: str, update: bool = False) -> None:
        """Print a line."""
        if not self._is_first:
            return
        with suppress(OSError):  # nobody reads any more, or the log's disk is full: no reason to stop
            if self._bar and update:
                print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            else:
                print(f"{chr(13) + chr(27) + '[K' if self._bar else ''}{text}", file=sys.stderr, flush=True)


def _first(means: dict[str, float], ending: str) -> str | None:
    """The first metric that ends so: that of the first objective."""
    return next((name for name in means if name.endswith(ending)), None)


def seconds_since_start() -> float:
    """Return how long this process has been running, imports included."""
    import psutil

    return time.time() - psutil.Process().create_time()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
