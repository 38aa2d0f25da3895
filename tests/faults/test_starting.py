"""Before the first step: a rank that cannot begin, or never comes, keeps nobody waiting, and says why."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.faults.processes import Run, command_of, finish, kill_all, ranks_below, wait_for
from tests.hang import HANG_S
from tests.training.ranks import free_port

PATIENCE_S = 8  # engine.timeout_s
ENDLESS = {"train__steps": 1_000_000, "schedule__total_steps": 1_000_000}


@pytest.fixture
def run(tmp_path, corpora) -> Run:
    return Run(tmp_path, corpora["plain"], ENDLESS | {"engine__timeout_s": PATIENCE_S})


def ended(run: Run, *words: list[str], world_size: int = 2) -> list[int]:
    """Exit statuses of ranks that are started with unlike words, each as the first of its host."""
    port = str(free_port())
    run.starts += 1
    ranks = [run.rank(rank, world_size, port, *own, LOCAL_RANK="0") for rank, own in enumerate(words)]
    try:
        return finish(ranks)
    finally:
        kill_all(ranks)


def errors(run: Run) -> list[str]:
    """The lines that say what is wrong."""
    return [line for line in run.log.splitlines() if line.startswith("error: ")]


def test_a_corpus_that_one_host_lacks_ends_all_ranks_and_the_host_is_named_once(run):
    assert ended(run, [], ["corpus.path=/nowhere"]) == [2, 2]
    (line,) = errors(run)
    assert line.startswith("error: corpus '/nowhere' does not exist")
    assert line.endswith(f"(rank 1 on {os.uname().nodename})")
    assert "Traceback" not in run.log


def test_hosts_with_unlike_settings_are_refused(run):
    assert ended(run, [], ["optimizer.lr=0.5"]) == [2, 2]
    (line,) = errors(run)
    assert "rank 1" in line
    assert line.count("optimizer") == 1
    assert not run.steps()


@pytest.mark.slow
def test_a_setting_that_is_wrong_on_one_host_is_said_by_that_host(run):
    began = time.monotonic()
    assert ended(run, [], ["train.stepz=1"]) == [1, 2]
    assert time.monotonic() - began < PATIENCE_S + HANG_S
    waited, wrong = sorted(errors(run), key=lambda line: "unknown key" in line)
    assert waited.startswith("error: not all 2 ranks came together")
    assert "did you mean 'train.steps'?" in wrong


@pytest.mark.slow
def test_a_rank_that_never_comes_is_waited_for_as_long_as_configured(run):
    began = time.monotonic()
    assert ended(run, []) == [1]
    assert time.monotonic() - began < PATIENCE_S + HANG_S
    (line,) = errors(run)
    assert f"{PATIENCE_S} s (engine.timeout_s)" in line
    assert "1/2 clients joined" in line


@pytest.mark.parametrize(
    ("number", "seconds"),
    [(signal.SIGUSR1, 1.0), *(pytest.param(signal.SIGTERM, s, marks=pytest.mark.slow) for s in (0.0, 3, 5, 7))],
)
def test_a_signal_while_starting_ends_all_ranks_with_status_75(run, number, seconds):
    """Whatever they are at: imports, the rendezvous, building the model, the first steps."""
    ranks = run.start(2)
    try:
        wait_for(lambda: all(hears(rank.pid, number) for rank in ranks), HANG_S)  # Python itself takes a moment
        time.sleep(seconds)
        for rank in ranks:
            rank.send_signal(number)
        began = time.monotonic()
        assert finish(ranks) == [75, 75], run.log[-2000:]
        assert time.monotonic() - began < HANG_S
    finally:
        kill_all(ranks)
    assert run.log.count("stopped by") == 1
    assert run.last_step() == (run.steps() or [0])[-1]


@pytest.mark.slow
def test_a_rank_that_waits_for_others_can_be_asked_to_stop(run):
    port = free_port()
    rank = run.rank(0, 2, str(port), "engine.timeout_s=300")
    try:
        wait_for(lambda: is_open(port), HANG_S)
        time.sleep(1)  # now it hangs in the rendezvous, where Python runs no signal handlers
        rank.send_signal(signal.SIGTERM)
        assert finish([rank]) == [75]
    finally:
        kill_all([rank])


@pytest.mark.slow
def test_ranks_whose_launcher_is_killed_while_they_start_do_not_stay(run):
    runner = run.start_launcher(2)
    try:
        wait_for(lambda: len(ranks_below(runner.pid)) == 2, HANG_S)
        ranks = ranks_below(runner.pid)
        time.sleep(1)
        runner.kill()
        wait_for(lambda: not any("pretrain.py" in command_of(pid) for pid in ranks), HANG_S)
    finally:
        kill_all([runner])


def hears(pid: int, number: signal.Signals) -> bool:
    """Whether a process handles a signal."""
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), flags=re.M)
    return bool(int(caught, 16) >> (number - 1) & 1)


def is_open(port: int) -> bool:
    """Whether somebody listens there; it is not disturbed."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return any(line[1].endswith(f":{port:04X}") and line[3] == "0A" for line in lines)
