"""A nested dictionary as a checked :class:`Config`, its phases aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from data_prep.formats.file_names import at_home
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
    for key, text in _texts(tree, ""):
        if not text.strip():
            raise PolymeraseError(
                f"{where}: {key} is empty; give it a value (is a variable of the shell unset?) or leave the key out"
            )
        if text.startswith("$"):
            raise PolymeraseError(
                f"{where}: {key}: variables of the shell are not replaced in a config, got {text!r}; write the value "
                f'there, or give {key}="{text}" on the command line'
            )
    tree, kind = with_architecture(_at_home(tree), where)
    try:
        config = kind.model_validate(tree)
    except ValidationError as error:
        raise PolymeraseError(f"{where}: {first_problem(error, tree, kind)}") from None
    check_combinations(config, where)
    return config


def _at_home(value: Any) -> Any:
    """The same with the home folder where a text begins with ``~/``: the saved config is read from other places."""
    if isinstance(value, Mapping):
        return {key: _at_home(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_at_home(inner) for inner in value]
    return at_home(value) if isinstance(value, str) and value.startswith("~/") else value


def _texts(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Keys, also of items of lists, whose value is a text. A blank one would mean the folder that we are in."""
    for key, value in tree.items():
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            yield from _texts(value, f"{prefix}{key}.")
        elif isinstance(value, str):
            yield f"{prefix}{key}", value
