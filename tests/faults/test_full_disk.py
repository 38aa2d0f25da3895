"""A full disk during a save: the run says so, keeps its last checkpoint, and goes on or stops as configured."""

import subprocess
from pathlib import Path

import pytest

from pretrain.runs.checkpoint import verify
from tests.faults.processes import Run, finish, kill_all


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB for the run folder alone; a checkpoint of these runs takes about 0.5 MB."""
    folder = tmp_path / "run"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that leaves no room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def test_the_run_goes_on_and_saves_again_when_there_is_room(tmp_path, small_disk, corpora):
    changes = {"train__save_every": 4, "train__keep_last": 1}
    run = Run(tmp_path, corpora["plain"], changes | {"train__steps": 1_000_000, "schedule__total_steps": 1000})
    rank = run.start(1)
    try:
        run.wait_until(lambda: run.steps() != [], rank)
        ballast = fill(small_disk)
        run.wait_until(lambda: "not written" in run.log, rank)
        kept = run.steps()
        verify(run.dir / "checkpoints" / f"step-{kept[0]}")
        ballast.unlink()
        run.wait_until(lambda: run.steps() != kept and run.steps() != [], rank)
        rank[0].terminate()
        assert finish(rank) == [75], run.log[-2000:]
    finally:
        kill_all(rank)
    assert f"last one: {kept[0]}; continuing (train.on_save_failure)" in run.log
    assert "No space left on device" in run.log
    verify(run.dir / "checkpoints" / f"step-{run.steps()[-1]}")


@pytest.mark.slow
def test_the_run_stops_where_the_config_says_so_and_keeps_its_last_checkpoint(tmp_path, small_disk, corpora):
    changes = {"train__save_every": 4, "train__keep_last": 1, "train__on_save_failure": "stop"}
    run = Run(tmp_path, corpora["plain"], changes | {"train__steps": 1_000_000, "schedule__total_steps": 1000})
    ranks = run.start(2)
    try:
        run.wait_until(lambda: run.steps() != [], ranks)
        fill(small_disk)
        assert finish(ranks) == [1, 1], run.log[-2000:]
    finally:
        kill_all(ranks)
    assert "not written" in run.log
    assert len(run.steps()) == 1
    verify(run.dir / "checkpoints" / f"step-{run.steps()[0]}")
