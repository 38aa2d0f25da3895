"""Our tensors under the names of a Hugging Face class, and those that the class has no place for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.exporting.form import Kind
from pretrain.families import TRANSFORMS, Family, HuggingFaceForm
from pretrain.families.keys import put_together
from pretrain.families.own_code import form_of
from pretrain.importing.match import base_prefix
from pretrain.models import ModelSettings


@dataclass(frozen=True)
class ExportTensors:
    """Tensors of an export.

    Attributes:
        model: float32 under the names of the class.
        heads: ``heads.…``, under our names.
        unused: ``unused.…``, under our names.
    """

    model: dict[str, Tensor]
    heads: dict[str, Tensor]
    unused: dict[str, Tensor]


def export_tensors(family: Family, settings: ModelSettings, state: Mapping[str, Tensor], kind: Kind) -> ExportTensors:
    """Sort a state by where an export keeps its tensors.

    Raises:
        PolymeraseError: a tensor has no place, or is not finite.
    """
    form = form_of(family, settings)
    layout, prefix = form.keys, base_prefix(form.keys)
    model: dict[str, Tensor] = {}
    heads = {name: tensor for name, tensor in state.items() if name.startswith("heads.")}
    unused: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise PolymeraseError(f"{name} holds NaN or infinite values; export an earlier step")
        found = layout.to_theirs(name)
        if name.startswith("heads.") or (kind == "encoder" and name.startswith("mlm_head.")):
            continue
        if name.startswith("unused.") and not (found and name.startswith(_untrained_parts(form))):
            unused[name] = tensor
            continue
        if found is None:
            raise PolymeraseError(f"{name}: the exported class {form.masked_lm_class} has no such tensor")
        theirs, rule = found
        model[theirs] = TRANSFORMS[rule.transform][1](tensor.to(torch.float32))
    model = put_together(model)
    form.complete(model, settings)
    if kind == "encoder":
        model = {name.removeprefix(prefix): tensor for name, tensor in model.items()}
    return ExportTensors(_owned(model), _owned(heads), _owned(unused))


def _untrained_parts(form: HuggingFaceForm) -> tuple[str, ...]:
    """Tensors no objective reads that nevertheless are part of the exported class.

    The release's pooler travels where AutoModel and classifiers read it.
    """
    has_pooler = form.kind == "native" or form.constants.get("pooler_type") == "first_token_transform"
    return ("unused.contact_head.", "unused.pooler.") if has_pooler else ()


def _owned(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors that share no memory, as safetensors wants them."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in sorted(tensors.items())}
