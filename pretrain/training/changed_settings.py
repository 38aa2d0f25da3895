"""Settings that differ when a run continues: none of them stops it, all of them are printed and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretrain.config import Config, load_config
from pretrain.config.model_choice import family_of
from pretrain.errors import PolymeraseError
from pretrain.runs.checkpoint import read_state
from pretrain.training.compatibility import settings_of_checkpoint
from pretrain.training.initial_weights import with_settings
from pretrain.training.schedule import learning_rate

_OF_NO_CONSEQUENCE = ("run.dir", "tracking.", "quirks")


def former_config(checkpoint: Path) -> Config | None:
    """Return the last config that the run of a checkpoint was started with; None if it is gone or unreadable.

    It holds every setting of the model, also those that no run recorded when it was written.
    """
    try:
        config = load_config(str(checkpoint.parents[1] / "config.yaml"))
        settings = settings_of_checkpoint(config, read_state(checkpoint)["identity"])
        return with_settings(config, family_of(config.model, settings), settings)
    except PolymeraseError:
        return None


def changes(before: Config, now: Config) -> dict[str, tuple[Any, Any]]:
    """Return dotted key -> value before and now."""
    old, new = _flat(before.model_dump(mode="json")), _flat(now.model_dump(mode="json"))
    keys = [*old, *(key for key in new if key not in old)]
    return {
        key: (old.get(key), new.get(key))
        for key in keys
        if old.get(key) != new.get(key) and not key.startswith(_OF_NO_CONSEQUENCE)
    }


def describe(found: Mapping[str, tuple[Any, Any]], before: Config, now: Config, step: int) -> str:
    """Format one line with every key, and the step at which the learning rate jumps."""
    parts = [f"{key} {_short(old)} -> {_short(new)}" for key, (old, new) in found.items()]
    old_rate, new_rate = learning_rate(before)(step), learning_rate(now)(step)
    if abs(old_rate - new_rate) > 1e-3 * max(old_rate, new_rate):
        parts.append(f"the next update's learning rate {old_rate:.3g} -> {new_rate:.3g}")
    return "changed since the checkpoint: " + ", ".join(parts)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
