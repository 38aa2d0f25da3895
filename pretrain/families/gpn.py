"""GPN (songlab-cal/gpn; recipes/gpn.md): masked models of unaligned genomes.

Traps of the classes are in ``models.convnet``.

Where sources disagree, and what we follow:

* Descriptions fit the class behind gpn-brassicales; the repository's default class is another one. Both are families.
* Repeat weight: 0.1 for Brassicales, 0.01 for promoters, 0 in evaluation, where repeats then do not count; losses of
  training and evaluation are not comparable upstream. Where every selected position weighs 0, the release's loss is
  NaN; here such a batch counts for nothing.
* The loss is divided by the weights of each micro-batch on its device upstream, not by those of the batch: a quirk.
* Random replacements are drawn from all 7 ids, [PAD], [MASK] and [UNK] among them: a quirk.
* N becomes [UNK], can be selected, and is a target then.
* The script's batch per device was the whole batch, by a defect of the library it ran on: 2,048 windows per update.
* Second phase: a new run from the weights alone, with a fresh optimizer and a cosine from the full rate.
* A config.json says ``layer_norm_eps`` 1e-12 and ``hidden_dropout_prob`` 0.1, inherited and read by nothing, and for
  ByteNet an ``intermediate_size`` that is not its own: tensors and the family decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.families.own_code import OWN_FORMS, untied
from pretrain.families.paper import Paper
from pretrain.models.convnet.settings import ConvNetSettings

if TYPE_CHECKING:  # a second, which listing families does not need
    from torch import Tensor

_THEIRS, _OURS = "model.encoder.{i}.", "encoder.layers.{i}."

# the class behind gpn-brassicales (model_type ConvNet)
GPN_LEGACY_KEYS = KeyLayout(
    rules=(
        KeyRule(_THEIRS + "conv.1.{wb}", _OURS + "conv.{wb}"),
        KeyRule(_THEIRS + "conv.4.{wb}", _OURS + "conv_norm.{wb}"),
        KeyRule(_THEIRS + "ffn.0.{wb}", _OURS + "mlp.{wb}"),
        KeyRule(_THEIRS + "ffn.2.{wb}", _OURS + "mlp_norm.{wb}"),
        KeyRule("cls.decoder.0.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("cls.decoder.2.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("cls.decoder.3.weight", "mlm_head.decoder.weight"),
        KeyRule("cls.decoder.3.bias", "mlm_head.bias"),
    )
)

# the current default class, and what its encoder "bytenet" has instead
_LAYER = "model.encoder.layer.{i}."
GPN_KEYS = KeyLayout(
    rules=(
        KeyRule(_LAYER + "conv.0.{wb}", _OURS + "conv_norm.{wb}"),
        KeyRule(_LAYER + "conv.2.{wb}", _OURS + "conv.{wb}"),
        KeyRule(_LAYER + "conv.5.{wb}", _OURS + "conv_output.{wb}"),
        KeyRule(_LAYER + "ffn.0.{wb}", _OURS + "mlp_norm.{wb}"),
        KeyRule(_LAYER + "ffn.1.{wb}", _OURS + "mlp.up.{wb}"),
        KeyRule(_LAYER + "ffn.3.{wb}", _OURS + "mlp.down.{wb}"),
        KeyRule("model.ln_f.{wb}", "encoder.final_norm.{wb}"),
        KeyRule("cls.transform.0.{wb}", "mlm_head.dense.{wb}"),
        KeyRule("cls.transform.2.{wb}", "mlm_head.norm.{wb}"),
        KeyRule("cls.decoder.weight", "mlm_head.decoder.weight"),
        KeyRule("cls.decoder.bias", "mlm_head.bias"),
    )
)
GPN_BYTENET_KEYS = KeyLayout(
    rules=(
        KeyRule("model.embeddings.word_embeddings.weight", "encoder.embeddings.word.weight"),
        KeyRule(_LAYER + "layer.0.{wb}", _OURS + "norm.{wb}"),
        KeyRule(_LAYER + "layer.2.{wb}", _OURS + "down.{wb}"),
        KeyRule(_LAYER + "layer.3.{wb}", _OURS + "conv_norm.{wb}"),
        KeyRule(_LAYER + "layer.6.{wb}", _OURS + "conv.{wb}"),
        KeyRule(_LAYER + "layer.8.{wb}", _OURS + "output_norm.{wb}"),
        KeyRule(_LAYER + "layer.10.{wb}", _OURS + "up.{wb}"),
        KeyRule("model.ln_f.{wb}", "encoder.final_norm.{wb}"),
        KeyRule("cls.decoder.weight", "mlm_head.decoder.weight"),
        KeyRule("cls.decoder.bias", "mlm_head.bias"),
    )
)

_VOCABULARY: dict[str, Any] = {
    "vocab_size": 7,
    "pad_token_id": 0,
    "mask_token_id": 1,
    "base_token_ids": (3, 4, 5, 6),
}
_SHAPE_KEYS = ("first_kernel_size", "dilation_base", "dilation_cycle", "dilation_max")
_UNREAD = ("layer_norm_eps", "hidden_dropout_prob")
_PNAS = Paper(
    "benegas2023gpn",
    "Benegas and Batra and Song",
    "DNA language models are powerful predictors of genome-wide variant effects",
    "Proceedings of the National Academy of Sciences",
    2023,
    "10.1073/pnas.2311219120",
)
_TRAITGYM = Paper(
    "benegas2025traitgym",
    "Benegas and Eraslan and Song",
    "Benchmarking DNA sequence models for causal regulatory variant prediction in human genetics",
    "bioRxiv",
    2025,
    "10.1101/2025.02.11.637758",
)


def _bottleneck(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Width between the linear layers of a ByteNet block."""
    conv = state.get("encoder.layers.0.conv.weight")
    return {} if conv is None else {"intermediate_size": conv.shape[0]}


def _gpn(name: str, settings: ConvNetSettings, keys: KeyLayout, parameters: int, paper: Paper, **own: Any) -> Family:
    legacy = settings.block == "post_norm"
    kernels = (
        {"kernel_size": ("first_kernel_size", "kernel_size")} if legacy else {"rest_kernel_size": ("kernel_size",)}
    )
    form = replace(
        untied(OWN_FORMS["convnet"]),
        constants={"pooler_type": "mean"},
        extra_fields=_SHAPE_KEYS,
        names={"n_layers": ("num_hidden_layers",), **kernels},
        unread=_UNREAD if settings.block == "pre_norm" else (*_UNREAD, "intermediate_size"),
    )
    return Family(
        name=name,
        settings=settings,
        tokenizer="gpn",
        max_tokens=512,
        recipe_ranks=4,
        parameters=parameters,
        upstream=keys,
        hugging_face=form,
        license="mit",
        paper=paper,
        notes=(
            "Windows of 512 nucleotides without special tokens; every letter but A, C, G and T is [UNK].",
            "No token stands for the whole sequence: the pooled output is the mean over real tokens.",
        ),
        molecule="dna",
        fine_tuning_head="mean",
        quirks={"objectives.reduction": "micro_batch_mean", "masking.random_ids": "vocabulary_from:0"},
        **own,
    )


GPN = (
    _gpn(
        "gpn_brassicales",
        ConvNetSettings(
            **_VOCABULARY,
            hidden_size=512,
            num_hidden_layers=25,
            block="post_norm",
            kernel_size=9,
            dilation_cycle=6,
            dilation_max=32,
            bias=True,
            final_norm=False,
            head_bias=True,
        ),
        GPN_LEGACY_KEYS,
        65_880_071,
        _PNAS,
    ),
    _gpn(
        "gpn_convnet",
        ConvNetSettings(**_VOCABULARY, hidden_size=512, num_hidden_layers=25, intermediate_size=2048),
        GPN_KEYS,
        93_091_328,
        _PNAS,
    ),
    _gpn(
        "gpn_promoter",
        ConvNetSettings(
            **_VOCABULARY,
            hidden_size=1024,
            num_hidden_layers=64,
            block="bytenet",
            intermediate_size=512,
            embedding="learned",
            head_transform="none",
        ),
        GPN_BYTENET_KEYS,
        152_189_952,
        _TRAITGYM,
        more_sizes=_bottleneck,
    ),
)
