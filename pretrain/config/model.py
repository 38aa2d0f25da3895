"""The section ``model:`` of a run's YAML: the keys of every run, and the fields of its architecture.

Nothing is written twice: a field of a settings or options class is a key from that moment on, with its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from types import NoneType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Field, create_model

from pretrain.config.section import BelowOne, Count, NonNegative, Positive, PositiveFloat, Section
from pretrain.config.sections import Config, Model, Objectives
from pretrain.errors import PolymeraseError, unknown_name
from pretrain.masking.settings import MaskingSettings
from pretrain.models.architecture import ARCHITECTURES
from pretrain.models.record import field_types, nested_dataclass
from pretrain.plugins import plugins

DEFAULT_FAMILY = "ernie_rna"

_SIZES = ("_size", "_width", "_embeddings")
_ABOVE_ZERO = ("_eps", "_theta", "_range", "_frequency", "factor")


def config_class(architecture: str) -> type[Config]:
    """Return the config class of runs of one architecture."""
    return _config_class(architecture)


def with_architecture(tree: Mapping[str, Any], where: str) -> tuple[dict[str, Any], type[Config]]:
    """Fill in family and architecture, and return the tree with the class that checks it.

    A run is of a family, or of an architecture without one. ``where`` names the file in messages.
    """
    model = tree.get("model", {})
    if not isinstance(model, Mapping):
        return dict(tree), _config_class("transformer")  # refused there
    family, architecture = model.get("family"), model.get("architecture")
    if family is None and architecture is None:
        family = DEFAULT_FAMILY
    try:
        if architecture is not None and architecture not in ARCHITECTURES:
            raise unknown_name("architecture", str(architecture), ARCHITECTURES)
        if family is not None:
            from pretrain.families import find_family

            of_family = find_family(str(family)).architecture
            if architecture not in (None, of_family):
                raise PolymeraseError(
                    f"the family {family} has the architecture {of_family}; leave out model.family or "
                    "model.architecture"
                )
            architecture = of_family
    except PolymeraseError as error:
        key = "family" if family is not None else "architecture"
        raise PolymeraseError(f"{where}: model.{key}: {error}") from None
    filled = {**model, "family": family, "architecture": architecture}
    return {**tree, "model": filled}, _config_class(str(architecture))


def keys_of(architecture: str) -> set[str]:
    """Return the fields of an architecture's settings and options."""
    entry = ARCHITECTURES[architecture]
    return set(field_types(entry.settings)) | set(field_types(entry.options))


class _SentConfig(Config):
    """A config that another process, to which its class means nothing, can be sent."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Send plain data, from which the class of the architecture is made again and the config checked."""
        return _received, (self.model.architecture, self.model_dump(exclude_unset=True))


def _received(architecture: str, tree: dict[str, Any]) -> Config:
    return config_class(architecture).model_validate(tree)


@cache
def _config_class(architecture: str) -> type[Config]:
    model = _model_section(architecture)
    sections: dict[str, Any] = {"model": (model, model()), **_sections_of_plugins()}
    return create_model("Config", __base__=_SentConfig, __doc__=Config.__doc__, **sections)  # type: ignore[no-any-return, call-overload]


def _sections_of_plugins() -> dict[str, Any]:
    """``objectives`` and ``masking`` with the settings that plug-ins bring; nothing where there is none."""
    found: dict[str, Any] = {}
    if objectives := plugins("objective_settings", Objectives.model_fields):
        keys: dict[str, Any] = {name: (section | None, None) for name, section in objectives.items()}
        found["objectives"] = (create_model("Objectives", __base__=Objectives, __doc__=Objectives.__doc__, **keys), ...)
    if maskings := plugins("masking_settings"):
        known = get_args(get_args(MaskingSettings)[0])
        every: Any = Union[(*known, *maskings.values())]
        found["masking"] = (Annotated[every, Field(discriminator="strategy")], ...)
    return found


def _model_section(architecture: str) -> type[Model]:
    entry = ARCHITECTURES[architecture]
    keys: dict[str, Any] = {}
    for name, annotation in field_types(entry.settings).items():
        keys[name] = (
            _checked(name, annotation) | None,
            Field(default=None, strict=None if _plain(annotation) else False),
        )
    for option in fields(entry.options):
        assert option.default is not MISSING, "every option has a default"
        keys[option.name] = (_checked(option.name, field_types(entry.options)[option.name]), option.default)
    return create_model("Model", __base__=Model, __doc__=Model.__doc__, **keys)  # type: ignore[no-any-return, call-overload]


def _plain(annotation: Any) -> bool:
    """No tuple: YAML has lists only, so tuples are not checked strictly."""
    return not any(get_origin(kind) is tuple for kind in (annotation, *get_args(annotation)))


def _checked(name: str, annotation: Any) -> Any:
    """The annotation as pydantic is to check it.

    Integers are not negative, except the id of a token that does not exist, -1; sizes and what is divided by are above
    0; rates of dropout are below 1; dataclasses are sections.
    """
    if annotation is int:
        size = name.endswith(_SIZES) or name.startswith(("num_", "dilation_"))
        return Annotated[int, Field(ge=-1)] if name.endswith("_token_id") else Positive if size else Count
    if annotation is float:
        return BelowOne if name.endswith("_prob") else PositiveFloat if name.endswith(_ABOVE_ZERO) else NonNegative
    if set(get_args(annotation)) == {int, NoneType}:
        return _checked(name, int) | None
    inner = nested_dataclass(annotation)
    if inner is None:
        return Annotated[annotation, Field()]
    parts: dict[str, Any] = {
        part.name: (_checked(part.name, kind), ... if part.default is MISSING else part.default)
        for part, kind in zip(fields(inner), field_types(inner).values(), strict=True)
    }
    return create_model(inner.__name__, __base__=Section, **parts)
