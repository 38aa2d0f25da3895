"""RiNALMo (lbcb-sci/RiNALMo; recipes/rinalmo.md): a rotary, gated transformer of non-coding RNA.

Where sources disagree, and what we follow:

* The residual of attention is the norm's output, not its input; a textbook pre-norm block gives other numbers.
* Tokens hold T: U is read as T, and 20 heads stand at every width.
* Inner widths are truncations of two thirds of four widths, not multiples of anything.
* Token dropout scales at inference too.
* Nano is configured in the release; no weights of it are published.
* How weights began, betas, epsilon and which tensors decay are not published; torch's defaults are assumed.
"""

from dataclasses import replace

from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.families.own_code import OWN_FORMS, untied
from pretrain.families.paper import Paper
from pretrain.models.transformer.settings import TransformerSettings

_BLOCK, _OURS = "transformer.blocks.{i}.", "encoder.layers.{i}."
_COMMON = (
    KeyRule("embedding.weight", "encoder.embeddings.word.weight"),
    KeyRule(_BLOCK + "attn_layer_norm.{wb}", _OURS + "attention_norm.{wb}"),
    KeyRule(_BLOCK + "out_layer_norm.{wb}", _OURS + "mlp_norm.{wb}"),
    KeyRule(_BLOCK + "transition.0.linear.{wb}", _OURS + "mlp.gate.{wb}"),  # what the gate activates
    KeyRule(_BLOCK + "transition.0.linear_gate.{wb}", _OURS + "mlp.up.{wb}"),  # what it is multiplied with
    KeyRule(_BLOCK + "transition.0.beta", _OURS + "mlp.beta"),
    KeyRule(_BLOCK + "transition.2.{wb}", _OURS + "mlp.down.{wb}"),
    KeyRule("transformer.final_layer_norm.{wb}", "encoder.final_norm.{wb}"),
    KeyRule("lm_mask_head.linear1.{wb}", "mlm_head.dense.{wb}"),
    KeyRule("lm_mask_head.layer_norm.{wb}", "mlm_head.norm.{wb}"),
    KeyRule("lm_mask_head.linear2.weight", "mlm_head.decoder.weight"),
    KeyRule("lm_mask_head.linear2.bias", "mlm_head.bias"),
)
_PARTS = ("query", "key", "value")
_IGNORABLE = (_BLOCK + "mh_attn.rotary_emb.inv_freq", _BLOCK + "mh_attn.mh_attn.rotary_emb.inv_freq")
_PREFIXES = ("lm.",)
UPSTREAM_KEYS = KeyLayout(
    rules=(
        *_COMMON,
        *(
            KeyRule(_BLOCK + f"mh_attn.Wqkv.weight[{n}/3]", _OURS + f"attention.{p}.weight")
            for n, p in enumerate(_PARTS)
        ),
        KeyRule(_BLOCK + "mh_attn.out_proj.weight", _OURS + "attention.output.weight"),
    ),
    ignorable=_IGNORABLE,
    prefixes=_PREFIXES,
)
# the class without fused attention
UNFUSED_KEYS = KeyLayout(
    rules=(
        *_COMMON,
        *(KeyRule(_BLOCK + f"mh_attn.mh_attn.to_{p[0]}.weight", _OURS + f"attention.{p}.weight") for p in _PARTS),
        KeyRule(_BLOCK + "mh_attn.mh_attn.out_proj.weight", _OURS + "attention.output.weight"),
    ),
    ignorable=_IGNORABLE,
    prefixes=_PREFIXES,
)

# name -> layers, width, inner width, parameters
SIZES = {
    "giga": (33, 1280, 3413, 650_901_793),
    "mega": (30, 640, 1706, 148_056_972),
    "micro": (12, 480, 1280, 33_491_074),
    "nano": (6, 320, 853, 7_508_824),
}


def _rinalmo(size: str) -> Family:
    layers, width, inner, parameters = SIZES[size]
    return Family(
        name=f"rinalmo_{size}",
        settings=TransformerSettings(
            vocab_size=22,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=20,
            intermediate_size=inner,
            max_position_embeddings=1024,  # rotary: any length; training crops to 1,022 letters
            pad_token_id=1,
            mask_token_id=4,
            base_token_ids=(5, 6, 7, 8),
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
        ),
        tokenizer="rinalmo",
        max_tokens=1024,
        recipe_ranks=7,
        parameters=parameters,
        upstream=UPSTREAM_KEYS,
        ports=(UNFUSED_KEYS,),
        hugging_face=replace(untied(OWN_FORMS["transformer"]), names={}),
        license="cc-by-4.0",
        paper=Paper(
            "penic2025rinalmo",
            "Penić and others",
            "RiNALMo: general-purpose RNA language models can generalize well on structure prediction tasks",
            "Nature Communications",
            2025,
            "10.1038/s41467-025-60872-5",
        ),
        fine_tuning_head="mean",
    )


RINALMO = tuple(map(_rinalmo, SIZES))
