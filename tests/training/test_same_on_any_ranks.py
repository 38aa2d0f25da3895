"""The same losses, whatever the number of ranks, the ZeRO stage, and the way a step is dealt out."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.training.conftest import STEPS
from tests.training.ranks import digests, losses, records, steps


def final_weights(run_dir):
    return load_file(run_dir / "checkpoints" / f"step-{STEPS}" / "weights.safetensors")


def assert_close(run, reference, tolerance=1e-5):
    """Losses, batches and held-out figures of two runs."""
    assert digests(run) == digests(reference)
    assert losses(run) == pytest.approx(losses(reference), rel=tolerance)
    ours, theirs = (
        {key: value for record in records(folder) for key, value in record.items() if "validation/" in key}
        for folder in (run, reference)
    )
    assert ours
    assert ours == pytest.approx(theirs, rel=tolerance)


def test_the_reference_learns(alone):
    first, last = losses(alone["zero 0"])[0], losses(alone["zero 0"])[-1]
    assert len(losses(alone["zero 0"])) == STEPS
    assert last < first - 0.3


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_one_rank(alone, stage):
    assert_close(alone[f"zero {stage}"], alone["zero 0"])


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_two_ranks_with_dropout(alone, pair, stage):
    assert_close(pair[f"zero {stage}"], alone["zero 0"])


def test_three_ranks_that_cannot_share_a_step_evenly(alone, three):
    assert_close(three["zero 2"], alone["zero 0"])


def test_ranks_end_with_the_same_weights(alone, pair, three):
    reference = final_weights(alone["zero 0"])
    for run in (pair["zero 0"], pair["zero 1"], pair["zero 2"], three["zero 2"]):
        weights = final_weights(run)
        assert weights.keys() == reference.keys()
        for name, value in weights.items():
            # Adam divides by sqrt(v): where a gradient is nearly zero, its rounding is not
            assert (value - reference[name]).abs().max() < 2e-5, name


@pytest.mark.parametrize("ranks", ["pair", "three"])
def test_objectives_and_corpora_together_where_some_micro_batches_lack_labels(alone, request, ranks):
    run = request.getfixturevalue(ranks)["everything"]
    assert_close(run, alone["everything"])
    told = set()
    for ours, theirs in zip(steps(run), steps(alone["everything"]), strict=True):
        names = {key for key in theirs if "/" in key}
        assert {key: ours[key] for key in names} == pytest.approx({key: theirs[key] for key in names}, rel=1e-4)
        told |= names
    assert {f"{name}/loss" for name in ("mlm", "soft_label", "structure", "mfe", "rna_type")} <= told


def test_accuracy_is_told_per_strategy_and_adds_up(alone):
    record = steps(alone["everything"])[-1]
    shares = [record[f"mlm/accuracy/{name}"] for name in ("variant_first", "span")]
    assert min(shares) <= record["mlm/accuracy"] <= max(shares)


def test_accumulating_is_the_same_as_naming_the_micro_batches(alone):
    assert losses(alone["accumulation"]) == losses(alone["zero 1"])


def test_loader_workers_change_nothing(alone):
    assert losses(alone["workers"]) == losses(alone["zero 1"])


def test_recomputed_activations_give_bitwise_the_same_losses(alone):
    """With dropout: the same random numbers are drawn again. Layers that are recomputed store their scores."""
    assert losses(alone["checkpointed activations"]) == losses(alone["stored scores"])


def test_scores_rebuilt_in_one_buffer_give_the_same_losses(alone):
    assert losses(alone["stored scores"]) == pytest.approx(losses(alone["zero 1"]), rel=1e-6)


def test_scores_stored_in_float16_give_nearly_the_same_losses(alone):
    found = losses(alone["scores in float16"])
    assert found == pytest.approx(losses(alone["stored scores"]), rel=1e-3)
    assert found != losses(alone["stored scores"])


def test_bf16_trains_without_zero(alone):
    run = alone["bf16 zero 0"]
    assert losses(run) == pytest.approx(losses(alone["zero 0"]), rel=0.03)
    assert losses(run) != losses(alone["zero 0"])
    assert losses(run)[-1] < losses(run)[0] - 0.3


@pytest.mark.parametrize("stage", [1, 2])
def test_bf16_trains_with_zero_on_two_ranks(alone, pair, stage):
    run = pair[f"bf16 zero {stage}"]
    assert digests(run) == digests(alone["zero 0"])
    assert losses(run) == pytest.approx(losses(alone["zero 0"]), rel=0.03)
    assert losses(run) != losses(alone["zero 0"])


def test_master_weights_of_bf16_runs_are_float32(alone, pair):
    """Bits below bf16's eight survive in a checkpoint."""
    for run in (alone["bf16 zero 0"], pair["bf16 zero 1"], pair["bf16 zero 2"]):
        word = final_weights(run)["encoder.embeddings.word.weight"]
        assert (word != word.bfloat16().float()).float().mean() > 0.5


def test_no_shared_memory_is_left_behind(alone, pair, three):
    ports = [runs["."].joinpath("port").read_text() for runs in (alone, pair, three)]
    left = [path.name for path in Path("/dev/shm").glob("deepspeed_allreduce_buffer_*")]
    assert not [name for name in left if any(f"_{port}_" in name for port in ports)]
