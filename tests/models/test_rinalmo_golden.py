"""RiNALMo on the outputs of its original code (tests/golden/rinalmo), within the tolerances stated there."""

from dataclasses import replace

import pytest
import torch

from tests.models.golden_transformer import Golden, build, check_loss_and_gradients, mean_loss, ours, packed, small

SETTINGS = small("rinalmo_giga")
CLOSE = {"atol": 2e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def files(golden):
    return Golden.load(golden / "rinalmo")


@pytest.fixture
def model(files):
    return build(SETTINGS, ours("rinalmo_giga", files.weights))


@pytest.fixture(scope="module")
def batch(files):
    return packed(files.io["input_ids"], files.io["attention_mask"])


@torch.no_grad()
def test_hidden_states_and_logits_equal_upstream(files, model, batch):
    output = model.encoder(batch.batch, return_states=True)
    stages = ("after_token_dropout", "block0.out", "representation")
    for state, stage in zip(output.states, stages, strict=True):
        torch.testing.assert_close(state, batch.pick(files.io[stage]), **CLOSE)
    torch.testing.assert_close(model.logits(output.hidden), batch.pick(files.io["logits"]), **CLOSE)


@torch.no_grad()
def test_token_dropout_is_the_same_in_training(files, model, batch):
    quiet = model.train()
    quiet.encoder.embeddings.settings = replace(SETTINGS, hidden_dropout_prob=0.0)
    torch.testing.assert_close(
        batch.batch.layout.to_batch_order(quiet.encoder.embeddings(batch.batch)),
        batch.pick(files.io["after_token_dropout"]),
        **CLOSE,
    )


def test_loss_and_every_gradient_equal_upstream(files, model, batch):
    loss = mean_loss(model, batch, files.io["labels"])
    assert int((batch.pick(files.io["labels"]) != -100).sum()) == files.meta["n_targets"]
    check_loss_and_gradients(model, loss, files.meta["loss"], ours("rinalmo_giga", files.grads))


def test_the_residual_of_attention_is_taken_after_the_norm(files, model, batch):
    """A textbook pre-norm block with the same weights is another model."""
    textbook = build(replace(SETTINGS, residual_from="input"), ours("rinalmo_giga", files.weights))
    with torch.no_grad():
        difference = (textbook(batch.batch) - batch.pick(files.io["logits"])).abs().max()
    assert difference > 0.1
