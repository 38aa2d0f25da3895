"""A nested dictionary as a checked :class:`Config`, its phases aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from pretrain.config.effects import check_combinations
from pretrain.config.model import with_architecture
from pretrain.config.problems import first_problem
from pretrain.config.sections import Config
from pretrain.errors import PolymeraseError


def check_sections(tree: Mapping[str, Any], where: str) -> Config:
    """The Config of a tree. ``where`` names the file in messages.

    Raises:
        PolymeraseError: one line that names the key.
    """
    for key in _empty(tree, ""):
        raise PolymeraseError(
            f"{where}: {key} is empty; give it a value (is a variable of the shell unset?) or leave the key out"
        )
    tree, kind = with_architecture(tree, where)
    try:
        config = kind.model_validate(tree)
    except ValidationError as error:
        raise PolymeraseError(f"{where}: {first_problem(error, tree, kind)}") from None
    check_combinations(config, where)
    return config


def _empty(tree: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Keys, also of items of lists, whose value is a blank text: a folder of no name would be the one we are in."""
    for key, value in tree.items():
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            yield from _empty(value, f"{prefix}{key}.")
        elif isinstance(value, str) and not value.strip():
            yield f"{prefix}{key}"
