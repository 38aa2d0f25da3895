"""Being asked to stop: all ranks agree at a step boundary, save, and end with a documented status."""

import json
import os
import signal

import pytest

from tests.faults.processes import Run, command_of, descendants, finish, kill_all

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


def launch_process(runner: int) -> int:
    """The process between the ``deepspeed`` command and the ranks."""
    return next(pid for pid in descendants(runner) if "deepspeed.launcher.launch" in command_of(pid))


@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGTERM, "deepspeed"),
        pytest.param(signal.SIGUSR1, "deepspeed", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, "deepspeed", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "deepspeed.launcher.launch", marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, "deepspeed.launcher.launch", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, "deepspeed.launcher.launch", marks=pytest.mark.slow),
    ],
)
def test_whatever_ends_the_launcher_its_ranks_save_and_end(tmp_path, corpora, number, whom):
    run = Run(tmp_path, corpora["plain"], ENDLESS)
    runner = run.start_launcher(2)
    try:
        run.wait_for_step(5, [runner])
        everyone = descendants(runner.pid)
        ranks = [pid for pid in everyone if command_of(pid).count("pretrain.py") and "launcher" not in command_of(pid)]
        assert len(ranks) == 2
        os.kill(runner.pid if whom == "deepspeed" else launch_process(runner.pid), number)
        run.wait_until(lambda: not any("pretrain.py" in command_of(pid) for pid in ranks), [], 40)
        saved_at_last_step(run)
    finally:
        kill_all([runner])
    assert not (run.dir / "DONE").exists()
