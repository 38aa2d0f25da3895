"""From the ``model:`` section of a run to a family and the settings of its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from pretrain.config.sections import Model
from pretrain.errors import PolymeraseError
from pretrain.families import find_family
from pretrain.families.custom import VOCABULARY_SETTINGS, custom_family, ids_of, options_in_folder, with_tokenizer
from pretrain.families.family import Family
from pretrain.models.architecture import Architecture, architecture_of, find_architecture
from pretrain.models.model_settings import ModelSettings
from pretrain.models.record import field_types, with_fields
from pretrain.tokenizers import build_tokenizer


def choose(model: Model) -> tuple[Family, ModelSettings]:
    """Return family and settings of a run whose weights begin at random.

    Raises:
        PolymeraseError: settings that contradict each other or the tokenizer, that are missing, or without effect.
    """
    values = stated(model)
    if model.family is None:
        return _without_family(model, values)
    family = family_of(model)
    kind = field_types(type(family.settings))
    ids = _wide_enough({name: getattr(family.settings, name) for name in VOCABULARY_SETTINGS if name in kind}, values)
    settings = with_fields(architecture_of(family.settings), {**values, **ids}, family.settings)
    _check(model, settings, family.settings, values)
    return family, settings


def family_of(model: Model, settings: ModelSettings | None = None) -> Family:
    """Return the family of a run, with the run's tokenizer.

    A run without one has a family of its own, of these settings.
    """
    if model.family is None:
        assert settings is not None, "a model without a family is known by its settings"
        return custom_family(settings, _tokenizer_name(model), _tokenizer_options(model))
    family = find_family(model.family)
    tokenizer = model.tokenizer or family.tokenizer
    options = _tokenizer_options(model)
    if not options and model.init_from is not None:  # the file that the weights were trained with lies beside them
        options = options_in_folder(tokenizer, Path(model.init_from))
    return with_tokenizer(family, tokenizer, options)


def stated(model: Model) -> dict[str, Any]:
    """Return the settings that the section gives, as plain data."""
    given = model.model_dump()
    kind = find_architecture(str(model.architecture)).settings
    return {name: given[name] for name in field_types(kind) if given.get(name) is not None}


def _wide_enough(ids: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of a vocabulary; a table may have more rows than it has tokens (HyenaDNA: 16 rows for 12 tokens)."""
    return ids | {"vocab_size": max(ids["vocab_size"], values.get("vocab_size", 0))}


def _tokenizer_name(model: Model) -> str:
    if model.tokenizer is None:
        raise PolymeraseError(
            f"architecture={model.architecture} without a family needs a tokenizer; set model.tokenizer"
        )
    return model.tokenizer


def _tokenizer_options(model: Model) -> dict[str, Any]:
    return {} if model.tokenizer_file is None else {"file": model.tokenizer_file}


def _without_family(model: Model, values: Mapping[str, Any]) -> tuple[Family, ModelSettings]:
    architecture = find_architecture(str(model.architecture))
    tokenizer = build_tokenizer(_tokenizer_name(model), **_tokenizer_options(model))
    wanted = {**values, **_wide_enough(ids_of(tokenizer, architecture.settings), values)}
    try:
        settings = with_fields(architecture, wanted, None)
    except TypeError:
        raise PolymeraseError(
            f"architecture={architecture.name} without a family needs every size; "
            f"set model.{_first_missing(architecture, wanted)}"
        ) from None
    _check(model, settings, None, values)
    return family_of(model, settings), settings


def _first_missing(architecture: Architecture, wanted: Mapping[str, Any]) -> str:
    needed = (field for field in fields(architecture.settings) if field.default is MISSING)
    return next(field.name for field in needed if field.name not in wanted)


def _check(model: Model, settings: ModelSettings, below: ModelSettings | None, values: Mapping[str, Any]) -> None:
    """Ids as the tokenizer has them, and no key without effect."""
    for name in VOCABULARY_SETTINGS:
        own = getattr(settings, name, None)
        if name in values and _plain(values[name]) != _plain(own):
            raise PolymeraseError(f"model.{name}={values[name]}, but its tokenizer has {own}; leave the key out")
    without: dict[str, str] = getattr(settings, "idle", {})
    for name, reason in without.items():
        default = getattr(below, name, None) if below is not None else _default(settings, name)
        if name in values and getattr(settings, name) != default:
            raise PolymeraseError(f"model.{name}={values[name]} has no effect: {reason}; leave the key out")
    architecture = architecture_of(settings)
    options = architecture.options(**{name: getattr(model, name) for name in field_types(architecture.options)})
    for name, reason in architecture.idle_options(settings, options).items():
        if getattr(options, name) != getattr(architecture.options(), name):
            raise PolymeraseError(f"model.{name}={getattr(options, name)} has no effect: {reason}; leave the key out")


def _default(settings: ModelSettings, name: str) -> Any:
    return settings.__dataclass_fields__[name].default


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
