"""The kernel in plain PyTorch: length group by length group, each small enough to stay in the cache on a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import torch
from torch import Tensor

from pretrain.models.dropout import SeededDropout, apply_mask
from pretrain.models.layout import Layout, LengthGroup
from pretrain.models.transformer.bias import AttentionBias, distances
from pretrain.models.transformer.kernels.torch_classes import class_gradient, class_scores


class TorchKernel:
    """The ``Kernel`` in torch. It keeps nothing for the backward pass: probabilities and masks are recomputed."""

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: AttentionBias,
        layout: Layout,
        drop: SeededDropout,
        *,
        previous: Tensor | None = None,
        current: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Attend, see ``Kernel.forward``; keeps nothing."""
        output, masks = torch.empty_like(v), drop.masks(q.device)
        q, k, v = (_as_computed(x) for x in (q, k, v))
        q = q * q.shape[-1] ** -0.5
        for group, (before, after), (to, *rows) in _groups(layout, q.shape[1], (previous, current), (output, q, k, v)):
            q_block, k_block, v_block = (_heads_first(group, x) for x in rows)
            if before is None:
                scores = _scores(q_block, k_block, group, bias)
            else:
                scores = _add_product(before, q_block, k_block, out=after)
            p = _softmax(scores).to(v.dtype)
            if masks is not None:
                p = apply_mask(p, masks(p))
            to.copy_(_tokens_first(group, torch.bmm(p, v_block)))
        return output.mul_(drop.scale), ()

    def backward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: AttentionBias,
        kept: Sequence[Tensor],
        layout: Layout,
        drop: SeededDropout,
        grad_output: Tensor,
        *,
        scores: Tensor | None = None,
        grad_scores: Tensor | None = None,
        fresh: bool = False,
        reverse: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the gradients of q, k, v, see ``Kernel.backward``."""
        dq, dk, dv = (torch.empty_like(x) for x in (q, k, v))
        q, k, v, grad_output = (_as_computed(x) for x in (q, k, v, grad_output))
        masks, scale = drop.masks(q.device), q.shape[-1] ** -0.5
        tokens = (dq, dk, dv, q * scale, k, v, grad_output * drop.scale)
        for group, (stored, above), (to_dq, to_dk, to_dv, *rows) in _groups(
            layout, q.shape[1], (scores, grad_scores), tokens
        ):
            q_block, k_block, v_block = (_heads_first(group, x) for x in rows[:3])
            do_block = _heads_first(group, rows[3], zero_padding=True)
            p = _softmax(_scores(q_block, k_block, group, bias) if stored is None else stored)
            if reverse and stored is not None:
                _add_product(stored, q_block, k_block, sign=-1, out=stored)
            dp, dropped = torch.bmm(do_block, v_block.transpose(1, 2)), p.to(v.dtype)
            if masks is not None:
                mask = masks(p)
                dp, dropped = apply_mask(dp, mask), apply_mask(dropped, mask)
            ds = torch.ops.aten._softmax_backward_data(dp.to(p.dtype), p, -1, p.dtype)
            if above is not None:
                ds = above.copy_(ds) if fresh else above.add_(ds)
            ds = ds.to(q.dtype)
            to_dq.copy_(_tokens_first(group, torch.bmm(ds, k_block)))
            to_dk.copy_(_tokens_first(group, torch.bmm(ds.transpose(1, 2), q_block)))
            to_dv.copy_(_tokens_first(group, torch.bmm(dropped.transpose(1, 2), do_block)))
        return dq.mul_(scale), dk, dv

    def class_scores(self, table: Tensor, classes: Tensor, layout: Layout, dtype: torch.dtype) -> Tensor:
        """Compute the scores of classes, see ``Kernel.class_scores``."""
        return class_scores(table, classes, layout, dtype)

    def class_gradient(self, grad: Tensor, classes: Tensor, layout: Layout, table: Tensor) -> Tensor:
        """Compute the gradient of their table, see ``Kernel.class_gradient``."""
        return class_gradient(grad, classes, layout, table)

    def maps(self, scores: Tensor, layout: Layout, heads: int) -> list[Tensor]:
        """View scores by sequence, see ``Kernel.maps``. Packed they are as ``Layout.split_pairs`` reads them."""
        blocks = zip(layout.groups, layout.split_pairs(scores, heads), strict=True)
        return [b[row, :, :n, :n] for group, b in blocks for row, n in enumerate(group.lengths)]


def _as_computed(x: Tensor) -> Tensor:
    """On a CPU, 16 bits as float32 unless it multiplies bfloat16 itself: there products take half the time.

    What that costs is memory: oneDNN compiles and keeps some 0.9 MB for each width of a block that it meets.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.bfloat16, torch.float16):
        return x
    return x if x.dtype == torch.bfloat16 and _multiplies_bfloat16() else x.float()


@cache
def _multiplies_bfloat16() -> bool:
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private names: absent, the answer is no
    return any(getattr(torch.cpu, name, bool)() for name in asked)


_Pair = tuple[Tensor | None, Tensor | None]


def _groups(
    layout: Layout, heads: int, pairs: _Pair, tokens: Sequence[Tensor]
) -> Iterator[tuple[LengthGroup, _Pair, tuple[Tensor, ...]]]:
    """Each length group with its views (B*H, T, T) of two flat tensors, and its rows of tensors (N, ...)."""
    for group, *rows in zip(layout.groups, *map(layout.split, tokens), strict=True):
        cells = slice(heads * group.first_pair, heads * (group.first_pair + group.pairs))
        first, second = (x if x is None else x[cells].view(-1, group.width, group.width) for x in pairs)
        yield group, (first, second), tuple(rows)


def _heads_first(group: LengthGroup, rows: Tensor, zero_padding: bool = False) -> Tensor:
    """The group's tokens (n, H, h) -> (B*H, T, h), without a copy where there is one sequence without padding."""
    block = group.to_blocks(rows).transpose(1, 2)
    if zero_padding and group.key_mask is not None:
        block = block.masked_fill(~group.key_mask.transpose(-1, -2), 0.0)
    return block[0] if len(group.lengths) == 1 else block.reshape(-1, group.width, rows.shape[-1])


def _tokens_first(group: LengthGroup, block: Tensor) -> Tensor:
    """(B*H, T, h) -> the group's real tokens (n, H, h)."""
    size = block.shape[-1]
    return group.from_blocks(block.view(len(group.lengths), -1, group.width, size).transpose(1, 2))


def _scores(q: Tensor, k: Tensor, group: LengthGroup, bias: AttentionBias) -> Tensor:
    """The scores q k^T + bias in float32 (or wider), minus infinity at padded keys."""
    scores = torch.bmm(q, k.transpose(1, 2)).to(torch.promote_types(q.dtype, torch.float32))
    by_sequence = scores.view(len(group.lengths), -1, group.width, group.width)
    if bias.slopes is not None:
        slopes, between = bias.slopes.to(scores.dtype), distances(group.width, q.device).to(scores.dtype)
        by_sequence.addcmul_(slopes[:, None, None], between, value=-1)
    if bias.causal:  # padded keys come after all real ones
        later = torch.ones(group.width, group.width, dtype=torch.bool, device=q.device).triu_(1)
        by_sequence.masked_fill_(later, -torch.inf)
    elif group.key_mask is not None:
        by_sequence.masked_fill_(~group.key_mask, -torch.inf)
    return scores


def _softmax(scores: Tensor) -> Tensor:
    """Over keys, in float32 or wider."""
    return scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))


def _add_product(scores: Tensor, q: Tensor, k: Tensor, out: Tensor | None, sign: int = 1) -> Tensor:
    """Write scores + q k^T to ``out``. Scores of a layer below carry minus infinity at padded keys from the start."""
    if scores.dtype == q.dtype:
        return torch.baddbmm(scores, q, k.transpose(1, 2), alpha=sign, out=out)
    return torch.add(scores, torch.bmm(q, k.transpose(1, 2)), alpha=sign, out=out)
