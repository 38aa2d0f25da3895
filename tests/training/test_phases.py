"""``train.phases``: every phase trains what it says, and a run that was stopped in any of them goes on exactly."""

import json
import subprocess
import sys
import time

import pytest
import torch

from tests.training.conftest import Runs
from tests.training.corpora import tree, write_yaml
from tests.training.ranks import ROOT, command_line, digests, environment, losses, steps
from tests.training.test_resume import assert_bitwise, checkpoint

# three phases: another masking; longer samples in smaller micro-batches under a new schedule with a fresh optimizer
STEPS = 12
PHASES = [
    {"steps": 4, "corpus": {"max_tokens": 20}},
    {"steps": 3, "corpus": {"max_tokens": 20}, "masking": {"rate": 0.4}},
    {
        "steps": 5,
        "fresh_optimizer": True,
        "batch": {"sequences": 4, "accumulation": 2},
        "optimizer": {"lr": 5e-4, "weight_decay": 0.1},
        "schedule": {"name": "cosine", "warmup_steps": 1},
    },
]
VALUES = {
    "batch": {"tokens": None, "sequences": 8},
    "schedule__name": "constant",
    "train": {"steps": STEPS, "phases": PHASES, "save_every": 1, "keep_last": 20, "eval_every": 6},
}
BOUNDARIES = (4, 7)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpora):
    found = Runs(tmp_path_factory.mktemp("phases"), corpora)
    found.add("straight", **VALUES)
    for step in (2, *BOUNDARIES, 6, 9):
        at = found._folder / "straight" / "checkpoints" / f"step-{step}"
        found.add(f"from {step}", resume=at, **VALUES)
    found.add("finished", **VALUES)
    found.add("finished", **VALUES)
    found.add("masked more", masking__rate=0.4, corpus__max_tokens=20, **{**VALUES, "train__phases": []})
    found.add("plain", train={"steps": 9, "save_every": 9})
    found.add("plain in phases", train={"steps": 9, "save_every": 9, "phases": [{"steps": 4}, {"steps": 5}]})
    found.add("fp32 stage 0", engine__zero_stage=0, **VALUES)
    found.add("fp32 stage 2", engine__zero_stage=2, **VALUES)
    found.start(1)
    return found.finish()


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory, corpora, runs):
    found = Runs(tmp_path_factory.mktemp("phases-of-two"), corpora)
    found.add("taken over", resume=runs["straight"] / "checkpoints" / "step-6", **VALUES)
    found.start(2)
    return found.finish()


def test_phases_that_change_nothing_change_nothing(runs):
    """Bit for bit, with dropout: a boundary is a resume, and a resume is exact."""
    assert_bitwise(runs["plain in phases"], runs["plain"], 9)


@pytest.mark.parametrize("step", [2, 4, 6, 7, 9])
def test_a_run_stopped_in_any_phase_or_between_two_goes_on_bit_for_bit(runs, step):
    straight, resumed = runs["straight"], runs[f"from {step}"]
    ours, state = checkpoint(resumed, STEPS)
    theirs, expected = checkpoint(straight, STEPS)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert (state["step"], state["position"], state["updates"]) == (STEPS, expected["position"], expected["updates"])
    assert digests(resumed) == digests(straight)[step:]


def test_a_killed_run_goes_on_in_its_phase(runs, corpora, tmp_path):
    """SIGKILL in the last phase, between checkpoints; the same command again ends like the run never killed."""
    run = tmp_path / "run"
    config = write_yaml(tmp_path / "run.yaml", tree(run, corpora["plain"], **VALUES, train__log_every=1))
    command = [sys.executable, str(ROOT / "launch" / "pretrain.py"), "--config", str(config)]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    while process.poll() is None and not (run / "checkpoints" / "step-8").exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9
    done = command_line("--config", str(config), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "phase 3 of 3: continues at step" in done.stderr
    assert_bitwise(run, runs["straight"], STEPS)


def test_other_zero_stages_train_the_same(runs):
    for name in ("fp32 stage 0", "fp32 stage 2"):
        assert digests(runs[name]) == digests(runs["straight"])
        assert losses(runs[name]) == pytest.approx(losses(runs["straight"]), rel=1e-5)


def test_global_batches_stay_the_same_on_another_number_of_ranks_in_later_phases_too(runs, two_ranks):
    assert digests(two_ranks["taken over"]) == digests(runs["straight"])[6:]


def test_batches_of_a_phase_are_those_of_a_run_with_its_keys(runs):
    """The stream goes on: steps 5 to 7 are what a run that always masked so much has there."""
    phase, other = digests(runs["straight"])[4:7], digests(runs["masked more"])
    assert phase == other[4:7]
    assert digests(runs["straight"])[:4] != other[:4]


def test_longer_samples_begin_with_an_epoch_of_them_and_keep_the_global_batch(runs):
    before, after = (checkpoint(runs["straight"], step)[1]["position"] for step in (7, 8))
    size = 96  # training sequences of the corpus
    assert before == 7 * 8
    assert after == -(-before // size) * size + 8
    assert [record["sequences_per_step"] for record in steps(runs["straight"])] == [8.0] * STEPS
    tokens = [record["tokens_per_step"] for record in steps(runs["straight"])]
    assert max(tokens[:7]) < min(tokens[7:])


def test_a_fresh_optimizer_has_seen_one_update_after_one(runs):
    """After the first update the mean of squares is the square of the mean, each by its own factor."""
    tensors, state = checkpoint(runs["straight"], 8)
    assert state["updates"] == 1
    for name, mean in tensors.items():
        if name.endswith("/exp_avg"):
            square = tensors[f"{name}_sq"]
            torch.testing.assert_close(square / (1 - 0.999), (mean / (1 - 0.9)) ** 2, rtol=1e-4, atol=1e-12)
    assert checkpoint(runs["straight"], 7)[1]["updates"] == 7


def test_rates_are_logged_as_the_phases_say(runs):
    found = [record["learning_rate"] for record in steps(runs["straight"])]
    assert found[:7] == pytest.approx([0, 2.5e-4, 5e-4, 7.5e-4, 1e-3, 1e-3, 1e-3])
    assert found[7:9] == [0.0, 5e-4]
    assert found[8:] == sorted(found[8:], reverse=True)


def test_held_out_samples_are_those_of_the_run_in_every_phase(runs):
    """The run's own keys read them, so an evaluation at step 6 and one at step 12 ask the same."""
    folder = runs["straight"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line["step"] for line in lines if "validation/mlm/loss" in line]
    assert evaluated == [4, 6, 7, 12], "at every boundary, too"
    baselines = {line["validation/mlm/hidden/best_baseline"] for line in lines if "validation/mlm/loss" in line}
    assert len(baselines) == 1


def test_a_finished_run_of_phases_has_nothing_left_to_do(runs):
    assert [record["step"] for record in steps(runs["finished"])] == list(range(1, STEPS + 1))
    assert (runs["finished"] / "DONE").read_text() == f"{STEPS}\n"
