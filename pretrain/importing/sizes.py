"""Encoder settings of an imported model: sizes from the shapes of its tensors, the rest from what somebody stated."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.families.family import CONFIG_FIELDS
from pretrain.models import ModelSettings
from pretrain.models.transformer.mlp import ACTIVATIONS

_STATABLE = (*CONFIG_FIELDS, "hidden_act", "rope_theta", "rope_scaling")
_WHOLE_NUMBERS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_NUMBERS = (
    "layer_norm_eps",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
    "rope_theta",
)
_DIMENSIONS = {  # setting -> (our tensor, its dimension)
    "vocab_size": ("encoder.embeddings.word.weight", 0),
    "hidden_size": ("encoder.embeddings.word.weight", 1),
    "intermediate_size": ("encoder.layers.0.mlp.up.weight", 0),
    "max_position_embeddings": ("encoder.embeddings.position.weight", 0),
    "type_vocab_size": ("encoder.embeddings.segment.weight", 0),
    "num_attention_heads": ("encoder.pairing.output.weight", 0),
}


def settings_from(
    family: Family,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    overrides: Mapping[str, Any],
    source: str,
) -> ModelSettings:
    """Settings of the model whose tensors (our names) are ``state``.

    Args:
        config: a config.json, as far as there is one. Its keys that no family knows are not read.
        overrides: ``model.key=value`` of the command line; they win over the config.
        source: file name for messages.

    Raises:
        PolymeraseError: a size is stated otherwise than the tensors have it, or is neither stated nor readable.
    """
    _check_known(overrides)
    # the pad id belongs to the tokenizer: config classes of ports carry defaults of their own
    stated = {key: value for key, value in config.items() if value is not None and key != "pad_token_id"}
    stated |= overrides
    _check_values(stated, source)
    shapes = sizes_of(state)
    if shapes["num_hidden_layers"] > len(state):
        raise PolymeraseError(f"{source}: layer {shapes['num_hidden_layers'] - 1} without the layers below it")
    for key, value in shapes.items():
        if key in stated and stated[key] != value:
            raise PolymeraseError(f"{source}: {key} is stated as {stated[key]}, its tensors have {value}")
    _check_layers(family, state, shapes, stated, source)
    if "num_attention_heads" not in stated | shapes:
        shapes["num_attention_heads"] = _published_heads(family, shapes, source)
    try:
        return family.resized({**stated, **shapes})
    except (TypeError, ValueError) as why:
        raise PolymeraseError(f"{source}: settings that make no model ({why})") from None


def sizes_of(state: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes that shapes tell, under the names of transformers configs."""
    sizes = {
        key: state[name].shape[dimension]
        for key, (name, dimension) in _DIMENSIONS.items()
        if name in state and state[name].dim() > dimension
    }
    sizes["num_hidden_layers"] = max(layer_numbers(state), default=-1) + 1
    layers = sizes["num_hidden_layers"]
    contact = state.get("unused.contact_head.weight")  # UTR-LM: one weight per head and layer
    if contact is not None and contact.dim() == 2 and layers and contact.shape[1] % layers == 0:
        sizes["num_attention_heads"] = contact.shape[1] // layers
    return sizes


def layer_numbers(state: Mapping[str, Tensor]) -> set[int]:
    """Numbers of the layers that have any tensor."""
    return {int(found[1]) for name in state if (found := re.match(r"encoder\.layers\.(\d+)\.", name))}


def _check_layers(
    family: Family, state: Mapping[str, Tensor], shapes: Mapping[str, int], stated: Mapping[str, Any], source: str
) -> None:
    """A file that lost its last layers looks like a whole model with fewer of them: where nobody states any size, a
    model as wide as the published one must be as deep, or have a contact head for just these layers."""
    layers, published = shapes["num_hidden_layers"], family.settings
    if not layers:
        raise PolymeraseError(f"{source}: tensors are missing: not one layer of an encoder is among them")
    as_wide = all(shapes.get(key) == getattr(published, key) for key in ("hidden_size", "intermediate_size"))
    fits_contacts = "unused.contact_head.weight" in state and (
        shapes.get("num_attention_heads") == published.num_attention_heads
    )
    trusted = fits_contacts or any(key in stated for key in _WHOLE_NUMBERS)
    if as_wide and layers != published.num_hidden_layers and not trusted:
        raise PolymeraseError(
            f"{source}: {layers} layers, {family.name} has {published.num_hidden_layers}; "
            f"if that is meant, say model.num_hidden_layers={layers}"
        )


def _published_heads(family: Family, shapes: Mapping[str, int], source: str) -> int:
    """The published number of heads, if everything else has the published size too; anything else would be a guess."""
    published = family.settings
    if any(shapes.get(key) != getattr(published, key) for key in ("hidden_size", "num_hidden_layers")):
        raise PolymeraseError(
            f"{source}: the number of attention heads cannot be seen from the tensors; "
            "add model.num_attention_heads=N or put the model's config.json beside the file"
        )
    return published.num_attention_heads


def _check_values(stated: Mapping[str, Any], source: str) -> None:
    for key in _WHOLE_NUMBERS:
        if key in stated and (type(stated[key]) is not int or stated[key] < 1):
            raise PolymeraseError(f"{source}: {key} is stated as {stated[key]!r}, which is no positive whole number")
    for key in _NUMBERS:
        if key in stated and (type(stated[key]) not in (int, float) or not 0 <= stated[key] < float("inf")):
            raise PolymeraseError(f"{source}: {key} is stated as {stated[key]!r}, which is no number from 0 up")
    if stated.get("hidden_act", "gelu") not in tuple(ACTIVATIONS):
        raise PolymeraseError(
            f"{source}: hidden_act is stated as {stated['hidden_act']!r}; there are {', '.join(ACTIVATIONS)}"
        )


def _check_known(overrides: Mapping[str, Any]) -> None:
    for key in overrides:
        if key not in _STATABLE:
            nearest = difflib.get_close_matches(key, _STATABLE, 1, 0)[0]
            raise PolymeraseError(f"model.{key}: no such setting; did you mean model.{nearest}?")
