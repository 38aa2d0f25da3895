"""Our tensors under the names of a Hugging Face class, and what that class has no place for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pretrain.errors import PolymeraseError
from pretrain.families import TRANSFORMS, Family
from pretrain.importing.match import base_prefix
from pretrain.models import ModelSettings

Kind = Literal["mlm", "encoder"]
# tensors no objective reads that nevertheless are part of the exported class
_UNTRAINED_PARTS: dict[Kind, tuple[str, ...]] = {
    "mlm": ("unused.contact_head.",),
    "encoder": ("unused.contact_head.", "unused.pooler."),
}


@dataclass(frozen=True)
class ExportTensors:
    """model: float32 under the names of the class. heads: ``heads.…`` and unused: ``unused.…``, under our names."""

    model: dict[str, Tensor]
    heads: dict[str, Tensor]
    unused: dict[str, Tensor]


def export_tensors(family: Family, settings: ModelSettings, state: Mapping[str, Tensor], kind: Kind) -> ExportTensors:
    """Sort a state by where an export keeps its tensors.

    Raises:
        PolymeraseError: a tensor has no place, or is not finite.
    """
    layout, prefix = family.hugging_face.keys, base_prefix(family.hugging_face.keys)
    model: dict[str, Tensor] = {}
    heads = {name: tensor for name, tensor in state.items() if name.startswith("heads.")}
    unused: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise PolymeraseError(f"{name} holds NaN or infinite values; export an earlier step")
        found = layout.to_theirs(name)
        if name.startswith("heads.") or (kind == "encoder" and name.startswith("mlm_head.")):
            continue
        if name.startswith("unused.") and not (found and name.startswith(_UNTRAINED_PARTS[kind])):
            unused[name] = tensor
            continue
        if found is None:
            raise PolymeraseError(
                f"{name}: the exported class {family.hugging_face.masked_lm_class} has no such tensor"
            )
        theirs, rule = found
        model[theirs] = TRANSFORMS[rule.transform][1](tensor.to(torch.float32))
    if family.hugging_face.model_type == "esm":
        _complete_esm(model, settings)
    if kind == "encoder":
        model = {name.removeprefix(prefix): tensor for name, tensor in model.items()}
    return ExportTensors(_owned(model), _owned(heads), _owned(unused))


def _complete_esm(model: dict[str, Tensor], settings: Any) -> None:
    """EsmModel always has a contact head, which no recipe trains. Zeros where there is none, so that loading neither
    warns nor draws random numbers; and the rotary frequencies, which the class keeps in its checkpoints."""
    contacts = settings.num_hidden_layers * settings.num_attention_heads
    model.setdefault("esm.contact_head.regression.weight", torch.zeros(1, contacts))
    model.setdefault("esm.contact_head.regression.bias", torch.zeros(1))
    exponents = torch.arange(0, settings.head_size, 2, dtype=torch.int64).float() / settings.head_size
    model["esm.rotary_embeddings.inv_freq"] = 1.0 / settings.rope_theta**exponents


def _owned(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors that share no memory, as safetensors wants them."""
    return {name: tensor.detach().contiguous().clone() for name, tensor in sorted(tensors.items())}
