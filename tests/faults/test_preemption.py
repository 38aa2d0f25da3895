"""Being asked to stop: all ranks agree at a step boundary, save, and end with a documented status."""

import json
import os
import signal
import time

import pytest

from pretrain.runs.checkpoint import verify
from tests.faults.processes import Run, command_of, descendants, finish, kill_all, ranks_below
from tests.hang import HANG_S
from tests.training.corpora import build_plain

ENDLESS = {"train__steps": 1_000_000, "schedule__total_steps": 1_000_000}


def saved_at_last_step(run: Run) -> int:
    """The step at which the run stopped: it is both logged last and saved last."""
    assert run.steps()[-1] == run.last_step(), run.log[-2000:]
    state = json.loads((run.dir / "checkpoints" / f"step-{run.last_step()}" / "train_state.json").read_text())
    assert state["step"] == run.last_step()
    return run.last_step()


@pytest.mark.parametrize(
    ("number", "rank"), [(signal.SIGUSR1, 1), pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow)]
)
def test_a_signal_to_any_rank_stops_all_ranks_at_one_step_with_status_75(tmp_path, corpora, number, rank):
    run = Run(tmp_path, corpora["plain"], ENDLESS | {"train__loader_workers": 1})
    ranks = run.start(2)
    try:
        run.wait_for_step(5, ranks)
        os.killpg(ranks[rank].pid, number)  # its loader's processes too, as SLURM and launchers do
        assert finish(ranks) == [75, 75], run.log[-2000:]
        step = saved_at_last_step(run)
        ranks = run.start(2, f"train.steps={step + 2}")
        assert finish(ranks) == [0, 0], run.log[-2000:]
    finally:
        kill_all(ranks)
    assert f"at step {step}" in run.log
    assert run.last_step() == step + 2


def evaluating(run: Run) -> bool:
    """The step before an evaluation, which takes longer than all steps together here, was logged last."""
    return run.last_step() % 5 == 0 and "held-out" not in run.log.rpartition("tokens/s")[2]


def saving(run: Run) -> bool:
    return bool(list((run.dir / "checkpoints").glob(".partial-*")))


@pytest.mark.slow
@pytest.mark.parametrize("moment", [evaluating, saving])
@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM), (signal.SIGUSR1,) * 20])
def test_signals_during_an_evaluation_or_a_save_and_many_of_them_stop_the_run_as_one_does(
    tmp_path, validation_corpus, moment, numbers
):
    every = {"train__eval_every": 5, "train__eval_sequences": 600} if moment is evaluating else {"train__save_every": 1}
    run = Run(tmp_path, validation_corpus, ENDLESS | every)
    ranks = run.start(2)
    try:
        run.wait_for_step(5, ranks)
        run.wait_until(lambda: moment(run), ranks)
        for number in numbers:
            for rank in ranks:
                rank.send_signal(number)
            time.sleep(0.01)
        assert finish(ranks) == [75, 75], run.log[-2000:]
    finally:
        kill_all(ranks)
    assert run.log.count("stopped by SIG") == 1
    step = saved_at_last_step(run)
    verify(run.dir / "checkpoints" / f"step-{step}")


@pytest.fixture
def validation_corpus(tmp_path):
    return build_plain(tmp_path, count=800, validation=0.8)


def launch_process(runner: int) -> int:
    """The process between the ``deepspeed`` command and the ranks."""
    return next(pid for pid in descendants(runner) if "deepspeed.launcher.launch" in command_of(pid))


STATUSES = {  # of the command, as docs/cluster.md has them
    (signal.SIGTERM, "deepspeed"): -signal.SIGTERM,
    (signal.SIGINT, "deepspeed"): -signal.SIGINT,
    (signal.SIGUSR1, "deepspeed"): -signal.SIGUSR1,
    (signal.SIGKILL, "deepspeed"): -signal.SIGKILL,
    (signal.SIGINT, "everyone, as Ctrl-C does"): -signal.SIGINT,
    (signal.SIGTERM, "deepspeed.launcher.launch"): 1,
    (signal.SIGUSR1, "deepspeed.launcher.launch"): 0,
    (signal.SIGKILL, "deepspeed.launcher.launch"): 0,
    (signal.SIGTERM, "torchrun"): 1,
    (signal.SIGINT, "torchrun"): 1,
    (signal.SIGUSR1, "torchrun"): -signal.SIGUSR1,
    (signal.SIGKILL, "torchrun"): -signal.SIGKILL,
}


@pytest.mark.parametrize(
    ("number", "whom"),
    [
        case if case == (signal.SIGTERM, "deepspeed") else pytest.param(*case, marks=pytest.mark.slow)
        for case in STATUSES
    ],
)
def test_whatever_ends_the_launcher_its_ranks_save_and_end(tmp_path, corpora, number, whom):
    run = Run(tmp_path, corpora["plain"], ENDLESS)
    runner = run.start_launcher(2, launcher="torchrun" if whom == "torchrun" else "deepspeed")
    try:
        run.wait_for_step(5, [runner])
        ranks = ranks_below(runner.pid)
        assert len(ranks) == 2
        if whom.startswith("everyone"):
            os.killpg(runner.pid, number)
        else:
            os.kill(launch_process(runner.pid) if whom.endswith("launch") else runner.pid, number)
        assert finish([runner]) == [STATUSES[number, whom]]
        run.wait_until(lambda: not any("pretrain.py" in command_of(pid) for pid in ranks), [], HANG_S)
        saved_at_last_step(run)
    finally:
        kill_all([runner])
    assert not (run.dir / "DONE").exists()
