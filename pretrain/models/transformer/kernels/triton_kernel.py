"""The kernel in Triton: one pass over the scores per direction, nothing else of the size of token pairs is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.bias import AttentionBias


class TritonKernel:
    """The ``Kernel`` in Triton. Dropout masks are counter-based draws, different from those of the torch kernel.

    Args:
        tile: queries, and keys, that one program holds.
        programs: what is launched; by default the module ``triton_programs``.
    """

    def __init__(self, tile: int = 64, programs: Any = None):
        if programs is None:
            from pretrain.models.transformer.kernels import triton_programs as programs
        self._tile, self._programs = tile, programs

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
        """Attend, see ``Kernel.forward``; keeps the output and the log of the softmax's denominator."""
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        output = torch.empty_like(v)
        lse = torch.empty(q.shape[:2], dtype=torch.float32, device=q.device)
        grid, tables, sizes = self._launch(q, layout)
        before = q if previous is None else previous  # a pointer that is not read
        after = before if current is None else current
        self._programs.forward[grid](
            q, k, v, before, after, output, lse, self._slopes(bias, q), *tables, *sizes, drop.seed, drop.rate,
            HAS_BEFORE=previous is not None, WRITE=current is not None, DROP=drop.rate > 0,
            **self._formula(bias), **self._constants(q),
        )  # fmt: skip
        return output, (output, lse)

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
        reverse: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the gradients of q, k, v, see ``Kernel.backward``."""
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        output, lse = kept
        delta = (grad_output.float() * output.float()).sum(dim=-1)  # (N, H), equals rowsum(dP P), dropout included
        grads = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        grid, tables, sizes = self._launch(q, layout)
        pairs = q if scores is None else scores, q if grad_scores is None else grad_scores  # q: not read
        read = q, k, v, grad_output, lse, delta, *pairs, self._slopes(bias, q)
        options: dict[str, Any] = {
            "HAS_SCORES": scores is not None,
            "HAS_GRAD": grad_scores is not None,
            "DROP": drop.rate > 0,
            "num_stages": 2,  # with 3, a program takes so much shared memory that an H100 holds one at a time
            **self._formula(bias),
            **self._constants(q),
        }
        # first the queries, which complete the gradient of the scores; the keys then read it
        self._programs.backward_queries[grid](*read, grads[0], *tables, *sizes, drop.seed, drop.rate, **options)
        self._programs.backward_keys[grid](*read, grads[1], grads[2], *tables, *sizes, drop.seed, drop.rate, **options)
        if reverse:
            tokens, numbers = (q, k), (*sizes[:-1], -sizes[-1])
            self._programs.add_product[grid](*tokens, scores, *tables, *numbers, **self._constants(q))
        return grads

    def _launch(self, q: Tensor, layout: Layout) -> tuple[tuple[int, int], tuple[Tensor, Tensor], tuple[Any, ...]]:
        """Grid, tables, and the numbers every program wants."""
        tiles, spans = layout.tiles(self._tile)
        heads, size = q.shape[1:]
        return (tiles.shape[1], heads), (tiles, spans), (tiles.shape[1], spans.shape[1], heads, size, size**-0.5)

    def _slopes(self, bias: AttentionBias, q: Tensor) -> Tensor:
        """Slopes per head, or a pointer that is not read."""
        return q if bias.slopes is None else bias.slopes

    def _formula(self, bias: AttentionBias) -> dict[str, bool]:
        return {"SLOPED": bias.slopes is not None, "CAUSAL": bias.causal}

    def _constants(self, q: Tensor) -> dict[str, Any]:
        return {
            "SIZE": max(16, 1 << (q.shape[-1] - 1).bit_length()),
            "TILE": self._tile,
            "PRECISION": "ieee" if q.dtype == torch.float32 else "tf32",
        }
