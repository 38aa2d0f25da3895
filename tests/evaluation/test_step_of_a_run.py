"""``--step``: a checkpoint of a run other than its newest one is asked, by every command that asks models."""

import json
import shutil

import pytest

from pretrain.runs.checkpoint import OPTIMIZER, WEIGHTS, Checkpoints, find_checkpoint, read_state, read_tensors
from tests.evaluation.support import error_line, in_process
from tests.training.corpora import random_sequences


@pytest.fixture(scope="module")
def run(tiny_run, tmp_path_factory):
    """A run of six steps that also has a checkpoint of step 3, of other weights; and a run that ends there."""
    folder = tmp_path_factory.mktemp("steps")
    both, early = folder / "both", folder / "early"
    shutil.copytree(tiny_run, both)
    last = find_checkpoint(both)
    weights = {name: 1.5 * tensor for name, tensor in read_tensors(last, WEIGHTS).items()}
    for here in (both, early):
        if here is early:
            shutil.copytree(tiny_run, early, ignore=shutil.ignore_patterns("step-*"))
        Checkpoints(here).save(3, weights, read_tensors(last, OPTIMIZER), read_state(last) | {"step": 3})
    return both, early


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    path = tmp_path_factory.mktemp("fasta") / "labeled.fa"
    rows = random_sequences(40, 10, 20, seed=8)
    path.write_text("".join(f">s{n} {'ab'[n % 2]}\n{row}\n" for n, row in enumerate(rows)))
    return path


def without_name(text, *folders):
    for folder in folders:
        text = text.replace(str(folder), "RUN")
    return {name: value for name, value in json.loads(text).items() if name != "step"}


@pytest.mark.parametrize("command", ["losses", "likelihoods", "probe"])
def test_a_step_is_answered_as_by_a_run_that_ends_there(run, corpora, fasta, command):
    both, early = run
    script, *words = {
        "losses": ("evaluate.py", "--corpus", corpora["labeled"]),
        "likelihoods": ("evaluate.py", "--fasta", fasta),
        "probe": ("probe.py", fasta, "--label", "2", "--folds", "2"),
    }[command]
    at_three, newest, ends_there = (
        in_process(script, source, *words, *step, "--json")[1]
        for source, step in ((both, ("--step", "3")), (both, ()), (early, ()))
    )
    assert json.loads(at_three)["step"] == 3
    assert without_name(at_three, both) == without_name(ends_there, early) != without_name(newest, both)


def test_two_checkpoints_of_one_run_are_compared(run, corpora):
    both, early = run
    _, out, _ = in_process("compare.py", both, both, "--step", "3", "--corpus", corpora["labeled"], "--json")
    result = json.loads(out)
    assert result["verdicts"]["same_weights"] is False
    _, out, _ = in_process("compare.py", both, early, "--step", "3", "--json")
    assert json.loads(out)["verdicts"]["same_weights"] is True


@pytest.mark.parametrize("script", ["evaluate.py", "probe.py", "compare.py"])
def test_a_step_that_is_not_there_names_those_that_are(run, fasta, script):
    words = {"evaluate.py": ("--fasta", fasta), "probe.py": (fasta, "--label", "2"), "compare.py": (run[1],)}[script]
    line = error_line(script, run[0], *words, "--step", "4")
    assert "no checkpoint of step 4; available: 3, 6" in line


def test_a_folder_without_steps_says_so(tmp_path, fasta):
    (tmp_path / "config.json").write_text("{}")
    line = error_line("evaluate.py", tmp_path, "--fasta", fasta, "--step", "4")
    assert "expected a run folder for --step 4, got a Hugging Face folder; leave it out" in line


def test_a_run_that_stopped_early_says_that_its_last_step_is_not_its_best(run, fasta, tmp_path, caplog):
    stopped = tmp_path / "stopped"
    shutil.copytree(run[0], stopped)
    last = find_checkpoint(stopped)
    state = read_state(last) | {"step": 9, "patience": {"best": 1.0, "best_step": 3, "since": 2, "stopped": True}}
    Checkpoints(stopped).save(9, read_tensors(last, WEIGHTS), read_tensors(last, OPTIMIZER), state)
    said = f"note: {stopped} stopped early: this is its last step; its best evaluation was at step 3 (--step 3), which"
    for source, words, noted in ((stopped, (), 1), (stopped, ("--step", "3"), 0), (run[0], (), 0)):
        caplog.clear()
        status, _, err = in_process("evaluate.py", source, "--fasta", fasta, *words)
        assert status == 0, err
        assert sum(message.startswith(said) for message in caplog.messages) == noted
