"""Self-attention over packed sequences: one function, two back-ends with the same results.

``grouped`` runs the library's SDPA on blocks of sequences of (nearly) equal length; it works everywhere and knows
dropout. ``varlen`` is the library's flash kernel for packed sequences: CUDA, 16-bit, without dropout.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.layout import Layout


def attention(q: Tensor, k: Tensor, v: Tensor, layout: Layout, *, dropout: float, backend: str) -> Tensor:
    """softmax(q k^T / sqrt(h)) v inside each sequence: q, k, v (N, H, h) in layout order -> (N, H, h)."""
    return BACKENDS[backend](q, k, v, layout, dropout)


def choose_backend(device: torch.device, dtype: torch.dtype, dropout: float) -> str:
    """The fastest back-end that can do it; asked once per forward pass."""
    half = dtype in (torch.bfloat16, torch.float16)
    return "varlen" if device.type == "cuda" and half and dropout == 0.0 else "grouped"


def _grouped(q: Tensor, k: Tensor, v: Tensor, layout: Layout, dropout: float) -> Tensor:
    outputs = []
    for group in layout.groups:
        q_block, k_block, v_block = (group.block(x).transpose(1, 2) for x in (q, k, v))  # (B, H, T, h)
        block = F.scaled_dot_product_attention(q_block, k_block, v_block, attn_mask=group.key_mask, dropout_p=dropout)
        outputs.append(group.tokens(block.transpose(1, 2)))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _varlen(q: Tensor, k: Tensor, v: Tensor, layout: Layout, dropout: float) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # no CPU kernel; imported where a GPU asks for it

    if dropout:
        raise ValueError("the varlen kernel has no dropout; choose_backend takes grouped in that case")
    bounds, longest = layout.cu_seqlens, layout.longest
    output = varlen_attn(q, k, v, bounds, bounds, longest, longest)
    assert isinstance(output, Tensor)  # a tuple only where auxiliary outputs are asked for
    return output


BACKENDS: dict[str, Callable[[Tensor, Tensor, Tensor, Layout, float], Tensor]] = {
    "grouped": _grouped,
    "varlen": _varlen,
}
