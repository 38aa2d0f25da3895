"""Nucleotide Transformer v1 and v2 on the outputs of their original code (tests/golden/nt), within its tolerances."""

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
    under,
)

V1 = TransformerSettings(
    vocab_size=25,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=42,
    pad_token_id=1,
    mask_token_id=2,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    layer_norm_eps=1e-5,
    position_offset=2,
    token_dropout=True,
    embedding_norm=False,
    norm_placement="pre",
    final_norm=True,
    head_tied=False,
    initialization="nucleotide_transformer",
    zero_pad_row=False,
)
V2 = replace(
    V1,
    vocab_size=27,
    intermediate_size=40,
    position_embedding_type="rotary",
    position_offset=0,
    token_dropout=False,
    mlp="swiglu",
    mlp_bias=False,
)
SETTINGS = {"v1": V1, "v2": V2}
EVERY = pytest.mark.parametrize("version", SETTINGS)
CLOSE = {"atol": 2e-5, "rtol": 0.0}


def ours(theirs: Tensors) -> Tensors:
    """Published names to ours; v2 keeps what the gate activates in the first half of one matrix."""
    named = {
        "encoder.embeddings.word.weight": theirs["esm.embeddings.word_embeddings.weight"],
        **norm("esm.encoder.emb_layer_norm_after", "encoder.final_norm", theirs),
        **norm("lm_head.dense", "mlm_head.dense", theirs),
        **norm("lm_head.layer_norm", "mlm_head.norm", theirs),
        "mlm_head.decoder.weight": theirs["lm_head.decoder.weight"],
        "mlm_head.bias": theirs["lm_head.bias"],
    }
    if "esm.embeddings.position_embeddings.weight" in theirs:
        named["encoder.embeddings.position.weight"] = theirs["esm.embeddings.position_embeddings.weight"]
    for i in range(2):
        block, layer = f"esm.encoder.layer.{i}", f"encoder.layers.{i}"
        for part in ("query", "key", "value"):
            named |= norm(f"{block}.attention.self.{part}", f"{layer}.attention.{part}", theirs)
        named |= norm(f"{block}.attention.output.dense", f"{layer}.attention.output", theirs)
        named |= norm(f"{block}.attention.LayerNorm", f"{layer}.attention_norm", theirs)
        named |= norm(f"{block}.LayerNorm", f"{layer}.mlp_norm", theirs)
        named |= norm(f"{block}.output.dense", f"{layer}.mlp.down", theirs)
        if f"{block}.intermediate.dense.bias" in theirs:
            named |= norm(f"{block}.intermediate.dense", f"{layer}.mlp.up", theirs)
        else:
            halves = (f"{layer}.mlp.gate.weight", f"{layer}.mlp.up.weight")
            named |= chunks(f"{block}.intermediate.dense.weight", halves, theirs)
    return named


@pytest.fixture(scope="module")
def files(golden):
    return Golden.load(golden / "nt")


@EVERY
@torch.no_grad()
def test_hidden_states_and_logits_equal_upstream(files, version):
    model, io = build(SETTINGS[version], ours(under(f"{version}/", files.weights))), under(f"{version}.", files.io)
    batch = packed(io["input_ids"], io["attention_mask"])
    output = model.encoder(batch.batch, return_states=True)
    torch.testing.assert_close(output.states[1], batch.pick(io["layer1_hidden"]), **CLOSE)
    torch.testing.assert_close(output.hidden, batch.pick(io["last_hidden_after_final_norm"]), **CLOSE)
    torch.testing.assert_close(model.logits(output.hidden), batch.pick(io["logits"]), **CLOSE)
    whole = packed(io["raw_ids"], io["attention_mask"])
    torch.testing.assert_close(model(whole.batch), whole.pick(io["logits_unmasked_input"]), **CLOSE)


@EVERY
def test_loss_and_every_gradient_equal_upstream(files, version):
    model, io = build(SETTINGS[version], ours(under(f"{version}/", files.weights))), under(f"{version}.", files.io)
    batch, meta = packed(io["input_ids"], io["attention_mask"]), files.meta[version]
    loss = mean_loss(model, batch, io["labels"])
    assert int((batch.pick(io["labels"]) != -100).sum()) == meta["n_targets"]
    check_loss_and_gradients(model, loss, meta["loss"], ours(under(f"{version}/", files.grads)))
