"""Programs over rows of tokens (``triton_rows``): which device has them, and how they are launched.

Their plain twins are the formulas of ``norms.py`` and ``mlp.py`` in torch's operations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pretrain.models.device_kind import counting, kind_of
from pretrain.models.dropout import SeededDropout
from pretrain.models.transformer.kernels import kernel_of
from pretrain.models.transformer.kernels.triton_kernel import draws

TILE = 2048  # values that a program holds of each tensor
STRIPS = 512  # at most so many partial sums
COLUMNS, ROWS = 256, 8  # of the inner width, for one program
BLOCK = 1024


class SumNorm(NamedTuple):
    """A norm behind a residual sum, as its programs want it.

    Attributes:
        centered: whether the mean is taken off (layer norm).
        eps: added to the variance.
        drop: dropout of what is added.
    """

    centered: bool
    eps: float
    drop: SeededDropout


def row_programs(device: torch.device) -> Any:
    """The module of the programs, or None where operations of torch do their work."""
    if (stand_ins := counting()) is not None:
        return stand_ins.row_programs
    if kind_of(device) != "cuda" or kernel_of(device)[0] != "triton":
        return None
    from pretrain.models.transformer.kernels import triton_rows

    return triton_rows


def sum_norm(
    programs: Any, norm: SumNorm, x: Tensor, y: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return norm(x + dropout(y)), the sum, and its statistics float32 (2, N): (N, D), (N, D) -> (N, D), (N, D)."""
    tokens, width = x.shape
    total = torch.empty(x.shape, dtype=torch.promote_types(x.dtype, y.dtype), device=x.device)
    out = torch.empty(x.shape, dtype=torch.promote_types(total.dtype, weight.dtype), device=x.device)
    statistics = torch.empty(2, tokens, dtype=torch.float32, device=x.device)
    tile = tile_of(width)
    programs.sum_norm[(-(-tokens // tile["ROWS"]),)](
        x, y, weight, weight if bias is None else bias, total, out, statistics, tokens, width, norm.eps,
        *draws(norm.drop), CENTERED=norm.centered, HAS_BIAS=bias is not None, DROP=norm.drop.rate > 0, **tile,
    )  # fmt: skip
    return out, total, statistics


def sum_norm_backward(
    programs: Any,
    norm: SumNorm,
    grad: Tensor,
    grad_sum: Tensor | None,
    kept: tuple[Tensor, Tensor, Tensor],
    dtypes: tuple[torch.dtype, torch.dtype],
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of a norm behind a sum.

    Args:
        programs: as from ``row_programs``.
        norm: as in ``sum_norm``.
        grad: gradient of the norm (N, D).
        grad_sum: gradient of the sum, if something else reads it.
        kept: the sum, its statistics, and the weight.
        dtypes: of x and y.

    Returns:
        Gradients of x and y (N, D); and sums over the tokens (3, D), float32: gradients of weight, bias and y's bias.
    """
    total, statistics, weight = kept
    tokens, width = total.shape
    tile = tile_of(width)
    strip, strips = _strips(tokens, tile["ROWS"])
    dropped = norm.drop.rate > 0
    of_x = torch.empty(total.shape, dtype=dtypes[0], device=total.device)
    of_y = torch.empty(total.shape, dtype=dtypes[1], device=total.device) if dropped else of_x
    sums = torch.empty(strips, 3, width, dtype=torch.float32, device=total.device)
    programs.sum_norm_backward[(strips,)](
        grad, grad if grad_sum is None else grad_sum, total, statistics, weight, of_x, of_y, sums, tokens, width, strip,
        *draws(norm.drop), CENTERED=norm.centered, HAS_DSUM=grad_sum is not None, DROP=dropped, **tile,
    )  # fmt: skip
    return of_x, of_y.to(dtypes[1]), sums.sum(0)


def activated(programs: Any, act: str, drop: SeededDropout, x: Tensor, factor: Tensor | None) -> Tensor:
    """Return dropout(act(x) factor), (N, F)."""
    out, values = torch.empty_like(x), x.numel()
    programs.activate[(-(-values // BLOCK),)](
        x, x if factor is None else factor, out, values, *draws(drop), ACT=act, GATED=factor is not None,
        DROP=drop.rate > 0, BLOCK=BLOCK,
    )  # fmt: skip
    return out


def activated_backward(
    programs: Any, act: str, drop: SeededDropout, grad: Tensor, x: Tensor, factor: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Compute ``activated`` once more, and gradients from that of its result, which is overwritten.

    Returns:
        dropout(act(x) factor), gradients of x and factor, each (N, F); and their sums over the tokens, float32 (2, F),
        or (1, F) without factor.
    """
    tokens, width = x.shape
    strip, strips = _strips(tokens, ROWS)
    inner = torch.empty_like(x)
    of_factor = None if factor is None else torch.empty_like(factor)
    sums = torch.empty(strips, 1 if factor is None else 2, width, dtype=torch.float32, device=x.device)
    programs.activate_backward[(strips, -(-width // COLUMNS))](
        grad, x, x if factor is None else factor, inner, grad, x if of_factor is None else of_factor, sums, tokens,
        width, strip, *draws(drop), ACT=act, GATED=factor is not None, DROP=drop.rate > 0, COLUMNS=COLUMNS, ROWS=ROWS,
    )  # fmt: skip
    return inner, grad, of_factor, sums.sum(0)


def tile_of(width: int) -> dict[str, int]:
    """How a norm's programs are compiled: the power of two that holds a row, rows of a tile, warps that hold it."""
    padded = 1 << (width - 1).bit_length()
    return {"WIDTH": padded, "ROWS": max(1, TILE // padded), "num_warps": min(max(4, padded // 512), 16)}


def _strips(tokens: int, rows: int) -> tuple[int, int]:
    """Tokens of a strip, whole tiles of so many rows; and how many strips there are."""
    tiles = -(-tokens // rows)
    strip = -(-tiles // STRIPS) * rows
    return strip, -(-tokens // strip)
