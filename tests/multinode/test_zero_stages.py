"""Every way of cutting a model up over ranks trains, resumes, evaluates and exports like plain data parallelism."""

from pathlib import Path

import numpy as np
import pytest

from tests.multinode.runs import BF16, SAVED, STEPS, WAYS, checkpoint, same_bits
from tests.training.ranks import digests, losses, records


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_losses_agree_with_plain_data_parallelism_to_1e_5_over_50_steps(runs, way):
    plain, cut = runs / "stage 0", runs / way
    assert digests(cut) == digests(plain)
    assert len(losses(cut)) == STEPS
    np.testing.assert_allclose(losses(cut), losses(plain), rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_run_ends_in_the_same_bits(runs, way):
    straight, resumed = runs / way, runs / f"{way} resumed"
    assert losses(resumed) == losses(straight)[SAVED:]
    assert digests(resumed) == digests(straight)[SAVED:]
    for file in ("weights", "optimizer"):
        assert same_bits(checkpoint(resumed, STEPS, file), checkpoint(straight, STEPS, file)), file


@pytest.mark.parametrize("way", BF16)
def test_in_bf16_too_a_resumed_run_ends_in_the_same_bits(runs, way):
    straight, resumed = runs / way, runs / f"{way} resumed"
    assert losses(resumed) == losses(straight)[5:]
    for file in ("weights", "optimizer"):
        assert same_bits(checkpoint(resumed, 8, file), checkpoint(straight, 8, file)), file


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_evaluation_sees_the_same_model(runs, way):
    def held_out(run_dir: Path) -> float:
        return records(run_dir)[-1]["validation/mlm/loss"]

    np.testing.assert_allclose(held_out(runs / way), held_out(runs / "stage 0"), rtol=1e-5)


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_checkpoints_hold_whole_tensors_whatever_the_stage(runs, way):
    for file in ("weights", "optimizer"):
        plain, cut = (checkpoint(runs / name, STEPS, file) for name in ("stage 0", way))
        assert {k: v.shape for k, v in cut.items()} == {k: v.shape for k, v in plain.items()}
    plain, cut = (checkpoint(runs / name, STEPS) for name in ("stage 0", way))
    for name, value in plain.items():
        np.testing.assert_allclose(cut[name], value, atol=2e-5, err_msg=name)
