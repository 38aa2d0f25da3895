"""Ways to start x things that go wrong: exactly one line says what, and the status is that of the error.

srun, mpirun and sbatch are stand-ins (``standin.py``) that set the variables which the real ones set and end all ranks
when one has failed. Each cell starts a launcher and its ranks, POLYMERASE_REPEATS times (1): all of it takes minutes.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.faults.processes import LAUNCH, Run, command_of, finish, kill_all, ranks_below, wait_for
from tests.hang import HANG_S

pytestmark = pytest.mark.slow

ENDLESS = {"train__steps": 1_000_000, "schedule__total_steps": 1_000_000}
REPEATS = int(os.environ.get("POLYMERASE_REPEATS", "1"))
WAYS = {
    "python": ("python", 1),
    "deepspeed, 1 rank": ("deepspeed", 1),
    "deepspeed, 2 ranks": ("deepspeed", 2),
    "torchrun, 1 rank": ("torchrun", 1),
    "torchrun, 2 ranks": ("torchrun", 2),
    "srun, 2 tasks": ("srun", 2),
    "mpirun (Open MPI), 2 ranks": ("mpirun", 2),
    "mpiexec (MPICH), 2 ranks": ("mpiexec", 2),
    "deepspeed --launcher openmpi, 2 ranks": ("deepspeed openmpi", 2),
    "sbatch without srun, 2 tasks": ("sbatch", 2),
}
STANDINS = ("srun", "mpirun", "mpiexec", "sbatch", "ompi_info")
ERRORS = {  # words of the command line, what the line says, exit status
    "unknown option": (("--stepz=5",), "unrecognized arguments: --stepz=5", 2),
    "unknown key": (("train.stepz=5",), "did you mean 'train.steps'?", 2),
    "missing corpus": (("corpus.path=/nowhere",), "corpus '/nowhere' does not exist", 2),
    "missing weights": (("model.init_from=/nowhere",), "/nowhere", 2),
    "not finite": (("optimizer.lr=1e38", "schedule.warmup_steps=0", "optimizer.max_grad_norm=0",
                    "train.on_bad_step=stop"), "not finite", 1),
}  # fmt: skip


@pytest.fixture
def run(tmp_path, corpora) -> Run:
    return Run(tmp_path, corpora["plain"], ENDLESS)


@pytest.fixture
def standins(tmp_path: Path) -> Path:
    """A folder of commands to put in front of PATH."""
    folder = tmp_path / "standins"
    folder.mkdir()
    for name in STANDINS:
        (folder / name).write_text(f"#!{sys.executable}\n" + Path(__file__).with_name("standin.py").read_text())
        (folder / name).chmod(0o755)
    return folder


def start(run: Run, standins: Path, launcher: str, ranks: int, *words: str):
    if launcher == "python":
        return run.start(1, *words)[0]
    if launcher in ("deepspeed", "torchrun"):
        return run.start_launcher(ranks, *words, launcher=launcher)
    if launcher == "deepspeed openmpi":
        (hosts := run.folder / "hosts").write_text(f"localhost slots={ranks}\n")
        through = [str(Path(sys.executable).with_name("deepspeed")), "--hostfile", str(hosts), "--launcher", "openmpi"]
        return run.start_command(
            [*through, "--force_multi", "--no_ssh_check", "--master_addr", "127.0.0.1", LAUNCH], standins, *words
        )
    return run.start_command([launcher, sys.executable, LAUNCH], standins, *words)


def errors(run: Run) -> list[str]:
    """The lines of ours that say what is wrong; launchers have theirs."""
    return [line for line in run.log.splitlines() if line.startswith(("error: ", "stopped by "))]


def ends(launcher: str, status: int) -> int:
    """torchrun has one status for all errors."""
    return 1 if launcher == "torchrun" else status


@pytest.mark.parametrize("wrong", ERRORS)
@pytest.mark.parametrize("way", WAYS)
def test_every_error_is_one_line_under_every_launcher(run, standins, way, wrong):
    (launcher, ranks), (words, said, status) = WAYS[way], ERRORS[wrong]
    if launcher == "sbatch" and wrong == "not finite":
        pytest.skip("one process of two never trains")
    for _ in range(REPEATS):
        process = start(run, standins, launcher, ranks, *words)
        try:
            assert finish([process], 4 * HANG_S) == [ends(launcher, status)], run.log[-3000:]
        finally:
            kill_all([process])
        (line,) = errors(run)
        assert said in line


def test_a_batch_step_says_at_once_that_srun_is_missing_and_how_long_it_waits(run, standins):
    process = start(run, standins, "sbatch", 2, "engine.timeout_s=5")
    try:
        assert finish([process], 4 * HANG_S) == [1], run.log[-3000:]
    finally:
        kill_all([process])
    assert (
        "note: rank 0 waits for 1 more ranks at 127.0.0.1:20077; this is SLURM's batch step, one process of 2"
        in run.log
    )
    (line,) = errors(run)
    assert "not all 2 ranks came together" in line
    assert "srun python launch/pretrain.py" in line


@pytest.mark.parametrize("wrong", ["unknown option", "unknown key", "missing corpus"])
@pytest.mark.parametrize("launcher", ["deepspeed", "torchrun"])
def test_the_line_is_not_lost_when_the_rank_that_speaks_comes_late(run, launcher, wrong):
    words, said, status = ERRORS[wrong]
    process = run.start_launcher(2, *words, launcher=launcher, script=str(Path(__file__).with_name("late.py")))
    try:
        assert finish([process], 4 * HANG_S) == [ends(launcher, status)], run.log[-3000:]
    finally:
        kill_all([process])
    (line,) = errors(run)
    assert said in line


@pytest.mark.parametrize(("launcher", "status"), [("deepspeed", 256 - signal.SIGKILL), ("torchrun", 1)])
def test_a_rank_that_dies_is_named_in_one_line_and_ends_the_launcher(run, launcher, status):
    process = run.start_launcher(2, launcher=launcher)
    try:
        run.wait_for_step(2, [process])
        ranks = ranks_below(process.pid)
        os.kill(ranks[1], signal.SIGKILL)
        assert finish([process], HANG_S) == [status], run.log[-3000:]
        wait_for(lambda: not any("pretrain.py" in command_of(pid) for pid in ranks), HANG_S)
    finally:
        kill_all([process])
    (line,) = errors(run)
    assert line.startswith("error: lost rank 1 (host ")
