"""What every architecture keeps to: names of tensors, order of tokens, settings that survive as plain data."""

import json

import numpy as np
import pytest
import torch

from pretrain.models import ARCHITECTURES, LanguageModel, PackedBatch, architecture_of, side_inputs_of
from pretrain.models.layout import Layout
from pretrain.models.record import field_types, from_record, to_record
from pretrain.tokenizers import build_tokenizer

SMALL = {
    "vocab_size": 25, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 32, "pad_token_id": 1, "mask_token_id": 24, "attention_layers": (1,),
}  # fmt: skip
LENGTHS = [7, 3, 12, 1]
EACH = pytest.mark.parametrize("name", ARCHITECTURES)


def small(name: str, **changes):
    """Settings of an architecture, everything else as by default."""
    kind = ARCHITECTURES[name].settings
    return kind(**{key: value for key, value in (SMALL | changes).items() if key in field_types(kind)})


def batch(settings) -> PackedBatch:
    """Random tokens of four sequences, with what the model reads besides."""
    ids = np.random.default_rng(0).integers(4, 24, sum(LENGTHS))
    inputs = side_inputs_of(settings, build_tokenizer("ernie_rna").vocab)
    side = {name: torch.from_numpy(fill(ids, None)) for name, fill in inputs.items()}
    return PackedBatch.pack(torch.from_numpy(ids), LENGTHS, side=side)


@EACH
def test_tensors_are_called_encoder_and_mlm_head_whatever_the_architecture(name):
    model = LanguageModel.build(small(name))
    assert {key.split(".")[0] for key in model.state_dict()} <= {"encoder", "mlm_head"}
    assert model.encoder.width == 32
    assert architecture_of(model.settings) is ARCHITECTURES[name]


@EACH
def test_hidden_states_stand_in_the_order_of_the_batch(name):
    torch.manual_seed(0)
    model = LanguageModel.build(small(name)).eval()
    whole = batch(model.settings)
    with torch.no_grad():
        output = model.encoder(whole, return_states=True)
        start = 0
        for length in LENGTHS:
            alone = PackedBatch.pack(whole.input_ids[start : start + length], [length])
            expected = model.encoder(alone).hidden
            torch.testing.assert_close(output.hidden[start : start + length], expected, atol=2e-5, rtol=1e-4)
            start += length
    assert output.states is not None
    assert len(output.states) == ARCHITECTURES[name].layers(model.settings) + 1
    torch.testing.assert_close(output.states[-1], output.hidden)


@EACH
def test_settings_come_back_from_a_checkpoints_record(name):
    settings = small(name)
    assert from_record(json.loads(json.dumps(to_record(settings))), None) == settings


def test_a_record_from_before_there_were_several_architectures_is_read():
    now = small("transformer", layer_norm_eps=1e-5)
    before = {key: value for key, value in to_record(now).items() if key in SMALL or key == "layer_norm_eps"}
    old = before | {"hidden_act": "relu", "pairing_scores_dtype": "float32"}
    found = from_record(old, small("transformer"))
    assert (found.mlp, found.head_act, found.layer_norm_eps) == ("relu", "relu", 1e-5)


def test_the_input_of_pairing_models_marks_what_is_selected_and_travels_with_the_batch():
    settings = small("transformer", pairing_bias=True)
    fill = side_inputs_of(settings, build_tokenizer("ernie_rna").vocab)["pair_class"]
    ids = build_tokenizer("ernie_rna").encode_text("ACGU")
    assert fill(ids, None).tolist() == [0, 1, 2, 3, 4, 0]
    assert fill(ids, np.array([2])).tolist() == [0, 1, 5, 3, 4, 0]
    assert side_inputs_of(small("transformer"), build_tokenizer("ernie_rna").vocab) == {}
    assert batch(settings).to("meta").side["pair_class"].device.type == "meta"


def test_blocks_are_padded_with_what_is_asked_for():
    rows = torch.arange(1.0, 6.0)[:, None]
    (group,) = Layout.build([3, 2], padding=0.5, device="cpu").groups
    in_order = torch.cat([rows[3:], rows[:3]])  # the shorter one first
    assert group.to_blocks(in_order, pad=0.0)[..., 0].tolist() == [[4, 5, 0], [1, 2, 3]]
    assert group.from_blocks(group.to_blocks(in_order, pad=-1.0)).equal(in_order)
