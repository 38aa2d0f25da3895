"""Evo 1's blocks on the outputs of StripedHyena's own code (tests/golden/evo1), within its tolerances."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from pretrain.families.evo1 import EVO1, EVO1_KEYS
from pretrain.families.published import our_tensors
from pretrain.importing.match import check, match
from pretrain.models import LanguageModel, PackedBatch
from pretrain.models.padded import Unpadded, unpad
from pretrain.models.striped_hyena.settings import StripedHyenaSettings, gated_inner_size
from pretrain.models.transformer.settings import RopeScaling
from tests.models.golden_steps import gradients

SETTINGS = StripedHyenaSettings(
    vocab_size=512,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=gated_inner_size(32),
    attention_layers=(1,),
    max_position_embeddings=46,
    pad_token_id=1,
    mask_token_id=1,
)


@pytest.fixture(scope="module")
def files(golden):
    names = ("weights", "io", "grads_real_positions")
    return {name: load_file(golden / "evo1" / f"{name}.safetensors") for name in names}


@pytest.fixture(scope="module")
def meta(golden):
    return json.loads((golden / "evo1" / "meta.json").read_text())


@pytest.fixture(scope="module")
def build(files):
    def model(settings: StripedHyenaSettings = SETTINGS) -> LanguageModel:
        built = LanguageModel.build(settings)
        built.load_state_dict(our_tensors(EVO1_KEYS, files["weights"]))
        return built.eval()

    return model


def without_padding(files) -> Unpadded:
    """Upstream pads on the right, which changes nothing for real tokens; here there is no padding."""
    return unpad(files["io"]["input_ids"], files["io"]["padding_mask"].bool())


def test_the_filter_equals_upstreams(files, build):
    with torch.no_grad():
        found = build().encoder.layers[0].mixer.filter(46)
    torch.testing.assert_close(found, files["io"]["block0.h"], atol=5e-6, rtol=0)


def test_the_inner_size_follows_upstreams_rule(meta):
    assert gated_inner_size(32) == meta["mlp_inner_size"]
    assert gated_inner_size(4096) == 10928


def test_block_outputs_and_logits_equal_upstreams(files, build):
    packed, io, model = without_padding(files), files["io"], build()
    with torch.no_grad():
        output = model.encoder(packed.batch, return_states=True)
        logits = model.logits(output.hidden)
    for number in range(2):
        expected = packed.pick(io[f"block{number}.out"])
        torch.testing.assert_close(output.states[number + 1], expected, atol=1e-4, rtol=0)
    with torch.no_grad():
        normed = model.encoder.final_norm(packed.pick(io["block2.out"]))
    torch.testing.assert_close(output.hidden, normed, atol=1e-4, rtol=0)
    torch.testing.assert_close(logits[:, :128], packed.pick(io["logits_ascii_columns_0_127"]), atol=1e-4, rtol=0)
    for expected in ("logsumexp_512", "logsumexp_512_padding_mask"):
        torch.testing.assert_close(logits.logsumexp(1), packed.pick(io[expected]), atol=1e-4, rtol=0)


def test_positions_divided_by_16_equal_upstreams(files, meta, build):
    packed, io = without_padding(files), files["io"]
    model = build(replace(SETTINGS, rope_scaling=RopeScaling("linear", 16.0)))
    with torch.no_grad():
        output = model.encoder(packed.batch, return_states=True)
        logits = model.logits(output.hidden)
    torch.testing.assert_close(output.states[2], packed.pick(io["interpolated16.block1.out"]), atol=1e-4, rtol=0)
    torch.testing.assert_close(logits.logsumexp(1), packed.pick(io["interpolated16.logsumexp_512"]), atol=1e-4, rtol=0)
    loss = next_byte_loss(logits, packed)
    assert float(loss) == pytest.approx(meta["interpolated16_loss_real_positions"], abs=1e-5)


def next_byte_loss(logits: torch.Tensor, packed: Unpadded) -> torch.Tensor:
    """Mean over the real bytes that have a byte before them."""
    target = packed.batch.input_ids.roll(-1)
    last = packed.batch.cu_seqlens[1:].long() - 1
    return F.cross_entropy(logits, target.index_fill(0, last, -100))


def test_losses_scores_and_gradients_equal_upstreams(files, meta, build):
    packed, model = without_padding(files), build()
    logits = model(packed.batch)
    loss = next_byte_loss(logits, packed)
    assert float(loss.detach()) == pytest.approx(meta["losses"]["real_positions"]["loss"], abs=1e-5)
    loss.backward()
    expected = our_tensors(EVO1_KEYS, files["grads_real_positions"])
    found = gradients(model)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=3e-4, msg=name)
    scores = logits.detach().log_softmax(1)[:-1].gather(1, packed.batch.input_ids[1:, None])[:, 0]
    bounds = packed.batch.cu_seqlens.tolist()
    means = [float(scores[a : b - 1].mean()) for a, b in pairwise(bounds)]
    assert means == pytest.approx(meta["mean_logprob_per_sequence"], abs=1e-5)


def test_the_loss_over_all_positions_equals_upstreams_where_pads_are_tokens(files, meta, build):
    ids = files["io"]["input_ids"]
    packed = unpad(ids, torch.ones_like(ids, dtype=torch.bool))
    with torch.no_grad():
        loss = next_byte_loss(build()(packed.batch), packed)
    assert float(loss) == pytest.approx(meta["losses"]["all_positions"]["loss"], abs=1e-5)


def test_published_folders_and_bare_state_dicts_are_read_whole(files):
    weights = files["weights"]
    published = {f"backbone.{key}": tensor for key, tensor in weights.items()}
    with_head = weights | {"unembed.weight": weights["embedding_layer.weight"]}
    for tensors in (weights, published, with_head):
        matched = match(EVO1_KEYS, tensors)
        check(matched, EVO1[0], SETTINGS, "weights")
        assert matched.state.keys() == dict(LanguageModel.build(SETTINGS).named_parameters()).keys()


def test_a_batch_of_one_sequence_gives_what_it_gives_beside_others(files, build):
    packed, model = without_padding(files), build()
    with torch.no_grad():
        together = model(packed.batch)
        bounds = packed.batch.cu_seqlens.tolist()
        for a, b in pairwise(bounds):
            alone = model(PackedBatch.pack(packed.batch.input_ids[a:b], [b - a]))
            torch.testing.assert_close(alone, together[a:b], atol=5e-5, rtol=0)
