"""Low-rank adapters beside the encoder's linear layers, by ``peft`` where it is installed."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from pretrain.errors import PolymeraseError
from pretrain.models.linear import HandingLinear


def add_lora(encoder: nn.Module, rank: int) -> None:
    """Add adapters of this rank beside every plain linear layer; they are trained, the weights stay.

    Layers that do more than a product (an activation before it) are left: an adapter beside them would read the input
    of the activation.

    Raises:
        PolymeraseError: ``peft`` is not installed, or the encoder has no plain linear layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise PolymeraseError(
            "--lora needs the package peft; install it (pip install peft) or leave --lora out"
        ) from None
    names = [name for name, part in encoder.named_modules() if type(part) in (nn.Linear, HandingLinear)]
    if not names:
        raise PolymeraseError("--lora: the encoder has no plain linear layer; leave --lora out")
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(config, encoder)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_("lora_" in name)


def merged_state(encoder: nn.Module) -> dict[str, Tensor]:
    """Return the encoder's tensors under their own names, with the adapters added to the weights beside them."""
    merged = copy.deepcopy(encoder)
    for part in merged.modules():
        merge = getattr(part, "merge", None) if hasattr(part, "base_layer") else None
        if callable(merge):
            merge()
    state = merged.state_dict()
    return {name.replace(".base_layer.", "."): tensor for name, tensor in state.items() if "lora_" not in name}
