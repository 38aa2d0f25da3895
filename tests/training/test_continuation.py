"""Going on from a checkpoint on other data: fresh optimizer and a new warm-up, or everything carried over."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pretrain.config import load_config
from pretrain.importing import load_pretrained_state
from pretrain.training.components import build_components
from tests.evaluation.support import in_process
from tests.training import corpora as build
from tests.training.ranks import Job, finish, start, steps

WARM = {"name": "linear", "warmup_steps": 4, "total_steps": 40}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpora, golden) -> Path:
    """``first``: 6 steps. ``carried``: four more of it on another corpus. ``fresh``: 4 steps from a published model,
    ``mixed``: the same with a replay of the old corpus."""
    folder = tmp_path_factory.mktemp("continuation")
    sizes = ["model.num_attention_heads=4", "model.max_position_embeddings=64"]
    weights = golden / "ernie_rna/weights.safetensors"
    status, _, err = in_process("convert.py", "--family", "ernie_rna", weights, "--out", folder / "hf", *sizes)
    assert status == 0, err

    def tree(name: str, corpus: str, **changes):
        return build.tree(folder / name, corpora[corpus], schedule=WARM, **changes)

    published = {"model": {"family": "ernie_rna", "init_from": str(folder / "hf")}}
    replay = {"corpus__extra": [{"path": str(corpora["plain"]), "weight": 0.25}]}
    jobs = [
        Job(tree("first", "plain", train__steps=6)),
        Job(tree("refused", "other", train__steps=10), resume=str(folder / "first"), expect_error=True),
        Job(tree("carried", "other", train__steps=10), resume=str(folder / "first"), allow_change=["corpus"]),
        Job(tree("fresh", "other", train__steps=4) | published),
        Job(tree("mixed", "other", train__steps=1, **replay) | published),
    ]
    finish(start(1, jobs, folder), folder)
    return folder


def state(run: Path) -> dict:
    (newest,) = [path for path in (run / "checkpoints").glob("step-*") if path.name == f"step-{len_of(run)}"]
    return json.loads((newest / "train_state.json").read_text())


def len_of(run: Path) -> int:
    return steps(run)[-1]["step"]


def test_a_carried_optimizer_goes_on_where_it_was_on_another_corpus(runs):
    assert "--allow-change corpus" in (runs / "refused" / "error.txt").read_text()
    assert [line["step"] for line in steps(runs / "carried")] == [7, 8, 9, 10]
    assert steps(runs / "carried")[0]["learning_rate"] < 1e-3  # beyond the warm-up, decaying
    assert (state(runs / "first")["updates"], state(runs / "carried")["updates"]) == (6, 10)
    first, carried = (
        load_file(runs / name / "checkpoints" / step / "optimizer.safetensors")
        for name, step in (("first", "step-6"), ("carried", "step-10"))
    )
    assert first.keys() == carried.keys()
    # after four more updates with beta2 = 0.98 or more, most of the second moment is still that of the first run
    seconds = [name for name in first if "exp_avg_sq" in name]
    assert all(torch.all(carried[name] >= 0.98**4 * first[name] * 0.999) for name in seconds)


def test_from_a_published_model_only_the_weights_are_taken_and_the_rate_warms_up_again(runs):
    assert state(runs / "fresh")["updates"] == 4
    rates = [line["learning_rate"] for line in steps(runs / "fresh")]
    assert rates == sorted(rates)
    assert rates[0] < 0.5 * rates[-1]
    _, _, before = load_pretrained_state(runs / "hf")
    after = load_file(runs / "fresh" / "checkpoints" / "step-4" / "weights.safetensors")
    name = "encoder.layers.0.mlp.up.weight"
    moved = (after[name] - before[name]).abs().max()
    assert 0 < moved < 4 * 1.01e-3  # Adam moves a weight by the rate at most


def test_a_replay_takes_its_share_of_the_samples(runs, corpora):
    components = build_components(load_config(str(runs / "mixed" / "config.yaml")))
    corpus = components.batches("train").stream.at(np.arange(1000)).corpus
    assert (corpus == 1).mean() == pytest.approx(0.25 / 1.25, abs=0.01)
