"""Nucleotide Transformer v1 and v2 (instadeepai/nucleotide-transformer; recipes/nt.md): 6-mers side by side.

Where sources disagree, and what we follow:

* LayerNorm's epsilon is 1e-5 in the program that made the weights and 1e-12 in published configs; 1e-5 here.
* Embedding rows: 4,105 (v1, whose list names two more tokens without rows) and 4,107 (v2).
* v1 counts positions from row 2 of its table; v2 files carry a table that nothing reads (dropped on import).
* Token dropout is v1's alone. The random token of masking differs from the original one.
* v2's longest input: 2,048 tokens in the documentation, 1,000 on model cards; 2,048 here.
* Weights are licensed for non-commercial use, share-alike: so is whatever is trained on from them.
"""

from dataclasses import replace

from pretrain.families.esm import complete_esm
from pretrain.families.family import Family, HuggingFaceForm
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.families.own_code import OWN_FORMS, untied
from pretrain.families.paper import Paper
from pretrain.families.utr_lm import ESM_KEYS
from pretrain.models.transformer.settings import TransformerSettings

_HF, _OURS = "esm.encoder.layer.{i}.", "encoder.layers.{i}."
_DECODER = KeyRule("lm_head.decoder.weight", "mlm_head.decoder.weight")
_POSITIONS = "esm.embeddings.position_embeddings.weight"
_IGNORABLE = (*ESM_KEYS.ignorable, "lm_head.decoder.bias", "esm.contact_head.regression.{wb}")
_SHARED = tuple(rule for rule in ESM_KEYS.rules if not rule.ours.startswith("unused."))
V1_KEYS = KeyLayout(
    rules=(*_SHARED, _DECODER, KeyRule(_POSITIONS, "encoder.embeddings.position.weight")),
    ignorable=_IGNORABLE,
)
V2_KEYS = KeyLayout(
    rules=(
        *(rule for rule in _SHARED if ".mlp.up." not in rule.ours and ".mlp.down." not in rule.ours),
        KeyRule(_HF + "intermediate.dense.weight[0/2]", _OURS + "mlp.gate.weight"),  # the half that SiLU reads
        KeyRule(_HF + "intermediate.dense.weight[1/2]", _OURS + "mlp.up.weight"),
        KeyRule(_HF + "output.dense.weight", _OURS + "mlp.down.weight"),
        _DECODER,
    ),
    ignorable=(*_IGNORABLE, _POSITIONS),
)
NATIVE_FORM = HuggingFaceForm(
    kind="native",
    model_type="esm",
    base_class="EsmModel",
    masked_lm_class="EsmForMaskedLM",
    keys=V1_KEYS,
    complete=complete_esm,
    constants={
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "token_dropout": True,
        "emb_layer_norm_before": False,
        "is_folding_model": False,
        "tie_word_embeddings": False,
    },
    extra_fields=("mask_token_id",),
    names={},
)
PAPER = Paper(
    "dallatorre2025nucleotide",
    "Dalla-Torre and others",
    "Nucleotide Transformer: building and evaluating robust foundation models for human genomics",
    "Nature Methods",
    2025,
    "10.1038/s41592-024-02523-z",
)
NON_COMMERCIAL = (
    "The released weights are licensed CC-BY-NC-SA 4.0: no commercial use, and models trained on from them carry the "
    "same license."
)

_V1 = TransformerSettings(
    vocab_size=4105,
    hidden_size=1280,
    num_hidden_layers=24,
    num_attention_heads=20,
    intermediate_size=5120,
    max_position_embeddings=1002,
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
_V2 = replace(
    _V1,
    vocab_size=4107,
    max_position_embeddings=2048,
    num_attention_heads=16,
    position_embedding_type="rotary",
    position_offset=0,
    token_dropout=False,
    mlp="swiglu",
    mlp_bias=False,
)
# name -> layers, width, inner width, heads, parameters
V1_SIZES = {"500m": (24, 1280, 5120, 20, 485_698_825), "2b5": (32, 2560, 10240, 20, 2_547_800_585)}
V2_SIZES = {
    "50m": (12, 512, 2048, 16, 54_855_179),
    "100m": (22, 512, 2048, 16, 96_839_179),
    "250m": (24, 768, 3072, 16, 233_545_995),
    "500m": (29, 1024, 4096, 16, 496_245_771),
}


def _nt(version: str, size: str) -> Family:
    first = version == "v1"
    layers, width, inner, heads, parameters = (V1_SIZES if first else V2_SIZES)[size]
    settings = replace(
        _V1 if first else _V2,
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=inner,
        num_attention_heads=heads,
    )
    return Family(
        name=f"nt_{version}_{size}",
        settings=settings,
        tokenizer="kmer6_nonoverlapping_v1" if first else "kmer6_nonoverlapping",
        max_tokens=1000 if first else 2048,
        recipe_ranks=8,
        parameters=parameters,
        upstream=V1_KEYS if first else V2_KEYS,
        hugging_face=NATIVE_FORM if first else replace(untied(OWN_FORMS["transformer"]), names={}),
        license="cc-by-nc-sa-4.0",
        paper=PAPER,
        notes=(NON_COMMERCIAL,),
        molecule="dna",
        fine_tuning_head="mean",
    )


NT = (*(_nt("v1", size) for size in V1_SIZES), *(_nt("v2", size) for size in V2_SIZES))
