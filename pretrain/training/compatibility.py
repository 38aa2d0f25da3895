"""Settings that must not change between the parts of one run."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pretrain.config import Config
from pretrain.config.model_choice import stated
from pretrain.errors import PolymeraseError
from pretrain.families import find_family
from pretrain.models import ModelSettings
from pretrain.models.record import from_record, to_record
from pretrain.tokenizers import Measured, Tokenizer
from pretrain.training.components import RunComponents

# what --allow-change may name
OVERRIDABLE = ("family", "vocabulary", "corpus", "reading", "objectives", "batch", "masking", "optimizer")


def run_signature(components: RunComponents) -> dict[str, Any]:
    """Return the facts a checkpoint remembers, by the name under which a change can be allowed (or not)."""
    config = components.config
    return {
        "family": components.family.name,
        "vocabulary": _vocabulary(components.tokenizer),
        "model": _without_rates(to_record(components.settings)),
        "seed": config.run.seed,
        "corpus": {corpus.folder.name: corpus.fingerprint for corpus in components.corpora},
        "reading": {  # with these the stream of samples is cut, cropped and mixed
            **config.corpus.model_dump(mode="json", exclude={"path", "extra"}),
            "extra_weights": [extra.weight for extra in config.corpus.extra],
            "held_out_by_the_mixture": components.held_out.counts,
        },
        "objectives": {name: section.model_dump(mode="json") for name, section in config.objectives.active().items()},
        "masking": config.masking.model_dump(mode="json"),
        "batch": config.batch.model_dump(mode="json", exclude={"accumulation", "micro_batches_per_step"}),
        "optimizer": config.optimizer.name,
    }


def settings_of_checkpoint(config: Config, signature: Mapping[str, Any]) -> ModelSettings:
    """Return the model settings of a checkpoint: its signature's, with the dropout of the run's config."""
    below = None if config.model.family is None else find_family(config.model.family).settings
    rates = {name: value for name, value in stated(config.model).items() if name.endswith("_prob")}
    return from_record({**signature["model"], **rates}, below)


def signature_of_today(signature: dict[str, Any], components: RunComponents) -> dict[str, Any]:
    """Complete a checkpoint's signature: settings and keys newer than the checkpoint have their defaults."""
    config, result = components.config, dict(signature)
    with contextlib.suppress(PolymeraseError, TypeError):  # of another architecture, or damaged: shown as it is
        result["model"] = _without_rates(to_record(from_record(signature["model"], components.family.settings)))
    of_mixtures = ("extra_weights", "held_out_by_the_mixture")
    reading = {name: value for name, value in signature["reading"].items() if name not in of_mixtures}
    result["reading"] = {
        "held_out_by_the_mixture": [],
        **signature["reading"],
        **_filled(reading, config.corpus, {"path", "extra"}),
    }
    result["batch"] = _filled(signature["batch"], config.batch, {"accumulation", "micro_batches_per_step"})
    result["masking"] = _filled(signature["masking"], config.masking, set())
    active = config.objectives.active()
    result["objectives"] = {
        name: _filled(section, active[name], set()) if name in active else section
        for name, section in signature["objectives"].items()
    }
    return result


def _filled(before: dict[str, Any], now: BaseModel, exclude: set[str]) -> dict[str, Any]:
    """The section as it was, with the defaults of keys that it lacks; as it was where it is of another kind."""
    try:
        return type(now).model_validate_json(json.dumps(before)).model_dump(mode="json", exclude=exclude)
    except ValidationError:
        return before


def _without_rates(record: dict[str, Any]) -> dict[str, Any]:
    """Dropout may change from one part of a run to the next."""
    return {name: value for name, value in record.items() if not name.endswith("_prob")}


def check_compatible(before: dict[str, Any], now: dict[str, Any], allowed: list[str], run_dir: str) -> list[str]:
    """Compare a checkpoint's signature with the run's. Returns the changes that were allowed, in words.

    A corpus may move to another folder: only its content counts.

    Raises:
        PolymeraseError: names what differs, or a name in ``allowed`` that may not be allowed.
    """
    unknown = sorted(set(allowed) - set(OVERRIDABLE))
    if unknown:
        raise PolymeraseError(f"--allow-change {unknown[0]}: expected one of {', '.join(OVERRIDABLE)}")
    changes = []
    for name, value in now.items():
        old = before.get(name)
        if name == "corpus":
            old, value = sorted((old or {}).values()), sorted(value.values())
        if _plain(old) == _plain(value):
            continue
        what = f"{name} was {_short(_unlike(old, value))} and is now {_short(_unlike(value, old))}"
        if name not in allowed:
            hint = f"pass --allow-change {name}, " if name in OVERRIDABLE else ""
            raise PolymeraseError(
                f"{run_dir}: the checkpoint does not fit this run: {what}; {hint}restore the old setting, or "
                "start over in another run.dir"
            )
        changes.append(what)
    return changes


def _vocabulary(tokenizer: Tokenizer) -> str:
    """Digest of the tokens and, for byte pairs, of their merges."""
    tokens, rule = tokenizer.vocab, tokenizer.lengths
    digest = rule.digest if isinstance(rule, Measured) else hashlib.sha256(chr(10).join(tokens).encode()).hexdigest()
    return f"{len(tokens)} tokens with the checksum {digest[:16]}"


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
