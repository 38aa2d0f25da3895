"""Training over two hosts, started in every documented way, and one host lost. Hosts are network namespaces."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.faults.processes import Run, finish, kill_all
from tests.multinode.hosts import Hosts, NotPermittedError
from tests.training.ranks import digests, free_port, losses

STEPS = 12


@pytest.fixture
def hosts():
    try:
        with Hosts() as both:
            yield both
    except NotPermittedError as error:
        pytest.skip(f"network namespaces are not permitted here: {error}")


def by_hostfile(run: Run, hosts: Hosts) -> list:
    """``deepspeed --hostfile`` on each host, without ssh."""
    hostfile = run.folder / "hostfile"
    hostfile.write_text("".join(f"{hosts.address(number)} slots=1\n" for number in range(hosts.count)))
    port, started = str(free_port()), []
    for number in range(hosts.count):
        words = ["--hostfile", str(hostfile), "--no_ssh", "--node_rank", str(number)]
        words += ["--master_addr", hosts.address(0), "--master_port", port]
        started.append(run.on_host(hosts.on(number), "deepspeed", *words))
    return started


def by_torchrun(run: Run, hosts: Hosts) -> list:
    """``torchrun`` on each host."""
    port, started = str(free_port()), []
    for number in range(hosts.count):
        words = ["--nnodes", "2", "--nproc_per_node", "1", "--node_rank", str(number)]
        words += ["--master_addr", hosts.address(0), "--master_port", port]
        started.append(run.on_host(hosts.on(number), "torchrun", *words))
    return started


def by_srun(run: Run, hosts: Hosts) -> list:
    """One process per rank with the variables that ``srun`` sets, the way of ``launch/slurm.sh``."""
    nodes = ",".join(hosts.address(number) for number in range(hosts.count))
    job = {"SLURM_NTASKS": "2", "SLURM_JOB_ID": str(free_port()), "SLURM_JOB_NODELIST": nodes}
    return [
        run.on_host(hosts.on(number), "python", **job, SLURM_PROCID=str(number), SLURM_LOCALID="0")
        for number in range(hosts.count)
    ]


WAYS = {"hostfile": by_hostfile, "torchrun": by_torchrun, "srun": by_srun}


@pytest.mark.parametrize(
    "way", ["srun", *(pytest.param(way, marks=pytest.mark.slow) for way in ("hostfile", "torchrun"))]
)
def test_two_hosts_train_like_one(tmp_path, corpora, hosts, way):
    run = Run(tmp_path / "two", corpora["plain"], {"train__steps": STEPS, "engine__interface": "eth0"})
    started = WAYS[way](run, hosts)
    try:
        assert finish(started) == [0, 0], run.log[-3000:]
    finally:
        kill_all(started)
    alone = Run(tmp_path / "one", corpora["plain"], {"train__steps": STEPS})
    assert finish(alone.start(1)) == [0], alone.log[-3000:]
    assert digests(run.dir) == digests(alone.dir)
    assert losses(run.dir) == pytest.approx(losses(alone.dir), rel=1e-5)


@pytest.mark.parametrize(
    "way", ["srun", *(pytest.param(way, marks=pytest.mark.slow) for way in ("hostfile", "torchrun"))]
)
def test_a_host_cut_off_ends_the_others_in_time_with_its_name_and_the_run_goes_on_with_what_is_left(
    tmp_path, corpora, hosts, way
):
    changes = {"train__steps": 1_000_000, "schedule__total_steps": 1000, "train__save_every": 5}
    run = Run(tmp_path, corpora["plain"], changes | {"engine__interface": "eth0", "engine__lost_rank_s": 5})
    started = WAYS[way](run, hosts)
    try:
        run.wait_until(lambda: run.steps() != [], started)
        hosts.cut_off(1)
        began = time.monotonic()
        statuses = finish(started, 60)
        seconds = time.monotonic() - began
    finally:
        kill_all(started)
    assert all(status not in (0, -9, 75) for status in statuses), statuses
    assert seconds < 25, "5 s of silence, and time to tell each other and to end"
    assert "error: lost rank 1 (host node1)" in log_of(run, 0)
    assert "error: lost rank 0 (host node0)" in log_of(run, 1), "the host that was cut off misses the other one"
    saved = run.steps()[-1]
    left = run.start(1, f"train.steps={saved + 3}")
    assert finish(left) == [0], run.log[-3000:]
    assert re.search(rf"resuming \S+/step-{saved} at step {saved}", run.log)


@pytest.mark.slow
def test_a_signal_to_one_host_stops_both_at_one_step(tmp_path, corpora, hosts):
    changes = {"train__steps": 1_000_000, "schedule__total_steps": 1000, "engine__interface": "eth0"}
    run = Run(tmp_path, corpora["plain"], changes)
    started = by_srun(run, hosts)
    try:
        run.wait_for_step(5, started)
        started[1].send_signal(signal.SIGUSR1)
        assert finish(started) == [75, 75], run.log[-3000:]
    finally:
        kill_all(started)
    assert run.steps() == [run.last_step()]


def log_of(run: Run, host: int) -> str:
    """What the processes on a host printed."""
    return Path(run.folder / f"start-{run.starts}-{host}.log").read_text()
