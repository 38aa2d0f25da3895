"""What must not change between the parts of one run."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from pretrain.errors import PolymeraseError
from pretrain.training.components import RunComponents

# what --allow-change may name
OVERRIDABLE = ("family", "vocabulary", "corpus", "reading", "objectives", "batch", "masking", "optimizer")


def run_signature(components: RunComponents) -> dict[str, Any]:
    """Facts a checkpoint remembers, by the name under which a change can be allowed (or not)."""
    config = components.config
    return {
        "family": components.family.name,
        "vocabulary": _vocabulary(components.tokenizer.vocab),
        "model": {key: value for key, value in asdict(components.settings).items() if not key.endswith("_prob")},
        "seed": config.run.seed,
        "corpus": {corpus.folder.name: corpus.fingerprint for corpus in components.corpora},
        "reading": {  # with these the stream of samples is cut, cropped and mixed
            **config.corpus.model_dump(mode="json", exclude={"path", "extra"}),
            "extra_weights": [extra.weight for extra in config.corpus.extra],
        },
        "objectives": {name: section.model_dump(mode="json") for name, section in config.objectives.active().items()},
        "masking": config.masking.model_dump(mode="json"),
        "batch": config.batch.model_dump(mode="json", exclude={"accumulation", "micro_batches_per_step"}),
        "optimizer": config.optimizer.name,
    }


def check_compatible(before: dict[str, Any], now: dict[str, Any], allowed: list[str], run_dir: str) -> list[str]:
    """Compare a checkpoint's identity with the run's. Returns the changes that were allowed, in words.

    Raises PolymeraseError naming what differs, or a name in ``allowed`` that may not be allowed. A corpus may move to
    another folder: only its content counts.
    """
    unknown = sorted(set(allowed) - set(OVERRIDABLE))
    if unknown:
        raise PolymeraseError(f"--allow-change {unknown[0]}: may name one of {', '.join(OVERRIDABLE)}")
    changes = []
    for name, value in now.items():
        old = before.get(name)
        if name == "corpus":
            old, value = sorted((old or {}).values()), sorted(value.values())
        if _plain(old) == _plain(value):
            continue
        what = f"{name} was {_short(_unlike(old, value))}, is now {_short(_unlike(value, old))}"
        if name not in allowed:
            hint = f"pass --allow-change {name}, " if name in OVERRIDABLE else ""
            raise PolymeraseError(
                f"{run_dir}: the checkpoint does not fit this run: {what}; {hint}restore the old setting, or "
                "start anew with another run.dir"
            )
        changes.append(what)
    return changes


def _vocabulary(tokens: tuple[str, ...]) -> str:
    return f"{len(tokens)} tokens with the checksum {hashlib.sha256(chr(10).join(tokens).encode()).hexdigest()[:16]}"


def _plain(value: Any) -> Any:
    """Tuples and lists are the same after a trip through JSON."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _unlike(value: Any, other: Any) -> Any:
    """Of a section, the keys that differ."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return value
    absent = object()
    return {key: inner for key, inner in value.items() if _plain(inner) != _plain(other.get(key, absent))}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 120 else f"{text[:117]}..."
