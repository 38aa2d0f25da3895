"""Self-attention over packed sequences: one function, four back-ends with the same results.

``varlen`` is torch's flash kernel for packed sequences (CUDA, 16-bit, no dropout, no scores handed on). ``grouped`` is
torch's SDPA on blocks of sequences of equal length (anywhere, no scores handed on). ``recomputed`` is ours: dropout
and handed-on scores without memory for probabilities and masks. ``plain`` is what the formula says, in autograd's own
operations; the others are held to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.kernels import kernel_of
from pretrain.models.transformer.kernels.torch_kernel import scores_dtype
from pretrain.models.transformer.recomputed import Scores, recomputed_attention
from pretrain.models.transformer.recurrent.factored import FactoredScores, factored_attention

_log = logging.getLogger("polymerase")
ScoreCarry = Scores | FactoredScores | None  # what a layer leaves for the next one
Backend = Callable[[Tensor, Tensor, Tensor, Any, Layout, float], tuple[Tensor, ScoreCarry]]


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scores: ScoreCarry,
    layout: Layout,
    *,
    dropout: float,
    backend: str,
) -> tuple[Tensor, ScoreCarry]:
    """softmax(S) v inside each sequence, S = q k^T / sqrt(h), plus the scores of the layer below where there are some.

    Args:
        q, k, v: (N, H, h) in layout order.
        scores: of the layer below; None for attention that hands nothing on.
        dropout: rate, on the probabilities only; S itself is never dropped.

    Returns:
        (N, H, h) in layout order, and S (None if there were no scores).
    """
    return BACKENDS[backend](q, k, v, scores, layout, dropout)


def choose_backend(
    device: torch.device, dtype: torch.dtype, dropout: float, hands_on_scores: bool, head_size: int = 64
) -> str:
    """The fastest back-end that can do it; asked once per forward pass, logged once."""
    if not hands_on_scores and dropout == 0.0:
        chosen = "varlen" if device.type == "cuda" and _flash_takes(device, dtype, head_size) else "grouped"
    elif not hands_on_scores and device.type == "cuda" and kernel_of("cuda")[0] != "triton":
        chosen = "grouped"  # SDPA's own kernels draw their dropout inside, too
    else:
        chosen = "recomputed"
    _log_choice(chosen, kernel_of(device.type)[0] if chosen == "recomputed" else "torch", str(dtype), device.type)
    return chosen


@cache
def _flash_takes(device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """What torch's flash kernel asks for: Ampere or newer, 16 bits, heads of a multiple of 8 values, at most 256."""
    is_new = not torch.cuda.is_available() or torch.cuda.get_device_capability(device) >= (8, 0)
    return is_new and dtype in (torch.bfloat16, torch.float16) and head_size % 8 == 0 and head_size <= 256


@cache
def _log_choice(backend: str, kernel: str, dtype: str, device: str) -> None:
    _log.info("attention: %s back-end, %s kernels, %s on %s", backend, kernel, dtype.removeprefix("torch."), device)


def _plain(
    q: Tensor, k: Tensor, v: Tensor, scores: Scores | None, layout: Layout, dropout: float
) -> tuple[Tensor, Scores | None]:
    heads, dtype = q.shape[1], scores_dtype(None if scores is None else scores.packed, q)
    before = [None] * len(layout.groups) if scores is None else layout.split_pairs(scores.packed, heads)
    outputs, handed_on = [], []
    for group, previous, *rows in zip(
        layout.groups, before, *map(layout.split, (q * q.shape[-1] ** -0.5, k, v)), strict=True
    ):
        q_block, k_block, v_block = (group.to_blocks(x).transpose(1, 2) for x in rows)  # (B, H, T, h)
        current = (q_block @ k_block.transpose(-1, -2)).to(dtype)
        if previous is not None:
            current = previous + current
        elif group.key_mask is not None:
            current = current.masked_fill(~group.key_mask, float("-inf"))
        probabilities = F.dropout(current.softmax(dim=-1).to(v.dtype), dropout)
        outputs.append(group.from_blocks((probabilities @ v_block).transpose(1, 2)))
        handed_on.append(current.flatten())
    if scores is None:
        return torch.cat(outputs), None
    return torch.cat(outputs), Scores(torch.cat(handed_on), shared=scores.shared)


def _recomputed(
    q: Tensor, k: Tensor, v: Tensor, scores: ScoreCarry, layout: Layout, dropout: float
) -> tuple[Tensor, ScoreCarry]:
    if isinstance(scores, FactoredScores):
        return factored_attention(q, k, v, scores, layout, SeededDropout.draw(dropout))
    kernel = kernel_of(q.device.type)[1]
    return recomputed_attention(q, k, v, scores, layout, SeededDropout.draw(dropout), kernel)


def _grouped(
    q: Tensor, k: Tensor, v: Tensor, scores: Scores | None, layout: Layout, dropout: float
) -> tuple[Tensor, None]:
    assert scores is None
    outputs = []
    for group, *rows in zip(layout.groups, *map(layout.split, (q, k, v)), strict=True):
        q_block, k_block, v_block = (group.to_blocks(x).transpose(1, 2) for x in rows)  # (B, H, T, h)
        block = F.scaled_dot_product_attention(q_block, k_block, v_block, attn_mask=group.key_mask, dropout_p=dropout)
        outputs.append(group.from_blocks(block.transpose(1, 2)))
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)), None


def _varlen(
    q: Tensor, k: Tensor, v: Tensor, scores: Scores | None, layout: Layout, dropout: float
) -> tuple[Tensor, None]:
    from torch.nn.attention.varlen import varlen_attn  # no CPU kernel; imported where a GPU asks for it

    if dropout or scores is not None:
        raise ValueError("the varlen kernel has no dropout and no scores; choose_backend takes another back-end")
    bounds, longest = layout.cu_seqlens, layout.longest
    output = varlen_attn(q, k, v, bounds, bounds, longest, longest)
    assert isinstance(output, Tensor)  # a tuple only where auxiliary outputs are asked for
    return output, None


BACKENDS: dict[str, Backend] = {
    "plain": _plain,
    "recomputed": _recomputed,
    "grouped": _grouped,
    "varlen": _varlen,
}
