"""What transformers' EsmModel always has and no recipe trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def complete_esm(tensors: dict[str, Tensor], settings: Any) -> None:
    """Add the tensors that the class always has: a contact head and rotary frequencies.

    The contact head is zero if there is none, so that loading neither warns nor draws random numbers.
    """
    import torch

    contacts = settings.num_hidden_layers * settings.num_attention_heads
    tensors.setdefault("esm.contact_head.regression.weight", torch.zeros(1, contacts))
    tensors.setdefault("esm.contact_head.regression.bias", torch.zeros(1))
    if settings.position_embedding_type == "rotary":
        exponents = torch.arange(0, settings.head_size, 2, dtype=torch.int64).float() / settings.head_size
        tensors["esm.rotary_embeddings.inv_freq"] = 1.0 / settings.rope_theta**exponents
