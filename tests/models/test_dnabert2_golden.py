"""DNABERT-2 on the outputs of its original code (tests/golden/dnabert2), within the tolerances stated there."""

from dataclasses import replace

import pytest
import torch

from pretrain.models.transformer.bias import alibi_slopes
from tests.models.golden_transformer import Golden, build, check_loss_and_gradients, mean_loss, ours, packed, small

# of the model: the row that looked-up ids do not train. The tokenizer pads with 3
SETTINGS = replace(small("dnabert2"), pad_token_id=0)
CLOSE = {"atol": 2e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def files(golden):
    return Golden.load(golden / "dnabert2")


@pytest.fixture
def model(files):
    return build(SETTINGS, ours("dnabert2", files.weights))


@pytest.fixture(scope="module")
def batch(files):
    return packed(files.io["input_ids"], files.io["attention_mask"])


def test_slopes_equal_upstream_for_any_number_of_heads(files):
    for heads, slopes in files.meta["alibi_slopes"].items():
        assert alibi_slopes(int(heads)) == pytest.approx(slopes, rel=1e-6)


@torch.no_grad()
def test_hidden_states_and_logits_equal_upstream(files, model, batch):
    hidden = model.encoder(batch.batch).hidden
    torch.testing.assert_close(hidden, batch.pick(files.io["last_hidden"]), **CLOSE)
    torch.testing.assert_close(model.logits(hidden), batch.pick(files.io["logits"]), **CLOSE)


def test_loss_and_every_gradient_equal_upstream(files, model, batch):
    """Upstream counts labels above 0, so a selected [UNK] is left out."""
    labels = files.io["labels"].long()
    labels = labels.where(labels > 0, -100)
    assert int((batch.pick(labels) != -100).sum()) == files.meta["n_targets"]
    check_loss_and_gradients(model, mean_loss(model, batch, labels), files.meta["loss"], ours("dnabert2", files.grads))
