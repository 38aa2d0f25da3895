"""MethylBERT's pretraining on what its own code and class reported (tests/golden/methylbert), within its tolerances."""

import pytest
import torch
from safetensors.torch import load_file

from pretrain.config.sections import Optimizer
from pretrain.models import LanguageModel
from tests.models.golden_steps import decays, rate_of, run_steps
from tests.models.golden_transformer import (
    Golden,
    Tensors,
    build,
    check_loss_and_gradients,
    mean_loss,
    ours,
    packed,
    small,
    under,
)
from tests.models.test_trajectories import SIX, check_final, check_steps

# One group: biases and norms decay too
OPTIMIZER = Optimizer(name="adamw", eps=1e-6, weight_decay=0.01, decay="all", max_grad_norm=1.0)


@pytest.fixture(scope="module")
def files(golden) -> Golden:
    return Golden.load(golden / "methylbert", grads="grads_released")


@pytest.fixture
def model(files) -> LanguageModel:
    return build(small("methylbert"), ours("methylbert", files.weights))


@pytest.mark.parametrize("variant", ["released_pads_attended", "fixed_pads_masked"])
def test_logits_and_loss_equal_those_of_its_class_with_pads_as_tokens_and_without(files, model, variant):
    ids, labels = files.io["input_ids"], files.io["labels"]
    real = files.io["attention_mask_fixed"] if variant.startswith("fixed") else torch.ones_like(ids)
    batch = packed(ids, real)
    with torch.no_grad():
        torch.testing.assert_close(model(batch.batch), batch.pick(files.io[f"{variant}.logits"]), atol=5e-5, rtol=0)
    expected = files.meta["losses"][variant]
    assert mean_loss(model, batch, labels).item() == pytest.approx(expected["loss"], abs=1e-5)


def test_every_gradient_equals_that_of_its_class(files, model):
    batch = packed(files.io["input_ids"], torch.ones_like(files.io["input_ids"]))
    loss = mean_loss(model, batch, files.io["labels"])
    expected = ours("methylbert", files.grads)
    check_loss_and_gradients(model, loss, files.meta["losses"]["released_pads_attended"]["loss"], expected)


def test_it_takes_the_same_steps_of_which_the_first_changes_nothing(golden, files, model):
    steps: Tensors = load_file(golden / "methylbert" / "trajectory.safetensors")

    def loss(step: int):
        ids = steps[f"step{step}.input_ids"]
        return lambda: mean_loss(model, packed(ids, torch.ones_like(ids)), steps[f"step{step}.labels"])

    rate = rate_of(1e-3, name="wsd", warmup_steps=3, decay_steps=12, total_steps=20)
    found = run_steps(model, list(map(loss, SIX)), OPTIMIZER, rate)
    check_steps(found, rate, files.meta["trajectory"]["steps"], 1e-5)
    check_final(model, ours("methylbert", under("final.", steps)), 1e-5, but="key.bias")


def test_every_parameter_decays(model):
    assert set(decays(model, OPTIMIZER).values()) == {0.01}


def test_its_rate_stays_and_then_falls_where_the_decay_begins_after_the_warm_up(files):
    expected = files.meta["schedule"]["warmup=5,total=40,decrease=20,lr=1e-4"]
    rate = rate_of(1e-4, name="wsd", warmup_steps=5, decay_steps=20, total_steps=40)
    assert [rate(step) for step in range(40)] == pytest.approx(expected[:40], rel=1e-12)
