"""The start of a run's model: its settings, and the weights of ``model.init_from`` if it is set."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from pretrain.config import Config
from pretrain.config.model_choice import choose, family_of, stated
from pretrain.config.sections import Model
from pretrain.errors import PolymeraseError
from pretrain.families import Family
from pretrain.families.custom import VOCABULARY_SETTINGS, ids_of, with_tokenizer
from pretrain.models import ModelSettings, architecture_of
from pretrain.models.record import to_record, with_fields
from pretrain.objectives.model import PretrainingModel
from pretrain.rng import derive_seed


def settings_of(config: Config) -> tuple[Family, ModelSettings, dict[str, Tensor] | None]:
    """Return family and settings of the model, and first weights under our names if ``model.init_from`` gives them."""
    model = config.model
    if model.init_from is None:
        return *choose(model), None
    from pretrain.importing import load_pretrained_state
    from pretrain.importing.vocabulary import extend_vocabulary, first_difference

    found, settings, state = load_pretrained_state(model.init_from)
    family = _with_tokenizer_of(model, found) if model.family is None else family_of(model)
    difference = first_difference(found, family)
    if model.extend_vocabulary and difference:
        state = extend_vocabulary(state, found, settings, family, derive_seed("new tokens", config.run.seed))
    elif found.name == family.name and difference:
        raise PolymeraseError(
            f"model.init_from: {model.init_from} was trained with other tokens than this run has: {difference}; leave "
            "model.tokenizer and model.tokenizer_file out, or give those of the weights"
        )
    elif model.extend_vocabulary:
        raise PolymeraseError(
            f"model.extend_vocabulary has no effect: {model.init_from} has all tokens of this run; leave it out"
        )
    elif found.name != family.name or architecture_of(settings).name != model.architecture:
        raise PolymeraseError(
            f"model.init_from: {model.init_from} is a {found.name} model, model.family is {family.name}; "
            f"set model.family={found.name} or use its config"
        )
    return family, _over(model, family, settings), state


def _with_tokenizer_of(model: Model, found: Family) -> Family:
    """The family of the weights, with the tokenizer that the run names, if it names one."""
    name = model.tokenizer or found.tokenizer
    options = found.tokenizer_options if name == found.tokenizer else {}
    if model.tokenizer_file is not None:
        options = {**options, "file": model.tokenizer_file}
    return with_tokenizer(found, name, options)


def _over(model: Model, family: Family, settings: ModelSettings) -> ModelSettings:
    """The settings of imported weights with the run's dropout and the run's vocabulary; all else must be as it is."""
    wanted, there = stated(model), to_record(settings)
    for name, value in wanted.items():
        free = name.endswith("_prob") or name in VOCABULARY_SETTINGS
        if not free and _plain(value) != _plain(there[name]):
            raise PolymeraseError(f"model.{name}={value}, but {model.init_from} has {there[name]}; leave the key out")
    ids = ids_of(family.build_tokenizer(), type(settings))
    ids["vocab_size"] = max(ids["vocab_size"], settings.vocab_size)  # a table may have more rows than tokens
    rates = {name: value for name, value in wanted.items() if name.endswith("_prob")}
    return with_fields(architecture_of(settings), ids | rates, settings)


def options_of(config: Config, settings: ModelSettings) -> Any:
    """Return the memory choices of the run's architecture."""
    options = architecture_of(settings).options
    return options(**{field.name: getattr(config.model, field.name) for field in fields(options)})


def with_settings(config: Config, family: Family, settings: ModelSettings) -> Config:
    """Return the config with every setting of its model, so that it reads back to the same model."""
    model = config.model
    said = {**to_record(settings), "tokenizer": family.tokenizer}
    if "file" in family.tokenizer_options:  # it may be the one that lies beside model.init_from
        said["tokenizer_file"] = family.tokenizer_options["file"]
    filled = type(model).model_validate({**model.model_dump(), **said})
    return config.model_copy(update={"model": filled})


def load_initial(model: PretrainingModel, state: dict[str, Tensor], source: str) -> None:
    """Load the trunk, of which no tensor may be missing; heads that the source does not have start fresh."""
    missing, unexpected = model.load_state_dict(state, strict=False)
    fresh = ("heads.",) if any(name.startswith("mlm_head.") for name in state) else ("heads.", "mlm_head.")
    lost = [name for name in missing if not name.startswith(fresh)]
    surplus = [name for name in unexpected if not name.startswith(("unused.", "heads."))]
    if lost or surplus:
        raise PolymeraseError(
            f"model.init_from: {source}: missing {lost[:5] or 'nothing'}, not used {surplus[:5] or 'nothing'}"
        )


def check_heads(model: PretrainingModel, state: dict[str, torch.Tensor], source: str) -> None:
    """Reject heads of ``model.init_from`` whose number of classes differs from this corpus."""
    own = model.state_dict()
    for name, tensor in state.items():
        if name.startswith("heads.") and name in own and tensor.shape != own[name].shape:
            raise PolymeraseError(
                f"model.init_from: {source}: {name} is {tuple(tensor.shape)}, but this run's corpus "
                f"needs {tuple(own[name].shape)}; remove objective_heads.safetensors there to start with a new head"
            )


def new_heads(model: PretrainingModel, state: dict[str, Tensor], source: str) -> list[str]:
    """Say which heads of the model ``model.init_from`` lacks: they start at random, as those of a new run."""
    has = {_part(name) for name in state}
    lacking = sorted({_part(name) for name in model.state_dict()} - has - {"encoder"})
    words = ["output head" if part == "mlm_head" else f"head of {part.partition('.')[2]}" for part in lacking]
    return [f"{source} has no {', no '.join(words)}: drawn anew, run.seed decides"] if words else []


def _part(name: str) -> str:
    """``encoder``, ``mlm_head``, or ``heads.<objective>``."""
    first, second, *_ = name.split(".")
    return f"{first}.{second}" if first == "heads" else first


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
