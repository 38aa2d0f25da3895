"""A run goes on anywhere: on other numbers of ranks, on another ZeRO stage, after any number of steps."""

import numpy as np
import pytest

from pretrain.data.plan import Bounds, Plan
from pretrain.data.stream import SampleStream
from tests.multinode.runs import OTHERWISE, SAVED, STEPS, checkpoint
from tests.training.ranks import digests, losses


@pytest.mark.parametrize("name", [*(f"on {ranks}" for ranks in OTHERWISE), "stage 1 to 3"])
def test_other_ranks_and_stages_see_the_same_batches_masks_and_losses(runs, name):
    straight, other = runs / "stage 1", runs / name
    assert digests(other) == digests(straight)[SAVED:]
    np.testing.assert_allclose(losses(other), losses(straight)[SAVED:], rtol=1e-5)
    for tensor, value in checkpoint(straight, STEPS).items():
        np.testing.assert_allclose(checkpoint(other, STEPS)[tensor], value, atol=2e-5, err_msg=tensor)


def test_a_run_may_change_its_stage_again_and_again(runs):
    assert len(losses(runs / "stage 1 to 3 to 2")) == 2


@pytest.mark.parametrize("position", [0, 1_000, 10**9, 10**15])
def test_finding_a_place_in_the_stream_costs_the_same_anywhere(position):
    stream = SampleStream([10**9, 3 * 10**8], [3.0, 1.0], seed=1)
    looked_at = 0

    def lengths_at(positions):
        nonlocal looked_at
        looked_at += len(positions)
        return 30 + stream.at(positions).index % 1000

    first = next(Plan(lengths_at, Bounds(tokens=9216), micro_batches=8).steps(position))
    assert first[0].start == position
    assert len(first) == 8
    assert looked_at <= 1024
