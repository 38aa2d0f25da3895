"""ERNIE-RNA (Bruce-ywj/ERNIE-RNA; recipes/ernie_rna.md).

BERT-base with post-LN, fairseq sinusoids, and base-pairing scores that each layer adds to those of the layer below.

Where sources disagree, and what we follow:

* Norm placement: an old model card says pre-LN and the paper's figure draws it so; the released code, executed, is
  post-LN. There is no final encoder norm: upstream's ``encoder.layer_norm`` belongs to the output head.
* Pairing of selected positions: training sets rows and columns of every selected position to -1 (kept and randomly
  replaced ones too); upstream's inference helpers give <mask> the value 0. Pretraining and evaluation here use -1;
  an exported model follows the ids it is given unless it is told the selected positions.
* One upstream script (zero-shot structure) passes an index array of the wrong rank and so runs with an all-zero
  pairing matrix. Not reproduced; with ``pair_class`` 0 everywhere the same result can be had.
* Letters: three conventions upstream. The training dictionary has 17 letters (N = 8), no T; embedding scripts read
  T as U and every ambiguity code as <unk>. Here T is U and letters are the dictionary's;
  ``build_tokenizer("ernie_rna", ambiguous_as_unk=True)`` is the scripts' form. A sister dictionary has A = 4, G = 5: a
  vocabulary beside weights is compared.
* Pairing uses the pair itself (``base_range`` 1); the function's default, a stacking sum of 30, is used nowhere.
* The hidden width of the pairing network is the constant 6; multimolecule ties it to the number of heads.
* The pad row of the embedding is trained through the tied output head and must not be zeroed on import.
* ``<cls>`` and ``<eos>`` can be selected, and the random token is drawn from ids 4-24: letters, made-up words and
  <mask> alike. No document mentions either; both are fields of the masking section, upstream values in ``quirks``.
* The loss is a mean per micro-batch weighted by its number of sequences, so short sequences weigh more; a quirk too.
* Longest input: multimolecule's prose says 1024 nt, the code 1024 tokens with <cls> and <eos>, so 1022 nt.
* Segment table, pooler and sentence projection are in the file and in no loss (593,664 parameters).
"""

from typing import Any

from pretrain.families.bert_keys import bert_pooler
from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.families.own_code import OWN_FORMS
from pretrain.families.paper import Paper
from pretrain.models.transformer.settings import TransformerSettings

_SENTENCE = "encoder.sentence_encoder."
_LAYER = _SENTENCE + "layers.{i}."

UPSTREAM_KEYS = KeyLayout(
    rules=(
        KeyRule(_SENTENCE + "embed_tokens.weight", "encoder.embeddings.word.weight"),
        KeyRule(_SENTENCE + "emb_layer_norm.{wb}", "encoder.embeddings.norm.{wb}"),
        KeyRule("encoder.twod_proj.linear1.{wb}", "encoder.pairing.hidden.{wb}"),
        KeyRule("encoder.twod_proj.linear2.{wb}", "encoder.pairing.output.{wb}"),
        KeyRule(_LAYER + "self_attn.q_proj.{wb}", "encoder.layers.{i}.attention.query.{wb}"),
        KeyRule(_LAYER + "self_attn.k_proj.{wb}", "encoder.layers.{i}.attention.key.{wb}"),
        KeyRule(_LAYER + "self_attn.v_proj.{wb}", "encoder.layers.{i}.attention.value.{wb}"),
        KeyRule(_LAYER + "self_attn.out_proj.{wb}", "encoder.layers.{i}.attention.output.{wb}"),
        KeyRule(_LAYER + "self_attn_layer_norm.{wb}", "encoder.layers.{i}.attention_norm.{wb}"),
        KeyRule(_LAYER + "fc1.{wb}", "encoder.layers.{i}.mlp.up.{wb}"),
        KeyRule(_LAYER + "fc2.{wb}", "encoder.layers.{i}.mlp.down.{wb}"),
        KeyRule(_LAYER + "final_layer_norm.{wb}", "encoder.layers.{i}.mlp_norm.{wb}"),
        KeyRule("encoder.lm_head_transform_weight.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("encoder.layer_norm.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("encoder.lm_output_learned_bias", "mlm_head.bias"),
        KeyRule(_SENTENCE + "segment_embeddings.weight", "unused.segment.weight", optional=True),
        KeyRule("encoder.masked_lm_pooler.{wb}", "unused.pooler.{wb}", optional=True),
        KeyRule("encoder.sentence_projection_layer.weight", "unused.sentence_projection.weight", optional=True),
    ),
    ignorable=(_SENTENCE + "embed_positions._float_tensor",),
)

# Our remote code keeps our own names: the encoder is the base model, the output head stands beside it.
OWN_KEYS = KeyLayout(
    rules=tuple(KeyRule(rule.ours, rule.ours) for rule in UPSTREAM_KEYS.rules if not rule.ours.startswith("unused."))
)


def _unused(settings: Any) -> dict[str, tuple[int, ...]]:
    width = settings.hidden_size
    return bert_pooler(settings) | {"segment.weight": (2, width), "sentence_projection.weight": (2, width)}


ERNIE_RNA = Family(
    name="ernie_rna",
    settings=TransformerSettings(
        vocab_size=25,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=1024,
        pad_token_id=1,
        mask_token_id=24,
        base_token_ids=(5, 7, 4, 6),
        layer_norm_eps=1e-5,
        position_embedding_type="sinusoidal",
        position_offset=2,
        pairing_bias=True,
    ),
    tokenizer="ernie_rna",
    max_tokens=1024,
    parameters=85_667_449,
    unused_parameters=593_664,
    upstream=UPSTREAM_KEYS,
    ports=(OWN_KEYS,),
    hugging_face=OWN_FORMS["transformer"],
    unused_shapes=_unused,
    recipe_file="ernie",
    recipe_ranks=24,
    license="mit",
    paper=Paper(
        "yin2025ernierna",
        "Yin and others",
        "ERNIE-RNA: an RNA language model with structure-enhanced representations",
        "Nature Communications",
        2025,
        "10.1038/s41467-025-64972-0",
    ),
    notes=("The pairing network always runs in float32, whatever the model's dtype.",),
    quirks={
        "masking.specials_selectable": True,
        "masking.random_ids": "vocabulary_from:4",
        "objectives.reduction": "sequence_weighted",
    },
)
