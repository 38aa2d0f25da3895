"""How the config of a run differs from the published recipe of its family."""

from __future__ import annotations

from typing import Any, NamedTuple

from pretrain.config import Config, load_config
from pretrain.families import find_family

_PLACES = ("run", "tracking", "corpus.path", "corpus.extra", "model.init_from", "quirks")  # where, not what
_SIZES = "model."


class Difference(NamedTuple):
    """One key."""

    key: str
    published: Any
    here: Any


def plain(value: Any) -> str:
    """A value of a config as a reader wants it; parts of a mixture and further corpora by their names."""
    if isinstance(value, dict):
        name = value.get("strategy") or value.get("path")
        return f"{name} (weight {value['weight']:g})" if name and "weight" in value else str(name or value)
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def recipe_of(config: Config) -> str:
    """Name of the published recipe's file, without ``.yaml``."""
    family = config.model.family
    return "ernie" if family == "ernie_rna" else family


def differences(config: Config) -> list[Difference]:
    """Keys whose values differ, in the order of the config; sizes left out of the recipe are those of the family."""
    published, here = _flat(load_config(f"{recipe_of(config)}.yaml")), _flat(config)
    settings = find_family(config.model.family).settings
    for key, value in published.items():
        if key.startswith(_SIZES) and value is None:
            published[key] = getattr(settings, key.removeprefix(_SIZES), None)
    for key, value in here.items():
        if key.startswith(_SIZES) and value is None:
            here[key] = published.get(key)
    keys = dict.fromkeys([*here, *published])
    return [
        Difference(key, published.get(key), here.get(key))
        for key in keys
        if published.get(key) != here.get(key) and not any(key == p or key.startswith(f"{p}.") for p in _PLACES)
    ]


def _flat(config: Config) -> dict[str, Any]:
    def walk(value: Any, prefix: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {prefix: value}
        return {key: inner for name in value for key, inner in walk(value[name], f"{prefix}.{name}").items()}

    tree = config.model_dump(mode="json")
    return {key: value for section in tree for key, value in walk(tree[section], section).items()}
