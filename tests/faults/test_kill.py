"""A run that is killed ends like one that was left alone. ``run_faults.py`` does this 50 times."""

import random

import pytest

from tests.faults.kills import ends_like, finish_undisturbed, kill_once, killable


@pytest.mark.parametrize("checkpoints", ["background", "sharded"])
def test_a_run_killed_at_any_moment_ends_in_the_same_weights(tmp_path, corpora, checkpoints):
    rng = random.Random(7)
    undisturbed, killed = (
        killable(tmp_path / name, corpora["plain"], 80, checkpoints) for name in ("undisturbed", "killed")
    )
    for how in ("one rank", "all ranks while a checkpoint is written"):
        assert kill_once(killed, how, rng), f"done before it could be killed: {how}"
    finish_undisturbed(killed)
    finish_undisturbed(undisturbed)
    assert ends_like(killed, undisturbed)
