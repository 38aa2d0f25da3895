"""MutBERT on the outputs of upstream's own code (tests/golden/mutbert), with the tolerances of its README."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from pretrain.families import FAMILIES
from pretrain.families.published import our_tensors, published_model
from pretrain.models import LanguageModel
from pretrain.models.padded import unpad, unpad_rows
from pretrain.models.transformer.settings import RopeScaling

FAMILY = FAMILIES["mutbert"]
BASES = (5, 6, 7, 8)
SCALINGS = {
    "none": None,
    "linear2": RopeScaling("linear", 2.0),
    "dynamic2": RopeScaling("dynamic", 2.0),
    "dynamic4": RopeScaling("dynamic", 4.0),
}


@pytest.fixture(scope="module")
def cases(golden):
    return load_file(golden / "mutbert" / "model_cases.safetensors")


@pytest.fixture(scope="module")
def build(golden):
    weights = our_tensors(FAMILY.upstream, load_file(golden / "mutbert" / "mlm_weights.safetensors"))
    settings = FAMILY.resized(json.loads((golden / "mutbert" / "tiny_config.json").read_text()))

    def model(scaling: RopeScaling | None = None) -> LanguageModel:
        built = published_model(replace(settings, rope_scaling=scaling))
        built.load_state_dict(weights)
        return built.eval()

    return model


def test_ids_give_upstreams_hidden_states_and_logits(cases, build):
    ids = cases["A.input_ids"]
    packed, model = unpad(ids, torch.ones_like(ids, dtype=torch.bool)), build()
    with torch.no_grad():
        got = model.encoder(packed.batch, return_states=True)
    for layer, state in enumerate(got.states):
        torch.testing.assert_close(state, packed.pick(cases[f"A.hidden.{layer}"]), atol=1e-4, rtol=0)
    torch.testing.assert_close(model.logits(got.hidden), packed.pick(cases["A.logits"]), atol=1e-4, rtol=0)


def test_soft_rows_give_upstreams_hidden_states_and_logits(cases, build):
    packed, model = unpad_rows(cases["B.input"], cases["B.attention_mask"].bool(), BASES), build()
    assert packed.batch.soft_rows.positions.numel() > 0
    with torch.no_grad():
        got = model.encoder(packed.batch, return_states=True)
    for layer, state in enumerate(got.states):
        torch.testing.assert_close(state, packed.pick(cases[f"B.hidden.{layer}"]), atol=1e-4, rtol=0)
    torch.testing.assert_close(model.logits(got.hidden), packed.pick(cases["B.logits"]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("length", ["S", "L"])
def test_rope_scaling_equals_upstream_with_a_fresh_model(cases, build, length, scaling):
    packed = unpad_rows(cases[f"{length}.input"], cases[f"{length}.attention_mask"].bool(), BASES)
    model = build(SCALINGS[scaling])
    with torch.no_grad():
        hidden = model.encoder(packed.batch).hidden
    expected = packed.pick(cases[f"{length}.{scaling}.hidden.last"])
    torch.testing.assert_close(hidden, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        model.logits(hidden), packed.pick(cases[f"{length}.{scaling}.logits"]), atol=1e-4, rtol=0
    )


def test_a_long_input_leaves_no_trace_in_later_short_ones(cases, build):
    model = build(SCALINGS["dynamic4"])
    short, long = (unpad_rows(cases[f"{s}.input"], cases[f"{s}.attention_mask"].bool(), BASES) for s in "SL")
    with torch.no_grad():
        before = model(short.batch)
        model(long.batch)
        assert torch.equal(model(short.batch), before)


def test_soft_label_loss_and_gradients_equal_upstream(cases, build):
    model = build()
    packed = unpad_rows(cases["obj.masked_input"], cases["obj.attention_mask"].bool(), BASES)
    chosen = packed.pick(cases["obj.masked_indices"].bool())
    hidden = model.encoder(packed.batch).hidden
    torch.testing.assert_close(model.logits(hidden), packed.pick(cases["obj.logits"]), atol=1e-4, rtol=0)
    targets = packed.pick(cases["obj.labels"])[chosen]
    loss = -(targets * model.logits(hidden[chosen]).log_softmax(-1)).sum(-1).mean()
    loss.backward()
    assert loss.item() == pytest.approx(cases["obj.loss"].item(), abs=1e-5)
    prefix = "obj.grad."
    expected = our_tensors(FAMILY.upstream, {k[len(prefix) :]: v for k, v in cases.items() if k.startswith(prefix)})
    assert len(expected) == 6
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-5, rtol=0)


def test_soft_rows_equal_rows_times_embedding(cases, build):
    model = build()
    packed = unpad_rows(cases["B.input"], cases["B.attention_mask"].bool(), BASES)
    embeddings = model.encoder.embeddings
    embeddings.norm = torch.nn.Identity()
    got = packed.batch.layout.to_batch_order(embeddings(packed.batch)) - embeddings.segment.weight[0]
    torch.testing.assert_close(got, packed.pick(cases["B.input"]) @ embeddings.word.weight, atol=1e-5, rtol=0)
