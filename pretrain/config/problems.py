"""Errors of a config in one line: the key, the reason, and the nearest key that exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pretrain.config.model import config_class, keys_of
from pretrain.config.sections import Config
from pretrain.errors import nearest
from pretrain.models.architecture import ARCHITECTURES


def first_problem(error: ValidationError, tree: Mapping[str, Any], kind: type[Config]) -> str:
    """Describe the first problem; unknown keys come first, for they often cause the others."""
    problems = error.errors()
    unknown = [p for p in problems if p["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    path = _path(problem["loc"], tree)
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return _unknown(path, tree, kind)
    if problem["type"] == "missing":
        return f"key {key!r} is missing; set it in the file or as {key}=VALUE"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{key}.strategy: {problem['msg']}"
    if problem["type"] == "value_error":
        return f"{key}: {problem['msg'].removeprefix('Value error, ')}"
    if problem["type"] == "string_type" and isinstance(problem["input"], bool | int | float):
        return f"{key}: expected a text, got what YAML reads as {problem['input']!r}; write it in quotes: '{key}=\"…\"'"
    return f"{key}: {problem['msg'].lower()}, got {problem['input']!r}"


def known_keys() -> list[str]:
    """List every dotted key a config may hold. Keys inside lists are not among them: a list is given whole."""
    every = (key for name in ARCHITECTURES for key in _walk(config_class(name), ""))
    return sorted({key for key in every if ".0." not in key})


def _path(location: tuple[int | str, ...], tree: Mapping[str, Any]) -> list[str]:
    """The user's path of keys. pydantic's has one step more, the chosen class, where there are several."""
    path: list[str] = []
    node: Any = tree
    for step in map(str, location):
        if isinstance(node, Mapping) and step not in node and node.get("strategy") == step:
            continue
        path.append(step)
        if isinstance(node, Mapping):
            node = node.get(step)
        else:
            node = node[int(step)] if isinstance(node, list) and step.isdigit() and int(step) < len(node) else None
    return path


def _unknown(path: list[str], tree: Mapping[str, Any], kind: type[Config]) -> str:
    """A hint for a key that does not exist: the nearest full key, or the same name in another section."""
    key = ".".join(path)
    known = list(dict.fromkeys(_walk(kind, "")))
    wanted = ".".join("0" if step.isdigit() else step for step in path)
    if wanted in known:
        return f"key {key!r} does not belong to masking.strategy={tree['masking'].get('strategy')}"
    others = [name for name in ARCHITECTURES if path[0] == "model" and path[-1] in keys_of(name)]
    if others:
        own = tree["model"].get("architecture")
        return f"key {key!r} belongs to architecture {' and '.join(others)}, this run's is {own}; leave it out"
    section = wanted.rpartition(".")[0]
    siblings = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == section}
    close = (
        (siblings[near] if (near := nearest(path[-1], siblings, 0.6)) else None)
        or next((name for name in known if name.rpartition(".")[2] == path[-1]), None)
        or nearest(wanted, known, 0.3)
    )
    if close is None:
        return f"unknown key {key!r}; known here: {', '.join(siblings)}"
    numbers = iter([step for step in path if step.isdigit()])
    hint = ".".join(next(numbers, step) if step == "0" else step for step in close.split("."))
    return f"unknown key {key!r}; did you mean {hint!r}?"


def _walk(model: type[BaseModel], prefix: str) -> list[str]:
    """Dotted keys of a section and all below it; items of lists are written as item 0."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        item = ".0" if "list[" in str(field.annotation) else ""
        for inner in _models(field.annotation):
            keys += _walk(inner, f"{prefix}{name}{item}.")
    return keys


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
