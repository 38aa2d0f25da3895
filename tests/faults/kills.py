"""SIGKILL at any moment, again and again, until the run is done; then its weights are compared."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path

from pretrain.runs.checkpoint import verify
from tests.faults.processes import Run, command_of, finish, kill_all, ranks_below
from tests.multinode.runs import checkpoint, same_bits

RANKS, SAVE_EVERY = 2, 7
LAUNCHER_LOST_A_RANK = (247, 1)  # what deepspeed makes of a rank's -9, or of the 1 of those who lost it
HOWS = (
    "one rank",
    "all ranks",
    "all ranks while a checkpoint is written",
    "all ranks while starting",
    "one rank under deepspeed",
    "deepspeed and all its ranks",
)


def killable(folder: Path, corpus: Path, steps: int, checkpoints: str = "auto") -> Run:
    """A run with dropout that saves often."""
    changes = {"train__steps": steps, "train__save_every": SAVE_EVERY, "train__keep_last": 2, "train__keep_every": 50,
               "train__checkpoints": checkpoints}  # fmt: skip
    dropout = {"model__hidden_dropout_prob": 0.1, "model__attention_probs_dropout_prob": 0.1}
    return Run(folder, corpus, changes | dropout)


def kill_once(run: Run, how: str, rng: random.Random) -> bool:
    """Start the run, or go on with it, and kill it. False if it was done before the moment came.

    Raises AssertionError if a published checkpoint is not whole afterwards, if the run did not take up the newest one,
    or if ranks outlive a lost one.
    """
    before = run.steps()
    started = [run.start_launcher(RANKS)] if "deepspeed" in how else run.start(RANKS)
    try:
        if how.endswith("starting"):
            time.sleep(rng.uniform(0.0, 6.0))
        else:
            step = run.last_step() + rng.randint(1, 3 * SAVE_EVERY)
            if step >= run.changes["train__steps"] or not _reach(run, step, started):
                assert set(finish(started)) == {0}, run.log[-3000:]
                return False
            if how.endswith("written"):
                _reach_a_save(run, started)
                time.sleep(rng.uniform(0.0, 0.03))
        if how.startswith("one rank"):
            _kill_one(run, started, rng.randrange(RANKS))
    finally:
        kill_all(started)
    for step in run.steps():
        verify(run.dir / "checkpoints" / f"step-{step}")
    taken = re.search(r"resuming \S+ at step (\d+)", run.log)
    assert taken is None or int(taken[1]) == before[-1], run.log
    return True


def _kill_one(run: Run, started: list, victim: int) -> None:
    """The others end soon and name it."""
    ranks = ranks_below(started[0].pid) if len(started) == 1 else [process.pid for process in started]
    os.kill(ranks[victim], signal.SIGKILL)
    statuses = finish(started)
    if len(started) == 1:
        assert statuses[0] in LAUNCHER_LOST_A_RANK, f"{statuses}:\n{run.log[-3000:]}"
    else:
        assert statuses == [-9 if rank == victim else 1 for rank in range(RANKS)], run.log[-3000:]
    assert f"lost rank {victim}" in run.log, run.log[-3000:]
    assert not any("pretrain.py" in command_of(pid) for pid in ranks), "a rank outlives its launcher"


def _reach(run: Run, step: int, ranks: list) -> bool:
    while run.last_step() < step:
        if any(process.poll() is not None for process in ranks):
            return False
        time.sleep(0.005)
    return True


def _reach_a_save(run: Run, ranks: list) -> None:
    """Until a checkpoint is being written."""
    while not list((run.dir / "checkpoints").glob(".partial-*")) and all(process.poll() is None for process in ranks):
        time.sleep(0.001)


def finish_undisturbed(run: Run) -> None:
    """Let the run get to its end."""
    if not (run.dir / "DONE").exists():
        ranks = run.start(RANKS)
        assert finish(ranks) == [0] * RANKS, run.log[-3000:]


def ends_like(run: Run, undisturbed: Run) -> bool:
    """Whether both runs ended in the same weights and optimizer state, to the last bit."""
    steps = run.changes["train__steps"]
    return all(
        same_bits(checkpoint(run.dir, steps, file), checkpoint(undisturbed.dir, steps, file))
        for file in ("weights", "optimizer")
    )
