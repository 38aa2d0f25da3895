"""DNABERT-2 on the outputs of its original code (tests/golden/dnabert2), within the tolerances stated there."""

import pytest
import torch

from pretrain.models.transformer.bias import alibi_slopes
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
    vocab_size=64,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=6,
    intermediate_size=40,
    max_position_embeddings=512,
    pad_token_id=0,  # of the model: the row that looked-up ids do not train. The tokenizer pads with 3
    mask_token_id=4,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.0,
    layer_norm_eps=1e-12,
    position_embedding_type="alibi",
    segment_rows=2,
    mlp="geglu",
    mlp_up_bias=False,
    mlp_dropout="inner",
)
CLOSE = {"atol": 2e-5, "rtol": 0.0}


def ours(theirs: Tensors) -> Tensors:
    """Published names to ours; the gate is the first half of `gated_layers`."""
    named = {
        "encoder.embeddings.word.weight": theirs["bert.embeddings.word_embeddings.weight"],
        "encoder.embeddings.segment.weight": theirs["bert.embeddings.token_type_embeddings.weight"],
        **norm("bert.embeddings.LayerNorm", "encoder.embeddings.norm", theirs),
        **norm("cls.predictions.transform.dense", "mlm_head.dense", theirs),
        **norm("cls.predictions.transform.LayerNorm", "mlm_head.norm", theirs),
        "mlm_head.bias": theirs["cls.predictions.decoder.bias"],
    }
    for i in range(SETTINGS.num_hidden_layers):
        block, layer = f"bert.encoder.layer.{i}", f"encoder.layers.{i}"
        for part in ("weight", "bias"):
            qkv = tuple(f"{layer}.attention.{name}.{part}" for name in ("query", "key", "value"))
            named |= chunks(f"{block}.attention.self.Wqkv.{part}", qkv, theirs)
        named |= norm(f"{block}.attention.output.dense", f"{layer}.attention.output", theirs)
        named |= norm(f"{block}.attention.output.LayerNorm", f"{layer}.attention_norm", theirs)
        named |= chunks(
            f"{block}.mlp.gated_layers.weight", (f"{layer}.mlp.gate.weight", f"{layer}.mlp.up.weight"), theirs
        )
        named |= norm(f"{block}.mlp.wo", f"{layer}.mlp.down", theirs)
        named |= norm(f"{block}.mlp.layernorm", f"{layer}.mlp_norm", theirs)
    return named


@pytest.fixture(scope="module")
def files(golden):
    return Golden.load(golden / "dnabert2")


@pytest.fixture
def model(files):
    return build(SETTINGS, ours(files.weights))


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
    check_loss_and_gradients(model, mean_loss(model, batch, labels), files.meta["loss"], ours(files.grads))
