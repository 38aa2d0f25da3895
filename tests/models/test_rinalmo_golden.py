"""RiNALMo on the outputs of its original code (tests/golden/rinalmo), within the tolerances stated there."""

from dataclasses import replace

import pytest
import torch

from pretrain.models.transformer.settings import TransformerSettings
from tests.models.golden_transformer import (
    Golden,
    Tensors,
    build,
    check_loss_and_gradients,
    chunks,
    mean_loss,
    norm,
    packed,
)

SETTINGS = TransformerSettings(
    vocab_size=22,
    hidden_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=106,
    max_position_embeddings=1024,
    pad_token_id=1,
    mask_token_id=4,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    layer_norm_eps=1e-5,
    position_embedding_type="rotary",
    embedding_norm=False,
    token_dropout=True,
    norm_placement="pre",
    residual_from="norm",
    final_norm=True,
    attention_bias=False,
    mlp="swiglu",
    swiglu_beta="learned",
    head_tied=False,
    initialization="torch",
)
CLOSE = {"atol": 2e-5, "rtol": 0.0}


def ours(theirs: Tensors) -> Tensors:
    """Published names to ours; `linear` is what the gate activates, `linear_gate` what it is multiplied with."""
    named = {
        "encoder.embeddings.word.weight": theirs["embedding.weight"],
        **norm("transformer.final_layer_norm", "encoder.final_norm", theirs),
        **norm("lm_mask_head.linear1", "mlm_head.dense", theirs),
        **norm("lm_mask_head.layer_norm", "mlm_head.norm", theirs),
        "mlm_head.decoder.weight": theirs["lm_mask_head.linear2.weight"],
        "mlm_head.bias": theirs["lm_mask_head.linear2.bias"],
    }
    for i in range(SETTINGS.num_hidden_layers):
        block, layer = f"transformer.blocks.{i}", f"encoder.layers.{i}"
        qkv = tuple(f"{layer}.attention.{name}.weight" for name in ("query", "key", "value"))
        named |= chunks(f"{block}.mh_attn.Wqkv.weight", qkv, theirs)
        named |= norm(f"{block}.mh_attn.out_proj", f"{layer}.attention.output", theirs)
        named |= norm(f"{block}.attn_layer_norm", f"{layer}.attention_norm", theirs)
        named |= norm(f"{block}.out_layer_norm", f"{layer}.mlp_norm", theirs)
        named |= norm(f"{block}.transition.0.linear", f"{layer}.mlp.gate", theirs)
        named |= norm(f"{block}.transition.0.linear_gate", f"{layer}.mlp.up", theirs)
        named[f"{layer}.mlp.beta"] = theirs[f"{block}.transition.0.beta"]
        named |= norm(f"{block}.transition.2", f"{layer}.mlp.down", theirs)
    return named


@pytest.fixture(scope="module")
def files(golden):
    return Golden.load(golden / "rinalmo")


@pytest.fixture
def model(files):
    return build(SETTINGS, ours(files.weights))


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
    check_loss_and_gradients(model, loss, files.meta["loss"], ours(files.grads))


def test_the_residual_of_attention_is_taken_after_the_norm(files, model, batch):
    """A textbook pre-norm block with the same weights is another model."""
    textbook = build(replace(SETTINGS, residual_from="input"), ours(files.weights))
    with torch.no_grad():
        difference = (textbook(batch.batch) - batch.pick(files.io["logits"])).abs().max()
    assert difference > 0.1
