"""A lost rank ends the others within the configured time, and they say which it was."""

import signal
import time

import pytest

from tests.faults.processes import Run, finish, kill_all
from tests.hang import HANG_S

ENDLESS = {"train__steps": 1_000_000, "schedule__total_steps": 1_000_000, "train__save_every": 20}
LOST_AFTER_S = 6  # engine.lost_rank_s of the runs of this folder


@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_rank_that_hangs_is_named_and_the_others_end_in_time(tmp_path, corpora, victim):
    run = Run(tmp_path, corpora["plain"], ENDLESS)
    ranks = run.start(2)
    try:
        run.wait_until(lambda: len(run.steps()) > 0, ranks)
        ranks[victim].send_signal(signal.SIGSTOP)  # like a cut cable: no error on any socket
        began = time.monotonic()
        assert finish([ranks[1 - victim]]) == [1], run.log[-3000:]
        assert time.monotonic() - began < 2 * LOST_AFTER_S + HANG_S
    finally:
        kill_all(ranks)
    assert f"error: lost rank {victim} (host " in run.log
    assert run.steps()[-1] <= run.last_step(), "nothing was saved without the lost rank"


def test_a_machine_that_was_suspended_has_lost_no_rank(tmp_path, corpora):
    run = Run(tmp_path, corpora["plain"], ENDLESS)
    ranks = run.start(2)
    try:
        run.wait_until(lambda: len(run.steps()) > 0, ranks)
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for process in ranks:
                process.send_signal(number)
            if number == signal.SIGSTOP:
                time.sleep(2 * LOST_AFTER_S)
        step = run.last_step()
        run.wait_until(lambda: run.last_step() > step + 1, ranks)
        time.sleep(LOST_AFTER_S)  # every rank has looked at all others again
        assert [process.poll() for process in ranks] == [None, None], run.log[-3000:]
        assert "lost rank" not in run.log  # before they are killed: the second may still say that the first is gone
    finally:
        kill_all(ranks)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_rank_that_is_killed_is_named_by_all_others(tmp_path, corpora, victim):
    run = Run(tmp_path, corpora["plain"], ENDLESS)
    ranks = run.start(3)
    try:
        run.wait_until(lambda: len(run.steps()) > 0, ranks)
        ranks[victim].kill()
        statuses = finish(ranks)
    finally:
        kill_all(ranks)
    assert statuses == [-9 if rank == victim else 1 for rank in range(3)]
    assert run.log.count(f"error: lost rank {victim} (host ") >= 2, run.log[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGSTOP, 1), (signal.SIGKILL, 1), (signal.SIGTERM, 75)])
def test_a_log_that_cannot_be_written_keeps_no_rank_from_ending(tmp_path, corpora, number, status):
    run = Run(tmp_path, corpora["plain"], ENDLESS, log_to="/dev/full")
    ranks = run.start(2)
    try:
        run.wait_until(lambda: len(run.steps()) > 0, ranks)
        ranks[1].send_signal(number)
        assert finish(ranks[:1]) == [status]
    finally:
        kill_all(ranks)
