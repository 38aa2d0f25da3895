"""Every objective is evaluated beside baselines of its own kind, on every kind of corpus and tokenizer."""

import math

import pytest
import torch

from pretrain.distributed.context import DistributedContext
from pretrain.evaluation.held_out import EvalModel
from pretrain.evaluation.tables import losses
from pretrain.training.components import build_components
from pretrain.training.validation import Evaluator
from tests.training.corpora import config

NONE = {"strategy": "none"}
CASES = {
    "soft_label": (
        "alleles",
        {"model__family": "mutbert", "masking": {"strategy": "variant_first"}, "corpus__window": 40},
    ),
    "structure": ("labeled", {}),
    "mfe": ("labeled", {}),
    "rna_type": ("labeled", {}),
    "mlm": ("plain", {"model__family": "utrbert_3mer", "masking": {"strategy": "kmer", "rate": 0.3}}),
    "causal_lm": (
        "plain",
        {
            "model__family": "rnaernie",
            "model__causal": True,
            "masking": NONE,
            "objectives": {"mlm": None, "causal_lm": {}},
        },
    ),
}
FIRST = {"structure": "constant", "mfe": "constant", "rna_type": "constant"}
AMONG = {
    "soft_label": {"letters_given_shown", "markov_left_5", "markov_both_5", "nearest_relative"},
    "structure": {"given_letter", "given_1_neighbors", "given_3_neighbors"},
    "mfe": {"length", "length_and_composition"},
    "rna_type": {"length", "kmer_counts"},
    "mlm": {"letters_given_shown", "markov_left_5"},
    "causal_lm": {"markov_left_5"},
}


@pytest.fixture(scope="module", params=CASES)
def evaluated(request, corpora, tmp_path_factory):
    name = request.param
    corpus, changes = CASES[name]
    objectives = {"mlm": None, name: {}}
    run = config(tmp_path_factory.mktemp("run"), corpora[corpus], **{"objectives": objectives, **changes})
    evaluator = Evaluator(build_components(run), DistributedContext(0, 0, 1, torch.device("cpu")))
    figures = evaluator.figures(evaluator.run(EvalModel(evaluator._components.model())))
    details = {key: figures[key] | evaluator.details(key) for key in figures}
    return name, evaluator, figures, details


def test_its_readers_are_those_of_its_kind(evaluated):
    name, _, figures, _ = evaluated
    baselines = figures[name]["all"]["baselines"]
    assert next(iter(baselines)) == FIRST.get(name, "letters")
    assert AMONG[name] <= set(baselines)
    assert all(math.isfinite(loss) and loss > 0 for loss in baselines.values())
    assert figures[name]["trivial_loss"] == pytest.approx(next(iter(baselines.values())))
    if name in ("mlm", "soft_label"):
        assert {"hidden", "shown"} <= set(figures[name])
    else:
        assert not {"hidden", "shown"} & set(figures[name])


def test_no_loss_of_soft_labels_is_below_their_entropy(evaluated):
    name, _, figures, _ = evaluated
    if name != "soft_label":
        pytest.skip("no soft labels")
    for part in ("hidden", "shown", "all"):
        assert 0 < figures[name][part]["floor"] < min(figures[name][part]["baselines"].values())
        assert figures[name][part]["floor"] < figures[name][part]["loss"]


def test_it_is_said_in_a_line_in_numbers_and_in_a_table(evaluated):
    name, evaluator, figures, details = evaluated
    assert f"{name} loss" in evaluator.describe(3, figures)
    numbers = evaluator.numbers(figures)
    assert numbers[f"validation/{name}/all/loss"] == figures[name]["all"]["loss"]
    assert numbers[f"validation/{name}/all/best_baseline"] == min(figures[name]["all"]["baselines"].values())
    table = losses({"model": "m", "family": "f", "sequences": 3, "corpus": "c", "objectives": details})
    assert name in table
    assert next(iter(AMONG[name])) in table
