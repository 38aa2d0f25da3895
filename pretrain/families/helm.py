"""HELM (johnsonandjohnson/HELM; recipes/helm.md): codon models of mRNA, masked and causal, on GPT-2's blocks.

Where sources disagree, and what we follow:

* Without its option for positions, as in the release's own commands, the model has none, and a masked one sees a bag of
  codons. Learned positions are the default here; files without a table are read as models without positions.
* Outside its fused path the release masks attention causally whatever it is told: its masked model is causal there.
* Hierarchical losses number codons in another order than plain ones, and the release's padding test reads the wrong
  table there. Here the tree is built from names of tokens, and ids have one order.
* Soft labels of the release give the true codon the least mass; here its distance is 0.
* The loss of the causal model counts padding in the release, and does not here.
* The learning rate lags an epoch behind in the release; here it follows updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pretrain.families.family import Family, HuggingFaceForm
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.families.own_code import OWN_FORMS, untied
from pretrain.families.paper import Paper
from pretrain.models.transformer.settings import TransformerSettings

if TYPE_CHECKING:
    from torch import Tensor


def _gpt2(model: str) -> KeyLayout:
    """Names of GPT-2, whose Linear weights stand as (in, out); ``model`` is what its base model is called."""
    block, ours = model + "h.{i}.", "encoder.layers.{i}."
    parts = tuple(enumerate(("query", "key", "value")))
    return KeyLayout(
        rules=(
            KeyRule(model + "wte.weight", "encoder.embeddings.word.weight"),
            KeyRule(model + "wpe.weight", "encoder.embeddings.position.weight", optional=True),
            KeyRule(block + "ln_1.{wb}", ours + "attention_norm.{wb}"),
            *(
                KeyRule(block + f"attn.c_attn.weight[:,{n}/3]", ours + f"attention.{part}.weight", "transpose")
                for n, part in parts
            ),
            *(KeyRule(block + f"attn.c_attn.bias[{n}/3]", ours + f"attention.{part}.bias") for n, part in parts),
            KeyRule(block + "attn.c_proj.weight", ours + "attention.output.weight", "transpose"),
            KeyRule(block + "attn.c_proj.bias", ours + "attention.output.bias"),
            KeyRule(block + "ln_2.{wb}", ours + "mlp_norm.{wb}"),
            KeyRule(block + "mlp.c_fc.weight", ours + "mlp.up.weight", "transpose"),
            KeyRule(block + "mlp.c_fc.bias", ours + "mlp.up.bias"),
            KeyRule(block + "mlp.c_proj.weight", ours + "mlp.down.weight", "transpose"),
            KeyRule(block + "mlp.c_proj.bias", ours + "mlp.down.bias"),
            KeyRule(model + "ln_f.{wb}", "encoder.final_norm.{wb}"),
            KeyRule("lm_head.weight", "mlm_head.decoder.weight"),
        ),
        ignorable=(
            block + "attn.bias",
            block + "attn.masked_bias",
            "criterion.onehot_num",
            "criterion.onehot_den",
            "criterion.weights",
        ),
    )


UPSTREAM_KEYS = _gpt2("model.")
LIGHTNING_KEYS = _gpt2("model.model.")


GPT2_FORM = HuggingFaceForm(
    kind="native",
    model_type="gpt2",
    base_class="GPT2Model",
    masked_lm_class="GPT2LMHeadModel",
    keys=_gpt2("transformer."),
    constants={
        "activation_function": "gelu_new",
        "tie_word_embeddings": False,
        "embd_pdrop": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    names={
        "n_embd": ("hidden_size",),
        "n_layer": ("num_hidden_layers",),
        "n_head": ("num_attention_heads",),
        "n_inner": ("intermediate_size",),
        "n_positions": ("max_position_embeddings",),
        "layer_norm_epsilon": ("layer_norm_eps",),
        "resid_pdrop": ("hidden_dropout_prob",),
        "attn_pdrop": ("attention_probs_dropout_prob",),
    },
)


def _positions(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """A file without a table of positions is a model without positions."""
    return {} if "encoder.embeddings.position.weight" in state else {"position_embedding_type": "none"}


_MASKED = TransformerSettings(
    vocab_size=70,
    hidden_size=640,
    num_hidden_layers=10,
    num_attention_heads=4,
    intermediate_size=2560,
    max_position_embeddings=2048,
    pad_token_id=1,
    mask_token_id=68,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    layer_norm_eps=1e-5,
    embedding_norm=False,
    norm_placement="pre",
    final_norm=True,
    mlp="gelu_tanh",
    head_transform="none",
    head_tied=False,
    head_bias=False,
    initialization="gpt2",
    zero_pad_row=False,
)


def _helm(name: str, causal: bool) -> Family:
    return Family(
        name=name,
        settings=replace(_MASKED, causal=causal),
        tokenizer="codon",
        max_tokens=444,
        recipe_ranks=8,
        parameters=50_636_800,
        upstream=UPSTREAM_KEYS,
        ports=(LIGHTNING_KEYS,),
        hugging_face=GPT2_FORM if causal else replace(untied(OWN_FORMS["transformer"]), names={}),
        more_sizes=_positions,
        license="other",
        paper=Paper(
            "yazdanijahromi2025helm",
            "Yazdani-Jahromi and others",
            "HELM: hierarchical encoding for mRNA language modeling",
            "International Conference on Learning Representations",
            2025,
            "10.48550/arXiv.2410.12459",
        ),
        notes=(
            "Tokens are codons in reading frame: sequences must begin with a whole codon; one or two letters after the "
            "last one are not read.",
        ),
        fine_tuning_head="mean",
    )


HELM = (_helm("helm_mlm", causal=False), _helm("helm_clm", causal=True))
