"""A checkpoint is whole or absent; a damaged one is noticed, named and passed over; old ones go, chosen ones stay."""

import json
import os
from pathlib import Path

import pytest
import torch

from pretrain.distributed.context import DistributedContext
from pretrain.errors import PolymeraseError
from pretrain.runs.checkpoint import INTEGRITY, OPTIMIZER, TRAIN_STATE, WEIGHTS, Checkpoints, read_state, read_tensors
from pretrain.training.resume import newest_whole

ALONE = DistributedContext(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))


def save(checkpoints: Checkpoints, step: int) -> None:
    weights = {"a": torch.full((300,), float(step)), "b": torch.arange(4.0)}
    checkpoints.save(step, weights, {"a/exp_avg": torch.zeros(300)}, {"step": step})


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "a flipped bit in the weights": lambda folder: flip(folder / WEIGHTS),
    "a flipped bit in the optimizer state": lambda folder: flip(folder / OPTIMIZER),
    "a flipped bit in the train state": lambda folder: flip(folder / TRAIN_STATE),
    "weights cut short": lambda folder: os.truncate(folder / WEIGHTS, 100),
    "empty weights": lambda folder: os.truncate(folder / WEIGHTS, 0),
    "no optimizer state": lambda folder: (folder / OPTIMIZER).unlink(),
    "an empty folder": lambda folder: [path.unlink() for path in folder.iterdir()],
    "no integrity file": lambda folder: (folder / INTEGRITY).unlink(),
    "an empty integrity file": lambda folder: (folder / INTEGRITY).write_text(""),
    "an integrity file of another form": lambda folder: (folder / INTEGRITY).write_text("[1]"),
    "an integrity file that leaves out the weights": lambda folder: (folder / INTEGRITY).write_text(
        json.dumps({k: v for k, v in json.loads((folder / INTEGRITY).read_text()).items() if k != WEIGHTS})
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_is_named(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 10)
    save(checkpoints, 20)
    DAMAGES[damage](checkpoints.path(20))
    warnings: list[str] = []
    found = newest_whole(checkpoints, ALONE, warnings)
    assert found == checkpoints.path(10)
    assert read_state(found) == {"step": 10}
    assert float(read_tensors(found, WEIGHTS)["a"][0]) == 10.0
    assert len(warnings) == 1
    assert "step-20 is damaged" in warnings[0]
    assert (checkpoints.folder / "damaged-step-20").is_dir(), "kept for whoever wants to know why"
    assert checkpoints.steps() == [10]


def test_a_run_whose_checkpoints_are_all_damaged_is_not_silently_started_anew(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 10)
    flip(checkpoints.path(10) / WEIGHTS)
    for _ in range(2):  # whoever tries the same command again is not to be surprised either
        with pytest.raises(PolymeraseError, match=r"no checkpoint is complete.*step-10"):
            newest_whole(checkpoints, ALONE, [])


def test_another_runs_damaged_checkpoint_is_left_where_it_is(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 10)
    save(checkpoints, 20)
    flip(checkpoints.path(20) / WEIGHTS)
    assert newest_whole(checkpoints, ALONE, [], own=False) == checkpoints.path(10)
    assert checkpoints.steps() == [10, 20]


def test_retention_keeps_the_last_k_and_every_nth(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in range(5, 55, 5):
        save(checkpoints, step)
        checkpoints.retain(keep_last=2, keep_every=20)
    assert checkpoints.steps() == [20, 40, 45, 50]
    assert (checkpoints.folder / "latest").read_text() == "step-50\n"
    assert not list(checkpoints.folder.glob(".partial*"))


def test_what_a_killed_save_left_behind_is_never_taken_for_a_checkpoint_and_goes_with_the_next_save(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 10)
    torn = checkpoints.folder / ".partial-step-20"
    torn.mkdir()
    (torn / WEIGHTS).write_bytes(b"half")
    assert newest_whole(checkpoints, ALONE, []) == checkpoints.path(10)
    save(checkpoints, 30)
    assert not torn.exists()


def test_saving_a_step_again_replaces_it_whole(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 10)
    checkpoints.save(10, {"a": torch.ones(1)}, {}, {"step": 10})
    assert list(read_tensors(newest_whole(checkpoints, ALONE, []), WEIGHTS)) == ["a"]


def test_a_save_that_fails_leaves_the_last_checkpoint_and_nothing_half_written(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 10)

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)  # many file systems report a full disk only here
    with pytest.raises(OSError, match="No space left"):
        save(checkpoints, 20)
    monkeypatch.undo()
    assert newest_whole(checkpoints, ALONE, []) == checkpoints.path(10)
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["latest", "step-10"]
