"""Convolutions, Hyena and StripedHyena train, stop and go on like the transformer, whatever the engine does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training import corpora as build
from tests.training.ranks import Job, digests, finish, losses, start
from tests.training.test_resume import assert_bitwise

pytestmark = pytest.mark.slow

CAUSAL: dict[str, Any] = {"masking": {"strategy": "none"}, "objectives": {"causal_lm": {}}}
RUNS: dict[str, dict[str, Any]] = {
    "convnet": {
        "model": {"architecture": "convnet", "tokenizer": "gpn", "num_hidden_layers": 3, "hidden_dropout_prob": 0.1}
    },
    "hyena": {
        **CAUSAL,
        "model": {"architecture": "hyena", "tokenizer": "hyenadna", "vocab_size": 16, "num_hidden_layers": 2},
    },
    "striped_hyena": {
        **CAUSAL,
        "model": {
            "architecture": "striped_hyena",
            "tokenizer": "bytes",
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "attention_layers": [1],
        },
    },
}
SIZES = {"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 64}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpora):
    """Folders by architecture and what was done with it: one process, one training after another."""
    folder = tmp_path_factory.mktemp("architectures")
    jobs, folders = [], {}

    def add(architecture: str, name: str, **changes: Any) -> None:
        where = folders[architecture, name] = folder / f"{architecture} {name}"
        tree = build.tree(where, corpora["plain"], schedule__total_steps=6, **{"train__steps": 6, **changes})
        tree |= RUNS[architecture]
        tree["model"] = {**SIZES, **tree["model"], **changes.get("model", {})}
        tree["optimizer"] = {"lr": 1e-3, "decay": "all_but_filters" if "causal_lm" in tree["objectives"] else "all"}
        jobs.append(Job(tree))

    for architecture in RUNS:
        add(architecture, "straight")
        add(architecture, "stopped", train__steps=3)
        add(architecture, "stopped")
        add(architecture, "recomputed", model={"checkpoint_activations": True})
        add(architecture, "zero 3", engine={"zero_stage": 3})
        add(architecture, "bf16", engine={"zero_stage": 2, "precision": "bf16"})
    finish(start(1, jobs, folder / "ranks"), folder / "ranks")
    return folders


@pytest.fixture(params=RUNS)
def architecture(request) -> str:
    return request.param


def test_stopped_and_resumed_equals_straight_bit_for_bit(runs, architecture):
    assert_bitwise(runs[architecture, "stopped"], runs[architecture, "straight"], 6)


def test_recomputed_activations_change_nothing(runs, architecture):
    assert_bitwise(runs[architecture, "recomputed"], runs[architecture, "straight"], 6)


def test_parameters_gathered_layer_by_layer_give_the_same_losses(runs, architecture):
    whole, gathered = runs[architecture, "straight"], runs[architecture, "zero 3"]
    assert digests(gathered) == digests(whole)
    assert losses(gathered) == pytest.approx(losses(whole), rel=1e-5)


def test_bfloat16_follows_float32(runs, architecture):
    assert losses(runs[architecture, "bf16"]) == pytest.approx(losses(runs[architecture, "straight"]), rel=0.02)
