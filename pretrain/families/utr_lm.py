"""UTR-LM (a96123155/UTR-LM; recipes/utr_lm.md): a small ESM-2 for 5' UTRs.

Published variants share the trunk: ESM2 (mlm), ESM2SI (mlm, mfe), ESM2SS (mlm, structure), ESM2SISS (all three). Which
heads a file has is seen from its keys. File names: ``ESM2SISS_FS4.1…`` is "UTR-LM MRL", ``ESM2SI_3.1…`` is "TE/EL".

Where sources disagree, and what we follow:

* Masking: the code shows every selected nucleotide as <mask>; a model card says 80/10/10. The embedding rescale keeps
  ESM's constant 0.15 * 0.8 all the same, in training and in evaluation (factor 0.88 without masks).
* Structure labels are shifted by one column in the code: the token of nucleotide j learns the symbol of nucleotide j+1.
  Default here is aligned; ``objectives.structure.label_shift: -1`` is upstream. **Published structure heads must be
  read one column to the left.** Labeled positions: all in the code, masked ones only according to the paper's card.
* Total loss is the weighted sum (a port takes the mean). Dropout is 0 (a port: 0.1). The norm in the output head has
  eps 1e-5 (a port: 1e-12).
* The contact head (97 parameters) never got a gradient: its published weights are random numbers. Not used.
* ``supervised_linear`` is the MFE head; a card calls it a ribosome-load head.
* Batches wider than 1022 tokens lose their leading columns upstream, <cls> included. Not reproduced: crop instead.
* Files saved by the multi-GPU scripts have the prefix ``module.``; one upstream notebook loads them without stripping
  it and silently keeps random weights.
* Row 0 (pad) of the embedding does not stay 0: the tied output head trains it.
* Upstream's tokenizer raises on U, N, lower case; here U is T, case is folded, other letters are <unk> and are counted
  when a corpus is built. Energies that are missing are 1e-9 upstream, null here; headers are never evaluated as code.
* Batches: upstream counts one or two specials per sequence, keeps its batches and their order for all epochs and picks
  checkpoints by training loss. Here all tokens count, the order is new in each epoch, and sequences are held out.
* README and scripts differ in heads (6 / 16), learning rate (0.1 / 1e-5), epochs (200 / 201): see configs/utr_lm.yaml.
* Parameters: 1,208,559 with all heads, of which 97 in the contact head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pretrain.families.esm import complete_esm
from pretrain.families.family import Family, HuggingFaceForm
from pretrain.families.keys import KeyLayout, KeyRule, numbers_behind
from pretrain.families.paper import Paper
from pretrain.models.transformer.settings import TransformerSettings

if TYPE_CHECKING:
    from torch import Tensor

_THEIRS, _HF, _OURS = "layers.{i}.", "esm.encoder.layer.{i}.", "encoder.layers.{i}."

UPSTREAM_KEYS = KeyLayout(
    rules=(
        KeyRule("embed_tokens.weight", "encoder.embeddings.word.weight"),
        KeyRule(_THEIRS + "self_attn.q_proj.{wb}", _OURS + "attention.query.{wb}"),
        KeyRule(_THEIRS + "self_attn.k_proj.{wb}", _OURS + "attention.key.{wb}"),
        KeyRule(_THEIRS + "self_attn.v_proj.{wb}", _OURS + "attention.value.{wb}"),
        KeyRule(_THEIRS + "self_attn.out_proj.{wb}", _OURS + "attention.output.{wb}"),
        KeyRule(_THEIRS + "self_attn_layer_norm.{wb}", _OURS + "attention_norm.{wb}"),
        KeyRule(_THEIRS + "fc1.{wb}", _OURS + "mlp.up.{wb}"),
        KeyRule(_THEIRS + "fc2.{wb}", _OURS + "mlp.down.{wb}"),
        KeyRule(_THEIRS + "final_layer_norm.{wb}", _OURS + "mlp_norm.{wb}"),
        KeyRule("emb_layer_norm_after.{wb}", "encoder.final_norm.{wb}"),
        KeyRule("lm_head.dense.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("lm_head.layer_norm.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("lm_head.bias", "mlm_head.bias"),
        KeyRule("structure_linear.{wb}", "heads.structure.linear.{wb}", optional=True),
        KeyRule("supervised_linear.{wb}", "heads.mfe.linear.{wb}", optional=True),
        KeyRule("contact_head.regression.{wb}", "unused.contact_head.{wb}", optional=True),
    ),
    duplicates={"lm_head.weight": "embed_tokens.weight"},
    ignorable=(_THEIRS + "self_attn.rot_emb.inv_freq",),
)

# structure and mfe heads have no place in EsmForMaskedLM; the exporter keeps them in a file of their own
ESM_KEYS = KeyLayout(
    rules=(
        KeyRule("esm.embeddings.word_embeddings.weight", "encoder.embeddings.word.weight"),
        KeyRule(_HF + "attention.self.query.{wb}", _OURS + "attention.query.{wb}"),
        KeyRule(_HF + "attention.self.key.{wb}", _OURS + "attention.key.{wb}"),
        KeyRule(_HF + "attention.self.value.{wb}", _OURS + "attention.value.{wb}"),
        KeyRule(_HF + "attention.output.dense.{wb}", _OURS + "attention.output.{wb}"),
        KeyRule(_HF + "attention.LayerNorm.{wb}", _OURS + "attention_norm.{wb}"),
        KeyRule(_HF + "intermediate.dense.{wb}", _OURS + "mlp.up.{wb}"),
        KeyRule(_HF + "output.dense.{wb}", _OURS + "mlp.down.{wb}"),
        KeyRule(_HF + "LayerNorm.{wb}", _OURS + "mlp_norm.{wb}"),
        KeyRule("esm.encoder.emb_layer_norm_after.{wb}", "encoder.final_norm.{wb}"),
        KeyRule("lm_head.dense.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("lm_head.layer_norm.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("lm_head.bias", "mlm_head.bias"),
        KeyRule("esm.contact_head.regression.{wb}", "unused.contact_head.{wb}", optional=True),
    ),
    duplicates={"lm_head.decoder.weight": "esm.embeddings.word_embeddings.weight"},
    ignorable=(
        "esm.rotary_embeddings.inv_freq",
        _HF + "attention.self.rotary_embeddings.inv_freq",
        "esm.embeddings.position_ids",
        "esm.pooler.dense.{wb}",  # EsmModel draws one, and saves it, where there is none
    ),
)


def _contact_head(settings: Any) -> dict[str, tuple[int, ...]]:
    """One weight per head and layer."""
    return {
        "contact_head.weight": (1, settings.num_hidden_layers * settings.num_attention_heads),
        "contact_head.bias": (1,),
    }


def _heads_of_contacts(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Attention heads, which no other tensor tells, from the contact head."""
    layers = len(numbers_behind(state, "encoder.layers."))
    contact = state.get("unused.contact_head.weight")
    if contact is None or contact.dim() != 2 or not layers or contact.shape[1] % layers:
        return {}
    return {"num_attention_heads": contact.shape[1] // layers}


UTR_LM = Family(
    name="utr_lm",
    settings=TransformerSettings(
        vocab_size=10,
        hidden_size=128,
        num_hidden_layers=6,
        num_attention_heads=16,
        intermediate_size=512,
        max_position_embeddings=1026,
        pad_token_id=0,
        mask_token_id=8,
        base_token_ids=(3, 5, 4, 6),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        position_embedding_type="rotary",
        norm_placement="pre",
        embedding_norm=False,
        final_norm=True,
        token_dropout=True,
        initialization="esm",
    ),
    tokenizer="utr_lm",
    max_tokens=1022,
    recipe_ranks=4,
    parameters=1_208_462,
    unused_parameters=97,
    upstream=UPSTREAM_KEYS,
    hugging_face=HuggingFaceForm(
        kind="native",
        model_type="esm",
        base_class="EsmModel",
        masked_lm_class="EsmForMaskedLM",
        keys=ESM_KEYS,
        constants={
            "hidden_act": "gelu",
            "position_embedding_type": "rotary",
            "token_dropout": True,
            "emb_layer_norm_before": False,
            "is_folding_model": False,
            "tie_word_embeddings": True,
        },
        extra_fields=("mask_token_id",),
        names={},
        complete=complete_esm,
    ),
    heads=("mlm", "structure", "mfe"),
    unused_shapes=_contact_head,
    more_sizes=_heads_of_contacts,
    paper=Paper(
        "chu2024utrlm",
        "Chu and others",
        "A 5' UTR language model for decoding untranslated regions of mRNA and function predictions",
        "Nature Machine Intelligence",
        2024,
        "10.1038/s42256-024-00823-9",
    ),
    notes=(
        "EsmModel's contact head is not trained by any UTR-LM recipe; do not use it.",
        "Letters: T is the token, U is read as T.",
    ),
    fine_tuning_head="two_layers",
    quirks={"objectives.structure.label_shift": -1, "objectives.reduction": "micro_batch_mean"},
)
