"""Labeled tasks inside training: figures in metrics.jsonl, and a training that does not notice."""

import json
import shutil

import numpy as np
import pytest

from pretrain.config import check
from pretrain.errors import PolymeraseError
from tests.training import corpora as build
from tests.training.ranks import command_line


def write_suite(folder):
    """Two classes that differ in their letters."""
    draw = np.random.default_rng(2)
    rows = ["".join(draw.choice(list(("GGCCAU", "AAUUGC")[number % 2]), 30)) for number in range(80)]
    (folder / "t.csv").write_text("sequence,label\n" + "".join(f"{row},{n % 2}\n" for n, row in enumerate(rows)))
    (folder / "own.yaml").write_text("tasks: {two: {table: t.csv, split: {dev: 0.2, test: 0.3}}}\n")
    return {"suite": str(folder / "own.yaml"), "data": str(folder)}


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def trained(run):
    """Step -> what training itself found there: losses, the batch, gradients, rates."""
    found = {}
    for line in lines(run):
        if "batch_digest" in line:
            kept = ("loss", "mlm/loss", "gradient_norm", "learning_rate", "batch_digest")
            found[line["step"]] = {name: line[name] for name in kept}
    return found


def benched(run):
    return {line["step"]: line for line in lines(run) if any(name.startswith("bench/") for name in line)}


def test_a_training_does_not_notice_and_a_resumed_one_finds_the_same(tiny_run, corpora, tmp_path):
    changes = {"train__steps": 6, "train__eval_every": 3, "train__log_every": 1, "train__save_every": 3}
    tree = build.tree(tmp_path / "run", corpora["labeled"], **changes)
    tree["train"] |= {"bench_every": 2, "bench": write_suite(tmp_path)}
    config = build.write_yaml(tmp_path / "run.yaml", tree)
    done = command_line("--config", str(config), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert trained(run) == trained(tiny_run)
    first = benched(run)
    assert list(first) == [2, 4, 6]
    for line in first.values():
        assert 0 <= line["bench/two/accuracy"] <= 1
        assert line["bench/two/accuracy/standard_error"] >= 0
        assert {"bench/two/accuracy/than_kmer4", "bench/two/accuracy/than_kmer4_positions"} <= set(line)
    shutil.rmtree(run / "checkpoints" / "step-6")
    (run / "checkpoints" / "latest").write_text("step-3")
    (run / "DONE").unlink(missing_ok=True)
    done = command_line("--config", str(config), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = benched(run)
    assert trained(run) == trained(tiny_run)
    for step in (2, 4, 6):
        names = [name for name in first[step] if name.startswith("bench/")]
        assert {name: again[step][name] for name in names} == {name: first[step][name] for name in names}


def test_what_cannot_be_asked_is_said_before_the_training(corpora, tmp_path):
    tree = build.tree(tmp_path / "run", corpora["labeled"])
    tree["train"]["bench_every"] = 2
    with pytest.raises(PolymeraseError, match=r"train\.bench_every and train\.bench need each other"):
        check(tree, "test")
    tree["train"]["bench"] = {"suite": "utr", "data": str(tmp_path)}
    check(tree, "test")
    tree["engine"]["zero_stage"] = 3
    with pytest.raises(PolymeraseError, match=r"train\.bench_every needs engine\.zero_stage"):
        check(tree, "test")
