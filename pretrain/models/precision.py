"""The dtype that a module computes in."""

import torch
from torch import Tensor


def computed_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of products with ``x``: that of the autocast around it, or its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
