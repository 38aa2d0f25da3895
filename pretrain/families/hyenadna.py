"""HyenaDNA (HazyResearch/hyena-dna; recipes/hyenadna.md): causal models of single nucleotides.

Traps of the classes are in ``models.hyena``.

Where sources disagree, and what we follow:

* Window shift of the filter: 0.0 in the training code, 0.05 in everything published with the weights. 0.05 here; the
  training code's value is the quirk.
* Loss: the release counts left pads as targets; here there are none. N, [UNK] and [SEP] are targets;
  ``ignored_tokens`` of the objective leaves tokens out.
* Epoch and schedule are laid out for 1e9 nucleotides divided by the length, a nominal number: an epoch has 34,021
  windows. Recipes state steps.
* A window of a longer interval is always its beginning; ``corpus.sampling.random_start`` reads all of it.
* Text is case-sensitive upstream and lower case is [UNK]; corpora are upper-cased here.
* The embedding has 16 rows for 12 tokens. A config.json says 12, the tensors 16.
* A config.json of the hub says that the head is not tied. It was in training, and the stored copy must be equal.
* A file does not say how long the filter is, on which every value depends: ``max_seq_len`` of its config.json does.
* License of the weights: the hub's cards say BSD-3-Clause, the code is under Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pretrain.errors import PolymeraseError
from pretrain.families.family import Family
from pretrain.families.keys import KeyLayout, KeyRule
from pretrain.families.own_code import OWN_FORMS
from pretrain.families.paper import Paper
from pretrain.models.hyena.settings import HyenaSettings

if TYPE_CHECKING:  # a second, which listing families does not need
    from torch import Tensor

_LAYER, _OURS = "backbone.layers.{i}.", "encoder.layers.{i}."
_FILTER, _OUR_FILTER = _LAYER + "mixer.filter_fn.", _OURS + "mixer."
_NETWORK = _FILTER + "implicit_filter."

# names of training checkpoints; published -hf folders put "hyena." before all of them but lm_head.weight
_RULES = (
    KeyRule("backbone.embeddings.word_embeddings.weight", "encoder.embeddings.word.weight"),
    KeyRule(_LAYER + "norm1.{wb}", _OURS + "mixer_norm.{wb}"),
    KeyRule(_LAYER + "mixer.in_proj.{wb}", _OURS + "mixer.input.{wb}"),
    KeyRule(_LAYER + "mixer.short_filter.{wb}", _OURS + "mixer.short.{wb}"),
    KeyRule(_FILTER + "bias", _OUR_FILTER + "skip"),
    KeyRule(_NETWORK + "0.{wb}", _OUR_FILTER + "filter.input.{wb}"),
    KeyRule(_NETWORK + "1.freq", _OUR_FILTER + "filter.frequency"),
    KeyRule(_NETWORK + "2.{wb}", _OUR_FILTER + "filter.hidden.0.{wb}"),
    KeyRule(_NETWORK + "4.{wb}", _OUR_FILTER + "filter.hidden.1.{wb}"),
    KeyRule(_NETWORK + "6.weight", _OUR_FILTER + "filter.output.weight"),
    KeyRule(_LAYER + "mixer.out_proj.{wb}", _OURS + "mixer.output.{wb}"),
    KeyRule(_LAYER + "norm2.{wb}", _OURS + "mlp_norm.{wb}"),
    KeyRule(_LAYER + "mlp.fc1.{wb}", _OURS + "mlp.up.{wb}"),
    KeyRule(_LAYER + "mlp.fc2.{wb}", _OURS + "mlp.down.{wb}"),
    KeyRule("backbone.ln_f.{wb}", "encoder.final_norm.{wb}"),
)
# constants: positions and decay rates
_CONSTANTS = (_FILTER + "pos_emb.z", _FILTER + "pos_emb.t", _FILTER + "modulation.deltas")


def _under(prefix: str, inside: str = "") -> KeyLayout:
    """The layout with a prefix before every name, and something after ``mixer.`` and ``mlp.``."""

    def named(key: str) -> str:
        return prefix + key.replace(".mixer.", f".mixer.{inside}").replace(".mlp.", f".mlp.{inside}")

    return KeyLayout(
        rules=tuple(replace(rule, theirs=named(rule.theirs)) for rule in _RULES),
        duplicates={
            "lm_head.weight": named("backbone.embeddings.word_embeddings.weight"),  # tied in training
            **{named(_NETWORK + f"{sine}.freq"): named(_NETWORK + "1.freq") for sine in (3, 5)},  # one shared tensor
        },
        ignorable=tuple(map(named, _CONSTANTS)),
    )


HYENADNA_HUB_KEYS = _under("hyena.")
HYENADNA_TRAINING_KEYS = _under("")
HYENADNA_CHECKPOINTED_KEYS = _under("", inside="layer.")  # training runs that recomputed activations


_CONFIG_NAMES = {  # of the hub's config.json
    "d_model": ("hidden_size",),
    "n_layer": ("num_hidden_layers",),
    "d_inner": ("intermediate_size",),
    "max_seq_len": ("max_position_embeddings",),
    "emb_dim": ("filter_features",),
    "filter_order": ("filter_width",),
    "activation_freq": ("filter_frequency",),
    "short_filter_order": ("short_kernel_size",),
    "embed_dropout": ("embedding_dropout_prob",),
}
_CONFIG_CONSTANTS = {
    "architectures": ["HyenaDNAForCausalLM"], "model_type": "hyenadna", "hyena_order": 2, "num_inner_mlps": 2,
    "pad_vocab_size_multiple": 8, "train_freq": True, "use_bias": True, "vocab_size": 12, "pad_token_id": 4,
    "tie_word_embeddings": False,  # the head is stored a second time
}  # fmt: skip
_BUILT_IN: dict[str, Any] = {  # what the published class computes whatever config.json says
    "vocab_size": 16, "pad_token_id": 4,
    **{name: getattr(HyenaSettings, name) for name in
       ("filter_shift", "layer_norm_eps", "head_transform", "head_tied", "head_bias")},
}  # fmt: skip
_PAPER = Paper(
    "nguyen2023hyenadna",
    "Nguyen and Poli and Faizi and others",
    "HyenaDNA: long-range genomic sequence modeling at single nucleotide resolution",
    "Advances in Neural Information Processing Systems",
    2023,
    "10.48550/arXiv.2306.15794",
)


def _hyenadna(name: str, layers: int, width: int, max_tokens: int, parameters: int) -> Family:
    return Family(
        name=f"hyenadna_{name}",
        settings=HyenaSettings(
            vocab_size=16,
            hidden_size=width,
            num_hidden_layers=layers,
            intermediate_size=4 * width,
            max_position_embeddings=max_tokens + 2,
            pad_token_id=4,
            mask_token_id=3,
            base_token_ids=(7, 8, 9, 10),
        ),
        tokenizer="hyenadna",
        max_tokens=max_tokens,
        recipe_ranks=4,
        parameters=parameters,
        upstream=HYENADNA_HUB_KEYS,
        ports=(HYENADNA_TRAINING_KEYS, HYENADNA_CHECKPOINTED_KEYS),
        hugging_face=replace(
            OWN_FORMS["hyena"],
            extra_fields=("filter_shift",),
            names=_CONFIG_NAMES,
            unread=("vocab_size",),
        ),
        license="bsd-3-clause",
        paper=_PAPER,
        notes=(
            "Letters are case-sensitive in texts, as in the release: give upper case, or every letter is [UNK].",
            "Padding is taken out in front of every convolution; the release reads pads as tokens.",
        ),
        molecule="dna",
        fine_tuning_head="mean",
        quirks={"model.filter_shift": 0.0},
        release=_release,
    )


def _release(settings: HyenaSettings, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and config.json of a published -hf folder; PolymeraseError for a model that its class cannot be."""
    for name, built_in in _BUILT_IN.items():
        if (value := getattr(settings, name)) != built_in:
            raise PolymeraseError(
                f"the published class has model.{name}={built_in} built in, and this model was trained with "
                f"model.{name}={value}; export it under our names"
            )
    sizes = {theirs: getattr(settings, ours) for theirs, (ours,) in _CONFIG_NAMES.items()}
    return hub_tensors(settings, state), sizes | _CONFIG_CONSTANTS


HYENADNA = (
    _hyenadna("tiny_1k_d128", 2, 128, 1024, 436_096),
    _hyenadna("tiny_1k", 2, 256, 1024, 1_641_088),
    _hyenadna("small_32k", 4, 256, 32_768, 3_277_568),
    _hyenadna("medium_160k", 8, 256, 160_000, 6_550_528),
    _hyenadna("medium_450k", 8, 256, 450_000, 6_550_528),
    _hyenadna("large_1m", 8, 256, 1_000_000, 6_550_528),
)


def hub_tensors(settings: HyenaSettings, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our tensors as a published -hf folder has them: its names, its constants, the head a second time."""
    import torch

    from pretrain.models.hyena.filters import decay_rates, position_features

    tensors = {}
    for name, tensor in state.items():
        found = HYENADNA_HUB_KEYS.to_theirs(name)
        assert found is not None, f"{name} has no place in the published layout"
        tensors[found[0]] = tensor
    features = position_features(settings, torch.device("cpu"))[None]  # (1, P, F)
    rates = -decay_rates(settings, torch.device("cpu"))[None, None]  # (1, 1, D)
    for layer in range(settings.num_hidden_layers):
        names = (("hyena." + name).format(i=layer) for name in _CONSTANTS)
        tensors |= zip(names, (features, features[:, :, :1], rates), strict=True)
    tensors["lm_head.weight"] = state["encoder.embeddings.word.weight"]
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
