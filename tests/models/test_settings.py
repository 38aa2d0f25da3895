"""Settings that contradict each other are one clear line; those without effect beside others are known."""

from dataclasses import replace

import pytest

from pretrain.errors import PolymeraseError
from pretrain.families import FAMILIES
from pretrain.models.transformer.settings import RopeScaling, TransformerSettings

BERT = FAMILIES["rnaernie2"].settings
ERNIE = FAMILIES["ernie_rna"].settings


@pytest.mark.parametrize(
    ("start", "change", "message"),
    [
        (BERT, {"hidden_size": 30, "num_attention_heads": 4}, "hidden_size=30 is not a multiple of"),
        (BERT, {"num_hidden_layers": 0}, "model.num_hidden_layers: expected a positive integer, got 0"),
        (BERT, {"hidden_size": 36, "position_embedding_type": "rotary"}, "need an even head size, got 3"),
        (BERT, {"residual_from": "norm"}, "set norm_placement=pre or residual_from=input"),
        (ERNIE, {"position_embedding_type": "rotary"}, "pairing_bias with rotary positions is not defined"),
        (ERNIE, {"position_embedding_type": "alibi"}, "pairing_bias with alibi positions is not defined"),
        (ERNIE, {"causal": True}, "pairing_bias with model.causal is not defined"),
        (BERT, {"causal": True, "token_dropout": True}, "set token_dropout=false or causal=false"),
    ],
)
def test_contradictions_are_one_clear_line(start, change, message):
    with pytest.raises(PolymeraseError, match=message) as raised:
        replace(start, **change)
    assert "\n" not in str(raised.value)


def test_the_switches_that_the_plan_promises_make_a_model_of_a_published_family():
    change = {"position_embedding_type": "rotary", "mlp": "swiglu", "pairing_bias": False}
    assert replace(ERNIE, **change).mlp == "swiglu"


@pytest.mark.parametrize(
    ("change", "idle"),
    [
        ({}, {"rope_theta", "rope_scaling", "swiglu_beta"}),
        ({"position_embedding_type": "rotary"}, {"position_offset", "swiglu_beta"}),
        ({"position_embedding_type": "alibi"}, {"position_offset", "rope_theta", "rope_scaling", "swiglu_beta"}),
        ({"mlp": "swiglu"}, {"rope_theta", "rope_scaling"}),
        ({"head_transform": "none"}, {"rope_theta", "rope_scaling", "swiglu_beta", "head_act"}),
        ({"initialization": "torch"}, {"rope_theta", "rope_scaling", "swiglu_beta", "initializer_range"}),
    ],
)
def test_fields_without_effect_are_named_with_the_reason(change, idle):
    settings: TransformerSettings = replace(BERT, **change)
    assert settings.idle.keys() == idle
    assert all(settings.idle.values())


def test_rope_scaling_is_idle_where_nothing_is_rotated():
    assert "rope_scaling" in replace(BERT, rope_scaling=RopeScaling("linear", 2.0)).idle
