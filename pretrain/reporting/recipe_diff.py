"""How the config of a run differs from the published recipe of its family."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pretrain.config import Config, load_config
from pretrain.config.model_choice import choose
from pretrain.families import find_family
from pretrain.training.initial_weights import with_settings

# where, not what
_PLACES = ("run", "tracking", "corpus.path", "corpus.extra", "model.init_from", "model.tokenizer_file", "quirks")


class Difference(NamedTuple):
    """One key."""

    key: str
    published: Any
    here: Any


def plain(value: Any) -> str:
    """Format a value of a config for a reader; parts of a mixture and further corpora by their names."""
    if isinstance(value, dict):
        name = value.get("strategy") or value.get("path")
        said = {key: inner for key, inner in value.items() if inner is not None}
        return f"{name} (weight {value['weight']:g})" if name and "weight" in value else str(name or said)
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def recipe_of(config: Config) -> str | None:
    """Return the file name of the published recipe, without ``.yaml``; None for a model that starts from none."""
    return None if config.model.family is None else find_family(config.model.family).recipe


def differences(config: Config) -> list[Difference]:
    """List the keys whose values differ, in the order of the config; keys missing in a recipe are as in its family."""
    recipe = recipe_of(config)
    if recipe is None:
        return []
    ours = _filled(config)
    # the recipe is read with the run's tokenizer file: the one it names need not be on this machine
    file = f"model.tokenizer_file={json.dumps(ours.model.tokenizer_file)}"
    published, here = flat_config(load_config(f"{recipe}.yaml", [file])), _flat(ours)
    keys = dict.fromkeys([*here, *published])
    return [
        Difference(key, published.get(key), here.get(key))
        for key in keys
        if published.get(key) != here.get(key) and not is_place(key)
    ]


def is_place(key: str) -> bool:
    """Whether a key says where things are, not what they are."""
    return any(key == place or key.startswith(f"{place}.") for place in _PLACES)


def flat_config(config: Config) -> dict[str, Any]:
    """Dotted key -> value of everything that a config decides, the sizes that its family gives included."""
    return _flat(_filled(config))


def _filled(config: Config) -> Config:
    return with_settings(config, *choose(config.model))


def _flat(config: Config) -> dict[str, Any]:
    def walk(value: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {prefix: value}
        return {key: inner for name in value for key, inner in walk(value[name], f"{prefix}.{name}").items()}

    tree = config.model_dump(mode="json")
    return {key: value for section in tree for key, value in walk(tree[section], section).items()}
