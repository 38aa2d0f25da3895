"""The kernel in Triton: one pass over the scores per direction, nothing else of the size of token pairs is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.layout_plan import ROW_STEP, TILES
from pretrain.models.transformer.bias import AttentionBias

_ROWS = 64  # of programs that need few registers


def _padded(size: int) -> int:
    """The power of two that holds a head of so many values, at least what a product on tensor cores takes."""
    return max(16, 1 << (size - 1).bit_length())


def launch_options(name: str, dtype: torch.dtype, has_scores: bool, tile: int) -> dict[str, int]:
    """How a program is compiled: what it holds must fit registers and shared memory, which a test looks up.

    Args:
        name: of the program.
        dtype: of its tokens.
        has_scores: it reads scores of the layer below or of the forward pass.
        tile: tokens on each side of its tile.
    """
    # with 3 stages a program takes so much shared memory that an H100 holds fewer at a time
    if not name.startswith("backward"):
        return {"num_stages": 2 if has_scores else 3, "num_warps": 4}
    is_full = dtype == torch.float32
    if name == "backward_queries":
        return {"num_stages": 2, "num_warps": 8 if is_full and has_scores else 4}
    return {"num_stages": 2, "num_warps": 4, "STEP": max(16, tile // 2) if is_full or has_scores else tile}


def draws(drop: SeededDropout) -> tuple[int, int, float]:
    """Seed, threshold of 16 bits, and what kept values are multiplied with."""
    threshold = min(round(drop.rate * 2**16), 2**16 - 1)
    return drop.seed, threshold, 1.0 / (1.0 - threshold / 2**16)


class TritonKernel:
    """The ``Kernel`` in Triton. Dropout masks are counter-based draws, different from those of the torch kernel.

    Args:
        tile: queries, and keys, that one program holds; by default as many as their precision lets stay in registers.
        programs: what is launched; by default the module ``triton_programs``.
    """

    def __init__(self, tile: int | None = None, programs: Any = None):
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
            q, k, v, before, after, output, lse, self._slopes(bias, q), *tables, *sizes, *draws(drop),
            HAS_BEFORE=previous is not None, WRITE=current is not None, DROP=drop.rate > 0,
            **self._formula(bias), **self._constants(q),
            **launch_options("forward", q.dtype, previous is not None, self._tile_of(q)),
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
        fresh: bool = False,
        reverse: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the gradients of q, k, v, see ``Kernel.backward``."""
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        output, lse = kept
        delta = self._delta(grad_output, output)
        grads = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        grid, tables, sizes = self._launch(q, layout)
        pairs = q if scores is None else scores, q if grad_scores is None else grad_scores  # q: not read
        read = q, k, v, grad_output, lse, delta, *pairs, self._slopes(bias, q)
        options: dict[str, Any] = {
            "HAS_SCORES": scores is not None,
            "HAS_GRAD": grad_scores is not None,
            "DROP": drop.rate > 0,
            **self._formula(bias),
            **self._constants(q),
        }
        # first the queries, which complete the gradient of the scores; the keys then read it
        numbers = *tables, *sizes, *draws(drop)
        for name, made, more in (
            ("backward_queries", grads[:1], {"ADD": not fresh}),
            ("backward_keys", grads[1:], {"REVERSE": reverse}),
        ):
            tuned = launch_options(name, q.dtype, scores is not None, self._tile_of(q))
            getattr(self._programs, name)[grid](*read, *made, *numbers, **options, **more, **tuned)
        return grads

    def class_scores(self, table: Tensor, classes: Tensor, layout: Layout, dtype: torch.dtype) -> Tensor:
        """Compute the scores of classes, see ``Kernel.class_scores``."""
        packed = torch.empty(len(table) * sum(self._areas(layout)), dtype=dtype, device=table.device)
        tile = self._tile or _ROWS
        tiles, spans = layout.tiles(tile)
        self._programs.class_scores[tiles.shape[1], len(table)](
            table.contiguous(), classes, packed, tiles, spans, tiles.shape[1], spans.shape[1], len(table),
            COUNT=table.shape[-1], TILE=tile,
        )  # fmt: skip
        return packed

    def class_gradient(self, grad: Tensor, classes: Tensor, layout: Layout, table: Tensor) -> Tensor:
        """Compute the gradient of their table, see ``Kernel.class_gradient``: tiles in float32, then all of them."""
        heads, count = table.shape[:2]
        tile, size = self._tile or _ROWS, _padded(count)
        tiles, spans = layout.tiles(tile)
        sums = torch.empty(tiles.shape[1], heads, size, size, dtype=torch.float32, device=grad.device)
        self._programs.class_sums[tiles.shape[1], heads](
            grad.contiguous(), classes, sums, tiles, spans, tiles.shape[1], spans.shape[1], heads,
            COUNT=size, TILE=tile,
        )  # fmt: skip
        return sums.sum(dim=0)[:, :count, :count].to(table.dtype)

    def maps(self, scores: Tensor, layout: Layout, heads: int) -> list[Tensor]:
        """View scores by sequence, see ``Kernel.maps``: one after the other, with space between rows."""
        lengths = (length for group in layout.groups for length in group.lengths)
        parts = scores.split([heads * area for area in self._areas(layout)])
        return [part.view(heads, n, -1)[..., :n] for part, n in zip(parts, lengths, strict=True)]

    def _areas(self, layout: Layout) -> list[int]:
        """Values of the scores of one head, by sequence in layout order, as ``tile_tables`` counts them."""
        lengths = (length for group in layout.groups for length in group.lengths)
        return [length * (-(-length // ROW_STEP) * ROW_STEP) for length in lengths]

    def _delta(self, grad_output: Tensor, output: Tensor) -> Tensor:
        """Sum both over the values of a head, float32 (N, H)."""
        delta = torch.empty(output.shape[:2], dtype=torch.float32, device=output.device)
        rows, size = delta.numel(), output.shape[-1]
        self._programs.delta[(-(-rows // _ROWS),)](
            grad_output, output, delta, rows, size, SIZE=_padded(size), TILE=_ROWS
        )
        return delta

    def _launch(self, q: Tensor, layout: Layout) -> tuple[tuple[int, int], tuple[Tensor, Tensor], tuple[Any, ...]]:
        """Grid, tables, and the numbers every program wants."""
        tiles, spans = layout.tiles(self._tile_of(q))
        heads, size = q.shape[1:]
        if layout.longest * heads * size >= 2**31:
            raise ValueError(f"a sequence of {layout.longest} tokens x {heads * size} values is beyond 32-bit offsets")
        return (tiles.shape[1], heads), (tiles, spans), (tiles.shape[1], spans.shape[1], heads, size, size**-0.5)

    def _tile_of(self, q: Tensor) -> int:
        """In float32 tiles of 64 would not stay in registers."""
        return self._tile or TILES[q.dtype]

    def _slopes(self, bias: AttentionBias, q: Tensor) -> Tensor:
        """Slopes per head, or a pointer that is not read."""
        return q if bias.slopes is None else bias.slopes

    def _formula(self, bias: AttentionBias) -> dict[str, bool]:
        return {"SLOPED": bias.slopes is not None, "CAUSAL": bias.causal}

    def _constants(self, q: Tensor) -> dict[str, Any]:
        return {
            "SIZE": _padded(q.shape[-1]),
            "TILE": self._tile_of(q),
            "PRECISION": "ieee" if q.dtype == torch.float32 else "tf32",
        }
