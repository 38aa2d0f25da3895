"""Self-attention over packed sequences: one function, four back-ends with the same results.

``varlen`` is torch's flash kernel for packed sequences (CUDA, 16-bit, no dropout, no penalty on distance). ``grouped``
is torch's SDPA on blocks of sequences of similar length, on any device. ``recomputed`` is ours: dropout and every bias,
without memory for probabilities and masks. ``plain`` is the formula in autograd's own operations; the others are tested
against it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.device_kind import kind_of
from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.bias import AttentionBias
from pretrain.models.transformer.kernels import kernel_of
from pretrain.models.transformer.measured import faster
from pretrain.models.transformer.recomputed import recomputed_attention
from pretrain.models.transformer.recurrent.attention import Recurrent, recurrent_attention

_log = logging.getLogger("polymerase")
Bias = AttentionBias | Recurrent
Backend = Callable[[Tensor, Tensor, Tensor, AttentionBias, Layout, float], Tensor]


def attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Bias, layout: Layout, *, dropout: float, backend: str
) -> tuple[Tensor, Bias]:
    """Compute softmax(q k^T / sqrt(h) + bias) v inside each sequence.

    Args:
        q: queries (N, H, h) in layout order.
        k: keys, likewise.
        v: values, likewise.
        bias: added to the scores.
        layout: the sequences that the tokens belong to.
        dropout: rate, on the probabilities only.
        backend: a name in ``BACKENDS``, as ``choose_backend`` returns it.

    Returns:
        (N, H, h) in layout order, and the bias of the next layer: the same one, unless it is recurrent.
    """
    if isinstance(bias, Recurrent):
        return recurrent_attention(q, k, v, bias, layout, dropout=dropout, backend=backend)
    return BACKENDS[backend](q, k, v, bias, layout, dropout), bias


def choose_backend(
    bias: Bias, device: torch.device, dtype: torch.dtype, dropout: float = 0.0, head_size: int = 64
) -> str:
    """Return the fastest back-end that can compute this bias; called once per forward pass, logged once.

    On a CPU that is measured where nothing is dropped; elsewhere rules say it.
    """
    chosen = _choice(bias, device, dtype, dropout, head_size)
    _log_choice(chosen, kernel_of(device)[0] if chosen == "recomputed" else "torch", str(dtype), kind_of(device))
    return chosen


def _choice(bias: Bias, device: torch.device, dtype: torch.dtype, dropout: float, head_size: int) -> str:
    if isinstance(bias, Recurrent):
        return "recomputed"
    if not bias.in_kernels:
        return "grouped"
    if kind_of(device) == "cuda" and kernel_of(device)[0] != "triton":
        return "grouped"  # SDPA's own kernels draw their dropout inside, too
    if dropout:
        return "recomputed"
    if kind_of(device) == "cpu":
        able = ("grouped", "recomputed")
        runs = {name: partial(_without_dropout, BACKENDS[name], bias) for name in able}
        heads = None if bias.slopes is None else len(bias.slopes)
        return faster(runs, dtype, head_size, type(bias).__name__, heads)
    if bias.slopes is not None:
        return "recomputed"  # SDPA would want the penalty of every pair of tokens
    # what flash does not take, our programs do in one launch; SDPA takes one per length group, and copies around it
    return "varlen" if _flash_takes(device, dtype, head_size) else "recomputed"


def _without_dropout(run: Backend, bias: AttentionBias, q: Tensor, k: Tensor, v: Tensor, layout: Layout) -> Tensor:
    return run(q, k, v, bias, layout, 0.0)


@cache
def _flash_takes(device: torch.device, dtype: torch.dtype, head_size: int) -> bool:
    """Whether torch's flash kernel runs: Ampere or newer, 16 bits, head size a multiple of 8, at most 256."""
    is_new = not torch.cuda.is_available() or torch.cuda.get_device_capability(device) >= (8, 0)
    return is_new and dtype in (torch.bfloat16, torch.float16) and head_size % 8 == 0 and head_size <= 256


@cache
def _log_choice(backend: str, kernel: str, dtype: str, device: str) -> None:
    _log.info("attention: %s back-end, %s kernels, %s on %s", backend, kernel, dtype.removeprefix("torch."), device)


def _plain(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias, layout: Layout, dropout: float) -> Tensor:
    dtype, outputs = torch.promote_types(q.dtype, torch.float32), []
    for group, *rows in zip(layout.groups, *map(layout.split, (q * q.shape[-1] ** -0.5, k, v)), strict=True):
        q_block, k_block, v_block = (group.to_blocks(x).transpose(1, 2) for x in rows)  # (B, H, T, h)
        scores = (q_block @ k_block.transpose(-1, -2)).to(dtype)
        added = bias.dense(group.width, q.device)
        if added is not None:
            scores = scores + added
        if group.key_mask is not None:
            scores = scores.masked_fill(~group.key_mask, -torch.inf)
        probabilities = F.dropout(scores.softmax(dim=-1).to(v.dtype), dropout)
        outputs.append(group.from_blocks((probabilities @ v_block).transpose(1, 2)))
    return torch.cat(outputs)


def _recomputed(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias, layout: Layout, dropout: float) -> Tensor:
    if not bias.in_kernels:
        raise ValueError(f"kernels do not know {type(bias).__name__}; choose_backend takes another back-end")
    return recomputed_attention(q, k, v, bias, layout, SeededDropout.draw(dropout), kernel_of(q.device)[1])


def _grouped(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias, layout: Layout, dropout: float) -> Tensor:
    outputs, dtype = [], q.dtype
    if kind_of(q.device) == "cpu":
        # torch's flash kernel for CPUs takes over twice as long with 16 bits as with 32, and keeps 3.5 MB for every new
        # shape of a block
        q, k, v = (x.float() if x.element_size() < 4 else x for x in (q, k, v))
    only_causal = bias.in_kernels and bias.causal and bias.slopes is None  # padded keys come after all real ones
    masks = [None] * len(layout.groups) if only_causal else _masks(bias, layout, q)
    for group, mask, *rows in zip(layout.groups, masks, *map(layout.split, (q, k, v)), strict=True):
        q_block, k_block, v_block = (group.to_blocks(x).transpose(1, 2) for x in rows)  # (B, H, T, h)
        block = F.scaled_dot_product_attention(
            q_block, k_block, v_block, attn_mask=mask, dropout_p=dropout, is_causal=only_causal
        )
        outputs.append(group.from_blocks(block.transpose(1, 2)))
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)).to(dtype)


def _masks(bias: AttentionBias, layout: Layout, q: Tensor) -> list[Tensor | None]:
    """What SDPA wants for each group, made once for all layers: they would each make it, and keep it."""
    key = id(bias), q.dtype
    if key in layout.masks:
        found: list[Tensor | None] = layout.masks[key][1]
        return found
    masks: list[Tensor | None] = []
    # slopes and causal masks of a shorter sequence are a corner of those of the longest
    whole = bias.dense(max(group.width for group in layout.groups), q.device) if bias.in_kernels else None
    for group in layout.groups:
        corner = (slice(None), slice(group.width), slice(group.width))
        added = bias.dense(group.width, q.device) if whole is None else whole[corner]
        mask = group.key_mask
        if added is not None:
            mask = (added if mask is None else added.masked_fill(~mask, -torch.inf)).to(q.dtype)
        masks.append(mask)
    if not any(mask is not None and mask.requires_grad for mask in masks):
        layout.masks[key] = bias, masks  # the bias lives as long, so that no other has its id
    return masks


def _varlen(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias, layout: Layout, dropout: float) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn  # no CPU kernel; imported where a GPU asks for it

    if dropout or not bias.in_kernels or bias.slopes is not None:
        raise ValueError(
            "the varlen kernel has no dropout and no bias but a causal mask; choose_backend takes another back-end"
        )
    bounds, longest = layout.cu_seqlens, layout.longest
    window = (-1, 0) if bias.causal else (-1, -1)
    output = varlen_attn(q, k, v, bounds, bounds, longest, longest, window_size=window)
    assert isinstance(output, Tensor)  # a tuple only where auxiliary outputs are asked for
    return output


BACKENDS: dict[str, Backend] = {
    "plain": _plain,
    "recomputed": _recomputed,
    "grouped": _grouped,
    "varlen": _varlen,
}
