"""HyenaDNA (HazyResearch/hyena-dna): causal models of single nucleotides; traps of the release in ``models.hyena``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pretrain.families.keys import KeyLayout, KeyRule
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
        prefixes=("module.", "model."),
    )


HYENADNA_HUB_KEYS = _under("hyena.")
HYENADNA_TRAINING_KEYS = _under("")
HYENADNA_CHECKPOINTED_KEYS = _under("", inside="layer.")  # training runs that recomputed activations


def hub_tensors(settings: HyenaSettings, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors as a published -hf folder has them: its names, the constants it keeps, the head a second time."""
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
