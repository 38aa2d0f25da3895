"""From a config file and overrides to a checked :class:`Config`.

Layers, each over the one before: defaults, ``base:`` files, the file, the family's quirks (``quirks: upstream``), the
command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pretrain.config.sections import Config
from pretrain.config.yaml_file import find_config, merge, nested, parse_overrides, read_yaml
from pretrain.errors import PolymeraseError


def load_config(name: str, overrides: list[str] | None = None) -> Config:
    """Read, merge and check. Raises PolymeraseError with one line naming the key."""
    path = find_config(name)
    above = parse_overrides(overrides or [])
    tree = merge(read_yaml(path), above)
    if tree.get("quirks") == "upstream":
        tree = merge(merge(tree, _family_quirks(tree)), above)
    config = check(tree, str(path))
    if config.run.dir is None:
        config = config.model_copy(update={"run": config.run.model_copy(update={"dir": f"runs/{path.stem}"})})
    return config


def check(tree: Mapping[str, Any], where: str) -> Config:
    """A nested dictionary as a Config. ``where`` names the file in messages."""
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise PolymeraseError(f"{where}: {_first_problem(error, tree)}") from None
    _check_combinations(config, where)
    return config


def dump(config: Config) -> str:
    """The config as YAML that :func:`load_config` reads back to the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def save(config: Config, path: Path) -> None:
    """Write the resolved config, atomically."""
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(dump(config), encoding="utf-8")
    temporary.replace(path)


def _family_quirks(tree: Mapping[str, Any]) -> dict[str, Any]:
    from pretrain.families import FAMILIES

    family = FAMILIES.get((tree.get("model") or {}).get("family", "ernie_rna"))
    if family is None:
        return {}  # reported where the family is looked up
    tree_of_quirks: dict[str, Any] = {}
    for key, value in family.quirks.items():
        tree_of_quirks = merge(tree_of_quirks, nested(key, value))
    return tree_of_quirks


def _first_problem(error: ValidationError, tree: Mapping[str, Any]) -> str:
    """The first problem in words, with the nearest known key for an unknown one."""
    problems = error.errors()
    unknown = [p for p in problems if p["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    # pydantic puts the chosen class of a union into the path; a user's key path has no such step
    path = [str(part) for part in problem["loc"]]
    path = [part for i, part in enumerate(path) if not (path[i - 1 : i] == ["masking"] and _is_strategy(tree, part))]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}; {_nearest(path)}"
    if problem["type"] == "missing":
        return f"key {key!r} is missing; set it in the file or as {key}=VALUE"
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{key}.strategy: {problem['msg']}"
    return f"{key}: {problem['msg'].lower()}, got {problem['input']!r}"


def _is_strategy(tree: Mapping[str, Any], part: str) -> bool:
    masking = tree.get("masking")
    return isinstance(masking, Mapping) and masking.get("strategy") == part


def known_keys() -> list[str]:
    """Every dotted key a config may hold."""
    from typing import get_args

    from pydantic import BaseModel

    def models(annotation: Any) -> list[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [model for argument in get_args(annotation) for model in models(argument)]

    def walk(model: type[BaseModel], prefix: str) -> list[str]:
        keys = []
        for name, field in model.model_fields.items():
            keys.append(prefix + name)
            if "list[" not in str(field.annotation):
                for inner in models(field.annotation):
                    keys += walk(inner, f"{prefix}{name}.")
        return keys

    return sorted(set(walk(Config, "")))


def _nearest(path: list[str]) -> str:
    """A hint for a key that does not exist: the nearest full key, or the same name in another section."""
    known, wanted = known_keys(), ".".join(path)
    same_name = [key for key in known if key.split(".")[-1] == path[-1]]
    siblings = [key for key in known if key.rpartition(".")[0] == ".".join(path[:-1])]
    close = (
        difflib.get_close_matches(wanted, siblings, 1, 0.6)
        or same_name[:1]
        or difflib.get_close_matches(wanted, known, 1, 0.3)
    )
    return f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(siblings)}"


def _check_combinations(config: Config, where: str) -> None:
    """What each key allows by itself but not together."""
    batch, engine = config.batch, config.engine
    problems = (
        (
            batch.tokens is None and batch.sequences is None,
            "batch: set batch.tokens or batch.sequences (how large one micro-batch is)",
        ),
        (
            not config.objectives.active(),
            "objectives: none is on; set for example objectives.mlm.weight=1.0",
        ),
        (
            engine.offload_param == "cpu" and engine.zero_stage != 3,
            "engine.offload_param=cpu needs engine.zero_stage=3",
        ),
        (
            engine.offload_optimizer == "cpu" and engine.zero_stage == 0,
            "engine.offload_optimizer=cpu needs engine.zero_stage=1, 2 or 3",
        ),
        (
            config.corpus.temperature != 1.0 and config.corpus.temperature_mode == "none",
            "corpus.temperature has no effect with corpus.temperature_mode=none",
        ),
    )
    for holds, problem in problems:
        if holds:
            raise PolymeraseError(f"{where}: {problem}")


def notes(config: Config) -> list[str]:
    """What is allowed but rarely meant."""
    warmup, total, steps = config.schedule.warmup_steps, total_steps(config), config.train.steps
    found = []
    if warmup >= steps:
        found.append(f"schedule.warmup_steps={warmup} is beyond the last step: the full learning rate is never reached")
    if total < steps:
        found.append(f"schedule.total_steps={total} ends before train.steps: the rest runs at schedule.min_lr")
    return found


def total_steps(config: Config) -> int:
    """Length of the learning-rate schedule in optimiser steps."""
    return config.schedule.total_steps or config.train.steps
