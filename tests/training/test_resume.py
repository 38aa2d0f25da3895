"""A run that is stopped, killed or damaged goes on as if nothing had happened, or says why it cannot."""

import json
import re
import shutil
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from pretrain.runs.checkpoint import find_checkpoint
from tests.training.conftest import HALF, STEPS
from tests.training.corpora import tree, write_yaml
from tests.training.ranks import ROOT, command_line, digests, environment, flip_a_byte, losses, records, steps


def checkpoint(run_dir, step):
    """Every tensor of a checkpoint, and its state."""
    folder = run_dir / "checkpoints" / f"step-{step}"
    tensors = {**load_file(folder / "weights.safetensors"), **load_file(folder / "optimizer.safetensors")}
    return tensors, json.loads((folder / "train_state.json").read_text())


def assert_bitwise(run, straight, step):
    assert losses(run) == losses(straight)
    assert digests(run) == digests(straight)
    (ours, state), (theirs, expected) = checkpoint(run, step), checkpoint(straight, step)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert (state["step"], state["position"]) == (expected["step"], expected["position"])


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_fairseq", "adam", "sgd", "muon"])
def test_stopped_and_resumed_equals_straight_bit_for_bit(alone, optimizer):
    """With dropout, for every optimizer, at ZeRO stages 0, 1 and 2."""
    run, straight = alone[f"stopped {optimizer}"], alone[f"straight {optimizer}"]
    assert len(steps(run)) == 9
    assert_bitwise(run, straight, 9)


def test_two_ranks_too(pair):
    assert_bitwise(pair["stopped"], pair["straight"], 9)


def test_a_run_of_two_ranks_goes_on_with_three_at_another_stage(alone, pair, three):
    """With the same global batches, though the config of the second part does not name their number."""
    whole = alone["zero 1"]
    assert digests(pair["half"]) + digests(three["taken over"]) == digests(whole)
    assert losses(pair["half"]) + losses(three["taken over"]) == pytest.approx(losses(whole), rel=1e-5)
    assert [record["step"] for record in steps(three["taken over"])] == list(range(HALF + 1, STEPS + 1))


def test_the_newest_checkpoints_and_every_so_many_are_kept(alone):
    kept = sorted(path.name for path in (alone["retention"] / "checkpoints").iterdir())
    assert kept == ["latest", "step-10", "step-12", "step-4", "step-8"]
    assert (alone["retention"] / "checkpoints" / "latest").read_text() == "step-12\n"


def test_a_run_that_became_another_is_refused_with_what_became_other(alone):
    refusals = (alone["changed"] / "error.txt").read_text().splitlines()
    changes = ["corpus", "seed", "objectives", "batch", "model", "reading", "masking", "family"]
    pattern = r"does not fit this run: (\w+) was .* and is now .*; (?:pass (--allow-change \w+))?"
    found = [re.search(pattern, line).groups() for line in refusals[: len(changes)]]
    never = ("seed", "model")
    assert found == [(name, None if name in never else f"--allow-change {name}") for name in changes]
    assert "masking was {'rate': 0.15} and is now {'rate': 0.3};" in refusals[6], "no more than what differs"


def test_a_family_or_vocabulary_changes_only_where_both_are_named_and_weights_fit(alone):
    only_family, only_vocabulary, misspelt, both, _ = (alone["changed"] / "error.txt").read_text().splitlines()[8:]
    assert "vocabulary was 25 tokens with the checksum" in only_family
    assert "family was ernie_rna and is now rnaernie" in only_vocabulary
    assert misspelt.startswith("--allow-change famly: expected one of family, vocabulary, corpus,")
    assert re.search(r"model was .* and is now |has the shape .* in the checkpoint and .* in this run", both)


def test_another_number_of_micro_batches_per_step_is_refused_and_idle_ranks_are_said(alone, three):
    refusal = (alone["changed"] / "error.txt").read_text().splitlines()[-1]
    assert "batch.micro_batches_per_step was 1 and is now 3; leave it out, or pass --allow-change batch" in refusal
    assert "note: 4 micro-batches per step, as before, on 3 ranks: 2 of 6 slots stay empty" in three.log


def test_a_new_objective_starts_untrained_and_a_new_optimizer_without_state(alone):
    run = alone["grown"]
    assert len(steps(run)) == 8
    assert "structure/loss" in steps(run)[-1]
    events = [record["event"] for record in records(run) if "event" in record]
    changed, untrained = events
    assert changed.startswith("changed since the checkpoint: optimizer.name adamw -> sgd")
    assert untrained == "not in the checkpoint, untrained: heads.structure.linear.weight, heads.structure.linear.bias"
    tensors, state = checkpoint(run, 8)
    assert state["updates"] == 0, "sgd counts none"
    assert tensors["heads.structure.linear.weight"].isfinite().all()


def test_a_change_that_is_allowed_is_said_and_made(alone):
    assert len(steps(alone["changed"])) == 8
    assert "allowed change: corpus was" in alone.log


def test_a_killed_run_goes_on_from_its_last_checkpoint(alone, corpora, tmp_path):
    """SIGKILL between checkpoints; the same command again ends like the run that was never killed."""
    run = tmp_path / "run"
    values = tree(run, corpora["plain"], train={"steps": 12, "save_every": 2, "keep_last": 3})
    config = write_yaml(tmp_path / "run.yaml", values)
    command = [sys.executable, str(ROOT / "launch" / "pretrain.py"), "--config", str(config)]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    while process.poll() is None and not (run / "checkpoints" / "step-4").exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9
    assert not (run / "DONE").exists()
    done = command_line("--config", str(config), "--resume", "auto", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stderr
    assert_bitwise(run, alone["to be killed"], 12)


def test_a_flipped_byte_costs_the_newest_checkpoint_only(alone):
    """The run says so, goes on from the one before, and ends as it had ended."""
    assert "step-12 is damaged" in alone.log
    assert len(re.findall(r"resuming \S*/damaged/checkpoints/step-10 at step 10", alone.log)) == 1
    assert losses(alone["damaged"]) == losses(alone["to be killed"])


def test_with_no_whole_checkpoint_left_a_run_refuses_to_start_over(alone):
    text = (alone["damaged"] / "error.txt").read_text()
    assert "no checkpoint is complete" in text
    assert all(f"step-{step}" in text for step in (8, 10, 12))
    assert text.count("\n") == 1


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "train_state.json", "integrity.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_any_damage_to_any_file_is_noticed(alone, tmp_path, caplog, file, damage):
    run = tmp_path / "run"
    shutil.copytree(alone["retention"], run)
    path = run / "checkpoints" / "step-12" / file
    if damage == "flipped":
        flip_a_byte(path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        path.unlink()
    assert find_checkpoint(run).name == "step-10"
    (said,) = caplog.messages
    assert "step-12" in said
    assert said.endswith("taking step-10")
