"""Evo 1 (evo-design/evo; recipes/evo1.md): causal models of bytes.

Traps of the classes are in ``models.striped_hyena``.

Where sources disagree, and what we follow:

* Revision ``1.1_fix`` of the published folders holds the weights as the code reads them; others do not load as meant.
* Which positions the training left out of the loss is not public; every byte counts here but the first.
* Optimizer and first weights are not public either: recipes and ``initialization`` say which values are ours.
* Scoring upstream is the mean log-probability of the real bytes behind a byte 0.
* A cluster's model. It is imported, evaluated, exported and sharded here; small twins are what trains on one machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout, KeyRule, numbers_behind
from pretrain.families.own_code import OWN_FORMS
from pretrain.families.paper import Paper
from pretrain.models.striped_hyena.settings import StripedHyenaSettings, gated_inner_size
from pretrain.models.transformer.settings import RopeScaling

if TYPE_CHECKING:  # a second, which listing families does not need
    from torch import Tensor

_THEIRS, _OURS = "blocks.{i}.", "encoder.layers.{i}."

EVO1_KEYS = KeyLayout(
    rules=(
        KeyRule("embedding_layer.weight", "encoder.embeddings.word.weight"),
        KeyRule(_THEIRS + "pre_norm.scale", _OURS + "mixer_norm.scale"),
        KeyRule(_THEIRS + "projections.{wb}", _OURS + "mixer.input.{wb}"),
        KeyRule(_THEIRS + "filter.short_filter_weight", _OURS + "mixer.short.weight"),
        KeyRule(_THEIRS + "filter.short_filter_bias", _OURS + "mixer.short.bias"),
        KeyRule(_THEIRS + "filter.poles", _OURS + "mixer.filter.poles"),
        KeyRule(_THEIRS + "filter.residues", _OURS + "mixer.filter.residues"),
        KeyRule(_THEIRS + "filter.D", _OURS + "mixer.skip"),
        KeyRule(_THEIRS + "out_filter_dense.{wb}", _OURS + "mixer.output.{wb}"),
        KeyRule(_THEIRS + "inner_mha_cls.Wqkv.{wb}", _OURS + "mixer.qkv.{wb}"),
        KeyRule(_THEIRS + "inner_mha_cls.out_proj.{wb}", _OURS + "mixer.output.{wb}"),
        KeyRule(_THEIRS + "post_norm.scale", _OURS + "mlp_norm.scale"),
        KeyRule(_THEIRS + "mlp.l1.weight", _OURS + "mlp.gate.weight"),
        KeyRule(_THEIRS + "mlp.l2.weight", _OURS + "mlp.up.weight"),
        KeyRule(_THEIRS + "mlp.l3.weight", _OURS + "mlp.down.weight"),
        KeyRule("norm.scale", "encoder.final_norm.scale"),
    ),
    duplicates={"unembed.weight": "embedding_layer.weight"},
    ignorable=(_THEIRS + "inner_mha_cls.rotary_emb.inv_freq",),
    prefixes=("backbone.",),
)

_CONFIG_NAMES = {  # of the published config.json
    "num_layers": ("num_hidden_layers",),
    "inner_mlp_size": ("intermediate_size",),
    "attn_layer_idxs": ("attention_layers",),
    "short_filter_length": ("short_kernel_size",),
    "rotary_emb_base": ("rope_theta",),
    "eps": ("rms_norm_eps",),
}
_PAPER = Paper(
    "nguyen2024evo",
    "Nguyen and Poli and Durrant and others",
    "Sequence modeling and design from molecular to genome scale with Evo",
    "Science",
    2024,
    "10.1126/science.ado9336",
)


def _attending(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Numbers of the layers that attend."""
    found = numbers_behind((name for name in state if ".mixer.qkv." in name), "encoder.layers.")
    return {"attention_layers": tuple(sorted(found))}


def _evo1(name: str, max_tokens: int, rope_scaling: RopeScaling | None) -> Family:
    return Family(
        name=name,
        settings=StripedHyenaSettings(
            vocab_size=512,
            hidden_size=4096,
            num_hidden_layers=32,
            num_attention_heads=32,
            intermediate_size=gated_inner_size(4096),
            attention_layers=(8, 16, 24),
            max_position_embeddings=max_tokens,
            pad_token_id=1,
            mask_token_id=-1,
            base_token_ids=(65, 67, 71, 84),
            rope_scaling=rope_scaling,
        ),
        tokenizer="bytes",
        max_tokens=max_tokens,
        recipe_ranks=8,
        parameters=6_452_781_056,
        upstream=EVO1_KEYS,
        hugging_face=replace(OWN_FORMS["striped_hyena"], extra_fields=("state_size",), names=_CONFIG_NAMES),
        more_sizes=_attending,
        license="apache-2.0",
        paper=_PAPER,
        notes=("A sequence begins with the byte 0; case is kept.",),
        molecule="dna",
        fine_tuning_head="mean",
    )


EVO1 = (_evo1("evo1_8k", 8192, None), _evo1("evo1_131k", 131_072, RopeScaling("linear", 16.0)))
