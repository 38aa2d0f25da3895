"""Products of 16 bits on a CPU have multiples of 64 rows: oneDNN compiles, and keeps, code for each number of rows.

Of a layer, forwards and backwards, that is some 3 MB for each number of tokens, never given back, whatever
``ONEDNN_PRIMITIVE_CACHE_CAPACITY`` says (docs/benchmarks.md, "Memory of a CPU run").
"""

from __future__ import annotations

import torch
from torch import Tensor

from pretrain.models.device_kind import kind_of
from pretrain.models.precision import computed_dtype

ROWS = 64  # of some thousand tokens at most one in a hundred is padding then


def whole_rows(index: Tensor, like: Tensor) -> Tensor:
    """Repeat the first of the rows (M,) that are taken of ``like`` until 64 divides their number, where that helps."""
    if kind_of(like.device) != "cpu":
        return index
    more = -len(index) % ROWS if computed_dtype(like) in (torch.bfloat16, torch.float16) else 0
    return torch.cat([index, index[:1].expand(more)]) if more else index
