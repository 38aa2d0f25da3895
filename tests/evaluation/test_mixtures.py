"""A mixture of corpora is reported corpus by corpus, and the parts are those of the whole."""

import pytest
import torch

from pretrain.distributed.context import DistributedContext
from pretrain.evaluation.held_out import EvalModel
from pretrain.training.components import build_components
from pretrain.training.validation import Evaluator
from tests.training.corpora import config


def test_held_out_losses_are_told_per_corpus(corpora, tmp_path):
    extra = [{"path": str(corpora["labeled"]), "weight": 2.0}]
    parts = build_components(
        config(tmp_path, corpora["plain"], corpus__extra=extra, masking={"strategy": "base", "rate": 0.3})
    )
    evaluator = Evaluator(parts, DistributedContext(0, 0, 1, torch.device("cpu")))
    values = evaluator.run(EvalModel(parts.model()))
    figures = evaluator.figures(values)
    mlm = figures["mlm"]
    assert set(mlm["by_corpus"]) == {corpora["plain"].name, corpora["labeled"].name}
    for key in ("targets", "sequences"):
        assert sum(one[key] for one in mlm["by_corpus"].values()) == mlm["hidden"][key]
    total = sum(one["targets"] * one["loss"] for one in mlm["by_corpus"].values())
    assert total / mlm["hidden"]["targets"] == pytest.approx(mlm["hidden"]["loss"])
    numbers = evaluator.numbers(figures)
    name = corpora["labeled"].name
    assert numbers[f"validation/mlm/corpus/{name}/loss"] == mlm["by_corpus"][name]["loss"]
    line = evaluator.describe(7, figures)
    assert f"mlm on {name}" in line
    assert "\n" not in line


def test_one_corpus_is_not_told_twice(corpora, tmp_path):
    parts = build_components(config(tmp_path, corpora["plain"]))
    evaluator = Evaluator(parts, DistributedContext(0, 0, 1, torch.device("cpu")))
    figures = evaluator.figures(evaluator.run(EvalModel(parts.model())))
    assert "by_corpus" not in figures["mlm"]
