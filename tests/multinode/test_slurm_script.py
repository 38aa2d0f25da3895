"""``launch/slurm.sh`` asks for a signal before the time limit, and puts a job that saved itself back into the queue.

``srun`` and ``scontrol`` are stand-ins that do what SLURM's do with one node: start a rank per task with the variables
of SLURM, and note the call.
"""

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.processes import Run, command_of, descendants, kill_all
from tests.hang import HANG_S
from tests.training.ranks import ROOT, environment, free_port

SRUN = """#!/bin/sh
test "$1" = --kill-on-bad-exit=1 && shift
for rank in 0 1; do SLURM_PROCID=$rank SLURM_LOCALID=$rank "$@" & pids="$pids $!"; done
trap '' TERM USR1
worst=0
for pid in $pids; do wait $pid; status=$?; test $status -gt $worst && worst=$status; done
exit $worst
"""


@pytest.fixture
def slurm(tmp_path) -> Path:
    """A folder with the two commands; ``requeued`` is written there."""
    commands = {"srun": SRUN, "scontrol": f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\n'}
    for name, text in commands.items():
        path = tmp_path / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def submit(slurm: Path, run: Run, *words: str) -> subprocess.Popen:
    env = environment(
        SLURM_NTASKS="2", SLURM_JOB_ID=str(free_port() - 20000), SLURM_JOB_NODELIST="127.0.0.1",
        PATH=f"{slurm}:{os.environ['PATH']}", PYTHON=sys.executable, DS_ACCELERATOR="cpu",
    )  # fmt: skip
    run.starts += 1
    command = ["bash", str(ROOT / "launch" / "slurm.sh"), "--config", str(run.config), *words]
    with (run.folder / f"start-{run.starts}-0.log").open("w") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def test_a_job_that_is_signaled_saves_and_is_requeued_and_then_finishes(tmp_path, corpora, slurm):
    run = Run(tmp_path / "run", corpora["plain"], {"train__steps": 1_000_000, "schedule__total_steps": 1000})
    job = submit(slurm, run)
    try:
        run.wait_for_step(5, [job])
        for pid in descendants(job.pid):  # the signal of --signal=USR1@600 reaches every process of the step
            if "pretrain.py" in command_of(pid):
                os.kill(pid, signal.SIGUSR1)
        job.send_signal(signal.SIGTERM)  # as in a preemption, the batch script is signaled too
        assert job.wait(HANG_S) == 75, run.log[-3000:]
        assert (slurm / "requeued").read_text().startswith("requeue ")
        (slurm / "requeued").unlink()
        step = run.steps()[-1]
        assert step == run.last_step()
        job = submit(slurm, run, f"train.steps={step + 3}")
        assert job.wait(HANG_S) == 0, run.log[-3000:]
    finally:
        kill_all([job])
    assert f"at step {step}" in run.log
    assert not (slurm / "requeued").exists(), "a finished job leaves the queue"


def test_a_job_with_a_wrong_setting_is_not_requeued(tmp_path, corpora, slurm):
    run = Run(tmp_path / "run", corpora["plain"])
    job = submit(slurm, run, "train.stepz=1")
    assert job.wait(HANG_S) == 2
    assert run.log.count("did you mean 'train.steps'?") == 1, "two tasks of one host have the same to say"
    assert not (slurm / "requeued").exists()


def test_the_script_asks_slurm_for_a_signal_and_to_be_requeued():
    asked = re.findall(r"^#SBATCH (\S+)", (ROOT / "launch" / "slurm.sh").read_text(), flags=re.M)
    assert {"--signal=USR1@600", "--requeue", "--open-mode=append"} <= set(asked)
