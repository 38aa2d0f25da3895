"""What is wrong with a config, in one line: the key, the reason, and the nearest key that exists."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pretrain.config.sections import Config


def first_problem(error: ValidationError, tree: Mapping[str, Any]) -> str:
    """The first problem in words; unknown keys come first, for they often cause the others."""
    problems = error.errors()
    unknown = [p for p in problems if p["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    path = _path(problem["loc"], tree)
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return _unknown(path, tree)
    if problem["type"] == "missing":
        return f"key {key!r} is missing; set it in the file or as {key}=VALUE"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{key}.strategy: {problem['msg']}"
    if problem["type"] == "value_error":
        return f"{key}: {problem['msg'].removeprefix('Value error, ')}"
    return f"{key}: {problem['msg'].lower()}, got {problem['input']!r}"


def known_keys() -> list[str]:
    """Every dotted key a config may hold. Keys inside lists are not among them: a list is given whole."""
    return sorted({key for key in _walk(Config, "") if ".0." not in key})


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


def _unknown(path: list[str], tree: Mapping[str, Any]) -> str:
    """A hint for a key that does not exist: the nearest full key, or the same name in another section."""
    key = ".".join(path)
    known = list(dict.fromkeys(_walk(Config, "")))
    wanted = ".".join("0" if step.isdigit() else step for step in path)
    if wanted in known:
        return f"key {key!r} does not belong to masking.strategy={tree['masking'].get('strategy')}"
    section = wanted.rpartition(".")[0]
    siblings = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == section}
    close = (
        [siblings[name] for name in difflib.get_close_matches(path[-1], siblings, 1, 0.6)]
        or [name for name in known if name.rpartition(".")[2] == path[-1]][:1]
        or difflib.get_close_matches(wanted, known, 1, 0.3)
    )
    if not close:
        return f"unknown key {key!r}; known here: {', '.join(siblings)}"
    numbers = iter([step for step in path if step.isdigit()])
    near = ".".join(next(numbers, step) if step == "0" else step for step in close[0].split("."))
    return f"unknown key {key!r}; did you mean {near!r}?"


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
