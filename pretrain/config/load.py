"""From a config file and overrides to a checked :class:`Config`.

Layers, each over the one before: defaults, ``base:`` files, the file, the family's quirks (``quirks: upstream``), the
command line. The result says ``quirks: applied``, so that the saved config of a run reads back as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pretrain.config.checked import check_sections
from pretrain.config.model import DEFAULT_FAMILY
from pretrain.config.phases import check_phases, phases_of
from pretrain.config.sections import Config
from pretrain.config.yaml_file import as_yaml, find_config, merge, nested, parse_overrides, read_yaml
from pretrain.errors import PolymeraseError
from pretrain.masking.settings import MaskingSettings

_PARTS = "masking.parts."  # quirks of a strategy that is a part of a mixture: masking.parts.STRATEGY.KEY


def load_config(name: str, overrides: list[str] | None = None) -> Config:
    """Read, merge and check a config.

    Raises:
        PolymeraseError: one line that names the key.
    """
    path = find_config(name)
    above = parse_overrides(overrides or [])
    tree = merge(read_yaml(path), above)
    if tree.get("quirks") == "upstream":
        quirks = _family_quirks(tree)
        tree = merge(merge(tree, _of_sections(quirks, tree)), above) | {"quirks": "applied"}
        tree = _with_quirks_of_parts(tree, quirks, above)
    config = check(tree, str(path))
    if config.run.dir is None:
        config = config.model_copy(update={"run": config.run.model_copy(update={"dir": f"runs/{path.stem}"})})
    return config


def check(tree: Mapping[str, Any], where: str) -> Config:
    """Check a nested dictionary and its phases; return it as a Config. ``where`` names the file in messages."""
    config = check_sections(tree, where)
    check_phases(config, where)
    return config


def dump(config: Config) -> str:
    """Return the config as YAML that :func:`load_config` reads back to the same config."""
    return as_yaml(config.model_dump(mode="json"))


def save(config: Config, path: Path) -> None:
    """Write the resolved config, atomically."""
    from data_prep.corpus.files import write_atomic

    write_atomic(path, dump(config).encode())


def _family_quirks(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    from pretrain.families import FAMILIES

    model = tree.get("model", {})
    family = FAMILIES.get(model.get("family") or DEFAULT_FAMILY) if isinstance(model, Mapping) else None
    return family.quirks if family else {}  # an unknown family is reported where it is looked up


def _of_sections(quirks: Mapping[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Those that belong to a key of this run, as a nested dictionary."""
    found: dict[str, Any] = {}
    for key, value in quirks.items():
        of_parts = key.startswith(_PARTS)
        if not (of_parts or _is_of_objective_that_is_off(key, tree) or _is_of_another_strategy(key, tree)):
            found = merge(found, nested(key, value))
    return found


def _with_quirks_of_parts(tree: dict[str, Any], quirks: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``masking.parts.STRATEGY.KEY`` is of the parts of that strategy in a mixture, or of that strategy alone.

    Keys that the command line gives win; a part that it gives has the quirks of its strategy besides.
    """
    masking, given = tree.get("masking"), above.get("masking")
    values: dict[str, dict[str, Any]] = {}
    for key, value in quirks.items():
        if key.startswith(_PARTS):
            strategy, name = key.removeprefix(_PARTS).split(".")
            values.setdefault(strategy, {})[name] = value
    if not isinstance(masking, Mapping) or not values:
        return tree
    given = given if isinstance(given, Mapping) else {}
    parts = masking.get("parts")
    if masking.get("strategy") != "mixture" or not isinstance(parts, list):
        return tree | {"masking": {**masking, **values.get(str(masking.get("strategy")), {}), **given}}

    def quirky(part: Any) -> Any:
        if not isinstance(part, Mapping):
            return part
        own = values.get(str(part.get("strategy")), {})
        return own | dict(part) if "parts" in given else dict(part) | own

    return tree | {"masking": {**masking, "parts": [quirky(part) for part in parts]}}


def _is_of_objective_that_is_off(key: str, tree: Mapping[str, Any]) -> bool:
    """Setting ``objectives.NAME.KEY`` would switch NAME on."""
    section, *path = key.split(".")
    on = tree.get("objectives")
    return section == "objectives" and len(path) > 1 and isinstance(on, Mapping) and on.get(path[0]) is None


def _is_of_another_strategy(key: str, tree: Mapping[str, Any]) -> bool:
    """Quirks of ``masking`` are those of the family's own strategy; another one, or a mixture, may lack the key."""
    section, _, name = key.partition(".")
    masking = tree.get("masking")
    if section != "masking" or not isinstance(masking, Mapping):
        return False
    strategies = {known.model_fields["strategy"].default: known for known in get_args(get_args(MaskingSettings)[0])}
    chosen = strategies.get(masking.get("strategy"))
    return chosen is not None and name not in chosen.model_fields


def notes(config: Config) -> list[str]:
    """List settings that are allowed but rarely meant."""
    found = _phases_left_out(config) + _patience_too_long(config)
    for phase in phases_of(config):
        if phase.first_step != phase.schedule_from:
            continue  # its schedule is that of the phase before
        schedule, steps = phase.config.schedule, phase.schedule_until - phase.schedule_from
        of = f" of phase {phase.number}" if config.train.phases else ""
        if schedule.warmup_steps >= steps:
            found.append(
                f"schedule.warmup_steps={schedule.warmup_steps}{of} is not below the number of steps: "
                "the full learning rate is never reached"
            )
        if schedule.warmup_steps < phase.schedule_steps < schedule.warmup_steps + schedule.decay_steps:
            found.append(
                f"schedule.decay_steps={schedule.decay_steps}{of} is more than the {phase.schedule_steps} steps leave "
                f"after schedule.warmup_steps={schedule.warmup_steps}: the rate falls at once when the warm-up ends"
            )
        if phase.schedule_steps < steps:
            end = "the phases with that schedule do" if config.train.phases else "train.steps"
            found.append(
                f"schedule.total_steps={phase.schedule_steps}{of} ends before {end}: the rest runs at schedule.min_lr"
            )
    return found


def _patience_too_long(config: Config) -> list[str]:
    """Say that the run is over before the evaluations that ``train.patience`` waits for."""
    train = config.train
    if not train.patience:
        return []
    before_the_end = (train.steps - 1) // train.eval_every + max(len(train.phases) - 1, 0)
    if before_the_end > train.patience:  # the first one is always the best so far
        return []
    return [
        f"train.patience={train.patience} cannot end this run early: there are {before_the_end} evaluations before its "
        f"last step (train.eval_every={train.eval_every}, train.steps={train.steps})"
    ]


def _phases_left_out(config: Config) -> list[str]:
    """Say that the recipe's phases do not hold here, where another length of the run replaced them (``merge``)."""
    from pretrain.families import FAMILIES

    family = FAMILIES.get(config.model.family or "")
    if family is None or config.train.phases:
        return []
    try:
        recipe = read_yaml(find_config(f"{family.recipe}.yaml"))
    except PolymeraseError:  # a plug-in may bring a family without a recipe
        return []
    lengths = [phase["steps"] for phase in recipe.get("train", {}).get("phases") or []]
    if not lengths:
        return []
    return [
        f"{family.recipe}.yaml trains in {len(lengths)} phases ({', '.join(f'{steps:,}' for steps in lengths)} steps), "
        f"this run of {config.train.steps:,} steps in one; to train in phases, write train.phases with lengths for "
        "this run"
    ]
