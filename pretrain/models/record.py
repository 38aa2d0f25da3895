"""Settings as plain data and back: what a checkpoint remembers of its model, and what a YAML says of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

from pretrain.models.architecture import architecture_of, find_architecture
from pretrain.models.entry import Architecture
from pretrain.models.model_settings import ModelSettings

_ARCHITECTURE = "architecture"


def field_types(kind: type) -> dict[str, Any]:
    """Return the annotations of a settings or options class by field name, in order."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def nested_dataclass(annotation: Any) -> type | None:
    """Return the dataclass D of the annotations ``D`` and ``D | None``; None for any other annotation."""
    kinds = [annotation, *get_args(annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)), None)


def to_record(settings: ModelSettings) -> dict[str, Any]:
    """Return every field as plain data, and the name of the architecture."""
    return {_ARCHITECTURE: architecture_of(settings).name, **asdict(settings)}


def from_record(record: Mapping[str, Any], below: ModelSettings | None) -> ModelSettings:
    """Rebuild the settings that a record describes.

    Args:
        record: of :func:`to_record`, possibly through JSON. Fields of former versions are read; a record from before
            there were several architectures belongs to the architecture of ``below``.
        below: settings that supply fields missing in the record.

    Raises:
        PolymeraseError: an unknown architecture, or values that contradict each other.
    """
    if _ARCHITECTURE in record or below is None:
        architecture = find_architecture(str(record.get(_ARCHITECTURE)))
    else:
        architecture = architecture_of(below)
    values = dict(record)
    for former, now in architecture.former.items():
        if former in values:
            values = {**dict.fromkeys(now, values.pop(former)), **values}
    if below is not None and type(below) is not architecture.settings:
        below = None
    return with_fields(architecture, values, below)


def with_fields(architecture: Architecture, values: Mapping[str, Any], below: ModelSettings | None) -> ModelSettings:
    """Return the settings of ``below`` with these fields changed, given as plain data; other keys are ignored."""
    types = field_types(architecture.settings)
    typed = {name: _typed(values[name], kind) for name, kind in types.items() if name in values}
    return architecture.settings(**typed) if below is None else replace(below, **typed)


def _typed(value: Any, kind: Any) -> Any:
    inner = nested_dataclass(kind)
    if inner is not None and isinstance(value, Mapping):
        return inner(**value)
    return tuple(value) if isinstance(value, list) else value
