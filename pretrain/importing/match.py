"""Published tensors under our names, strictly: every tensor is used, known to be unused, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import TRANSFORMS, Family, KeyLayout
from pretrain.families.keys import WRAPPERS, in_pieces
from pretrain.families.published import HEADS, published_model
from pretrain.models import ModelSettings, head_names

_SHOWN = 6  # names listed in an error


@dataclass
class KeyMatch:
    """Tensors of one source under our names.

    Attributes:
        state: float32, names ``encoder.…``, ``mlm_head.…``, ``heads.…``, ``unused.…``.
        theirs: our name -> the source's.
        unexpected: names of the source without a place.
        unequal: (second copy, first copy) that should be the same.
        not_floating: names of tensors that are not floating point numbers (quantized files).
    """

    layout: KeyLayout
    state: dict[str, Tensor] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    unequal: list[tuple[str, str]] = field(default_factory=list)
    not_floating: list[str] = field(default_factory=list)

    def missing(self, family: Family, settings: ModelSettings) -> list[str]:
        """Return names (the source's) of tensors that a model of these settings needs and the source lacks.

        A head that the source does not have at all is not missing; a head that it has in part is.
        """
        present = {_part(name) for name in self.state} | {"encoder"}
        needed = (name for name in expected_shapes(family, settings) if _part(name) in present)
        return [self._their_name(name) for name in needed if name not in self.state]

    def lost_head(self, settings: ModelSettings) -> list[str]:
        """Return names (the source's) of the tensors of an output head, if the source has none of them."""
        needed = [f"mlm_head.{name}" for name in head_names(settings)]
        return [] if set(needed) & set(self.state) else [self._their_name(name) for name in needed]

    def _their_name(self, ours: str) -> str:
        found = self.layout.to_theirs(ours)
        return found[0] if found else ours


def match(layout: KeyLayout, tensors: Mapping[str, Tensor]) -> KeyMatch:
    """Sort the source's tensors by a layout. Nothing is refused here."""
    result = KeyMatch(layout)
    plain = in_pieces(layout, _without_prefix(layout, tensors))
    for key, tensor in plain.items():
        found = layout.to_ours(key)
        if found is not None:
            ours, rule = found
            if tensor.is_floating_point():
                tensor = TRANSFORMS[rule.transform][0](tensor.to(torch.float32))
            else:
                result.not_floating.append(key)
            result.state[ours] = tensor
            result.theirs[ours] = key
        elif (first := layout.original_of(key)) is not None:
            if first in plain and not torch.equal(plain[first], tensor):
                result.unequal.append((key, first))
        elif not layout.is_ignorable(key):
            result.unexpected.append(key)
    return result


def check(matched: KeyMatch, family: Family, settings: ModelSettings, source: str) -> None:
    """Refuse whatever is not exactly a model of these settings.

    Raises:
        PolymeraseError: names the tensors that are missing, unexpected, of another shape, not finite, or stored twice
            with different values.
    """
    if matched.unexpected:
        raise PolymeraseError(
            f"{source}: tensors that this family does not have: {_some(matched.unexpected)}; take the file as it was "
            "published, or leave out what was added to the model (a head of fine-tuning)"
        )
    if missing := matched.missing(family, settings):
        raise PolymeraseError(f"{source}: tensors are missing: {_some(missing)}")
    if matched.not_floating:
        raise PolymeraseError(
            f"{source}: no floating point numbers where weights should be: {_some(matched.not_floating)}"
        )
    shapes = expected_shapes(family, settings)
    for name, tensor in matched.state.items():
        shape = shapes.get(name)
        if shape is not None and tensor.shape != shape:
            raise PolymeraseError(
                f"{source}: {matched.theirs[name]} becomes {tuple(tensor.shape)}, expected {tuple(shape)}; "
                "a tensor of another size, or one stored the other way round"
            )
    broken = [matched.theirs[name] for name, tensor in matched.state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise PolymeraseError(f"{source}: NaN or infinite values in {_some(broken)}; this checkpoint is broken")
    for copy, first in matched.unequal:
        raise PolymeraseError(f"{source}: {copy} should be a copy of {first} (tied weights) and differs from it")


def expected_shapes(family: Family, settings: ModelSettings) -> dict[str, torch.Size]:
    """Return names and shapes of all tensors of published models: encoder, heads, and those no objective reads."""
    with torch.device("meta"):
        model = published_model(settings, ("mlm", *HEADS))
    unused = family.unused_shapes(settings)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    return shapes | {f"unused.{name}": torch.Size(shape) for name, shape in unused.items()}


def _without_prefix(layout: KeyLayout, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cut what wraps every name, as often as it makes most names known (a layout may begin with ``model.`` itself)."""
    forms = [_with_base(layout, tensors)]
    prefixes = (*layout.prefixes, *WRAPPERS)
    while prefix := next((one for one in prefixes if tensors and all(key.startswith(one) for key in tensors)), ""):
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
        forms.append(_with_base(layout, tensors))
    return max(forms, key=lambda form: sum(map(layout.knows, form))) if len(forms) > 1 else forms[0]


def _with_base(layout: KeyLayout, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the base model's prefix where no key has it (a folder of the bare encoder)."""
    base = base_prefix(layout)
    if base and not any(key.startswith(base) for key in tensors):
        known = {key for key in tensors if layout.knows(base + key) or layout.is_ignorable(base + key)}
        return {base + key if key in known else key: tensor for key, tensor in tensors.items()}
    return dict(tensors)


def base_prefix(layout: KeyLayout) -> str:
    """Return the common prefix of all encoder names of a layout (``bert.``, ``esm.``, ``encoder.``), or nothing."""
    first = {rule.theirs.split(".")[0] for rule in layout.rules if rule.ours.startswith("encoder.")}
    return f"{first.pop()}." if len(first) == 1 else ""


def _part(ours: str) -> str:
    """``encoder``, ``mlm_head``, ``heads.<objective>``, ``unused.pooler``: what is there as a whole or not at all."""
    first, second, *_ = ours.split(".")
    return first if first in ("encoder", "mlm_head") else f"{first}.{second}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
