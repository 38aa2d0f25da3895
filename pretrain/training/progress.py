"""The progress line: what a person watching a run wants to know, at no cost to the run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pretrain.training.loss_reduction import StepTotals


class Progress:
    """Throughput, data wait and remaining time, measured between log steps. Prints on rank 0 only.

    On a terminal one line is kept up to date; elsewhere (SLURM logs) a line is printed per report.
    """

    def __init__(self, steps: int, step: int, is_first: bool):
        self._steps, self._first_step, self._step = steps, step, step
        self._is_first = is_first
        self._bar = is_first and sys.stderr.isatty()
        self._steps_since, self._tokens, self._sequences = 0, 0, 0
        self._targets: dict[str, int] = {}
        self._waited = 0.0
        self._since = time.perf_counter()
        self._began = self._since

    def __enter__(self) -> Progress:
        self._since = self._began = time.perf_counter()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar:
            print(file=sys.stderr)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent in here is time spent waiting for data."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def advance(self, step: int, totals: StepTotals) -> None:
        """A step is done."""
        if self._step == self._first_step:
            self.say(f"first step done {seconds_since_start():.1f} s after the start of this process")
        self._step = step
        self._steps_since += 1
        self._tokens += totals.tokens
        self._sequences += totals.sequences
        for name, count in totals.targets.items():
            self._targets[name] = self._targets.get(name, 0) + count

    def report(self, means: dict[str, float], loss: float, bad: dict[str, int]) -> dict[str, float]:
        """Numbers of the interval since the last report, also shown; ``bad`` counts what went wrong so far, by kind.

        ``OBJECTIVE/target_fraction``: targets per token, for masked language modelling the share that was masked.
        """
        now = time.perf_counter()
        seconds = max(now - self._since, 1e-9)
        steps, tokens = max(self._steps_since, 1), max(self._tokens, 1)
        values = {
            "tokens_per_second": self._tokens / seconds,
            "data_wait_fraction": self._waited / seconds,
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
        went_wrong = "".join(f"  {kind.replace('_', ' ')} {count}" for kind, count in bad.items() if count)
        self.say(
            f"step {self._step}/{self._steps}  loss {loss:.4f}{accuracy}  {values['tokens_per_second']:,.0f} tokens/s  "
            f"data wait {values['data_wait_fraction']:.1%}  left {_duration(left)}{went_wrong}",
            update=True,
        )
        self._steps_since, self._tokens, self._sequences, self._targets = 0, 0, 0, {}
        self._waited, self._since = 0.0, now
        return values

    def say(self, text: str, update: bool = False) -> None:
        """A line for the person watching."""
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
    """How long this process has been running, imports included."""
    import psutil

    return time.time() - psutil.Process().create_time()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
