"""Settings of an imported model: sizes from the shapes of its tensors, the rest as stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin

from torch import Tensor

from pretrain.errors import PolymeraseError, nearest
from pretrain.families import Family
from pretrain.families.keys import numbers_behind
from pretrain.models import ModelSettings, architecture_of
from pretrain.models.record import field_types, with_fields


def settings_from(
    family: Family,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    overrides: Mapping[str, Any],
    source: str,
) -> ModelSettings:
    """Return the settings of the model whose tensors (our names) are ``state``.

    Args:
        family: of the model.
        state: its tensors.
        config: a config.json, as far as there is one. Its keys that no family knows are not read.
        overrides: ``model.key=value`` of the command line; they win over the config.
        source: file name for messages.

    Raises:
        PolymeraseError: a stated size differs from that of the tensors, or a size is neither stated nor readable.
    """
    architecture = architecture_of(family.settings)
    _check_known(family, overrides)
    # the pad id belongs to the tokenizer: config classes of ports carry defaults of their own
    unread = ("pad_token_id", *family.hugging_face.unread)
    of_config = {key: value for key, value in config.items() if value is not None and key not in unread}
    _check_values(family, {**of_config, **overrides}, source)
    shapes = sizes_of(family, state)
    for name, prefix in architecture.counted.items():
        if shapes[name] > len(state):
            raise PolymeraseError(f"{source}: layer {shapes[name] - 1} without the layers below it")
        if not shapes[name]:
            raise PolymeraseError(f"{source}: tensors are missing: not one layer ({prefix}0) is among them")
    try:
        own = {name: value for name, value in overrides.items() if name in field_types(architecture.settings)}
        stated = {**family.stated(of_config), **family.stated(overrides), **own}
        for name, value in shapes.items():
            if name in stated and stated[name] != value:
                raise PolymeraseError(f"{source}: {name} is stated as {stated[name]}, its tensors have {value}")
        _check_depth(family, state, shapes, stated, source)
        _check_unseen(family, shapes, stated, source)
        return with_fields(architecture, {**stated, **shapes}, family.settings)
    except (TypeError, ValueError, KeyError) as why:
        raise PolymeraseError(f"{source}: settings that make no model ({why})") from None


def sizes_of(family: Family, state: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the sizes that shapes tell, by the names of settings."""
    architecture = architecture_of(family.settings)
    sizes = {
        name: found[0]
        for name, first in architecture.dimensions.items()
        if (found := _seen(state, first, *architecture.more_places.get(name, ())))
    }
    counts = {name: max(numbers_behind(state, prefix), default=-1) + 1 for name, prefix in architecture.counted.items()}
    return sizes | counts | family.more_sizes(state)


def _seen(state: Mapping[str, Tensor], *places: tuple[str, int]) -> list[int]:
    return [state[name].shape[axis] for name, axis in places if name in state and state[name].dim() > axis]


def _check_depth(
    family: Family, state: Mapping[str, Tensor], shapes: Mapping[str, int], stated: Mapping[str, Any], source: str
) -> None:
    """Refuse a model that may have lost its last layers, because it looks like a whole one with fewer of them.

    If nobody states any size, a model as wide as the published one must be as deep, unless tensors of the release tell
    otherwise.
    """
    architecture, published = architecture_of(family.settings), family.settings
    told = family.more_sizes(state)
    seen = [name for name in architecture.dimensions if name in shapes and name not in told]
    as_wide = all(shapes[name] == getattr(published, name) for name in seen)
    fits = bool(told) and all(value == getattr(published, name) for name, value in told.items())
    trusted = fits or any(name in stated for name in (*architecture.dimensions, *architecture.counted))
    for name in architecture.counted:
        if as_wide and shapes[name] != getattr(published, name) and not trusted:
            raise PolymeraseError(
                f"{source}: {shapes[name]} layers, {family.name} has {getattr(published, name)}; "
                f"if that is meant, say model.{name}={shapes[name]}"
            )


def _check_unseen(family: Family, shapes: Mapping[str, int], stated: Mapping[str, Any], source: str) -> None:
    """What no tensor tells is as published if everything else is too; anything else would be a guess."""
    architecture, published = architecture_of(family.settings), family.settings
    seen = ("hidden_size", *architecture.counted)
    for name in architecture.unseen:
        as_published = all(shapes.get(other) == getattr(published, other) for other in seen)
        if name not in stated and name not in shapes and not as_published:
            raise PolymeraseError(
                f"{source}: {name} cannot be seen from the tensors; "
                f"add model.{name}=N or put the model's config.json beside the file"
            )


def _check_values(family: Family, stated: Mapping[str, Any], source: str) -> None:
    """Values of the kind that the settings have."""
    kinds = field_types(type(family.settings))
    sizes = {each.name for each in fields(family.settings) if each.default is MISSING and kinds[each.name] is int}
    for key, names in family.hugging_face.settings_of_key(family.settings).items():
        for said in {key, *names} & set(stated):
            value, kind = stated[said], kinds[names[0]]
            least = 1 if names[0] in sizes and not names[0].endswith("_id") else 0
            if kind is int and (type(value) is not int or value < least):
                raise PolymeraseError(
                    f"{source}: {said} is stated as {value!r}; expected a whole number from {least} up"
                )
            if kind is float and (type(value) not in (int, float) or not 0 <= value < float("inf")):
                raise PolymeraseError(f"{source}: {said} is stated as {value!r}; expected a number from 0 up")
            if get_origin(kind) is Literal and value not in get_args(kind):
                known = ", ".join(map(str, get_args(kind)))
                raise PolymeraseError(f"{source}: {said} is stated as {value!r}; there are {known}")


def _check_known(family: Family, overrides: Mapping[str, Any]) -> None:
    known = {*field_types(type(family.settings)), *family.hugging_face.settings_of_key(family.settings)}
    for key in overrides:
        if key not in known:
            raise PolymeraseError(f"model.{key}: no such setting; did you mean model.{nearest(key, known)}?")
