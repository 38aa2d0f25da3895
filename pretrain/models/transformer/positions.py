"""Position signals that are computed, not stored: fairseq sinusoids and rotary angles."""

import math
from typing import Protocol

import torch
from torch import Tensor

from pretrain.models.device_kind import kind_of
from pretrain.models.fused import fuse
from pretrain.models.transformer.kernels import kernel_of
from pretrain.models.transformer.settings import RopeScaling


class RotarySettings(Protocol):
    """Settings that rotary angles depend on."""

    @property
    def head_size(self) -> int:
        """Width h of a head, even."""

    @property
    def rope_theta(self) -> float:
        """Base of the angles."""

    @property
    def rope_scaling(self) -> RopeScaling | None:
        """Change of positions or base for long sequences; None for none."""

    @property
    def max_position_embeddings(self) -> int:
        """Longest length of training, in tokens."""


def sinusoidal(position_ids: Tensor, width: int, offset: int) -> Tensor:
    """Compute fairseq's sinusoids: positions (N,) -> float32 (N, width), [sin | cos] in halves.

    Row n of the table is the angle n * 10000^(-k/(width/2 - 1)); token 0 uses row ``offset``
    (recipes/ernie_rna.md#model). fairseq keeps a zero row for padding, which packed batches never read.
    """
    half = width // 2
    rates = torch.exp(
        torch.arange(half, dtype=torch.float32, device=position_ids.device) * -(math.log(10000) / (half - 1))
    )
    angles = (position_ids + offset).to(torch.float32)[:, None] * rates[None, :]
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.nn.functional.pad(table, (0, width % 2))


def rotary_angles(position_ids: Tensor, settings: RotarySettings, longest: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, float32 (N, 1, h), half-rotated layout: the h/2 angles stand twice side by side.

    ``longest`` is the longest sequence of this call; with dynamic scaling a call beyond max_position_embeddings raises
    the base for the whole call (recipes/mutbert.md#model). Nothing is remembered between calls.
    """
    size, theta, positions = settings.head_size, settings.rope_theta, position_ids.to(torch.float32)
    scaling = settings.rope_scaling
    if scaling is not None and scaling.type == "linear":
        positions = positions / scaling.factor
    elif scaling is not None and longest > settings.max_position_embeddings:
        stretch = scaling.factor * longest / settings.max_position_embeddings - (scaling.factor - 1)
        theta = theta * stretch ** (size / (size - 2))
    exponents = torch.arange(0, size, 2, dtype=torch.float32, device=position_ids.device) / size
    angles = positions[:, None] * (1.0 / theta**exponents)[None, :]
    doubled = torch.cat([angles, angles], dim=1)[:, None, :]
    return doubled.cos(), doubled.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate queries or keys (N, H, h) by their angles (N, 1, h); computed in float32, returned in x's dtype."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (x * cos + turned * sin).to(x.dtype)


def rotate_both(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate queries and keys, each (N, H, h); on a GPU in one kernel each way instead of a dozen."""
    if kind_of(q.device) == "cuda" and kernel_of(q.device)[0] == "triton":
        return fuse(rotary)(q, k, cos, sin)
    return rotary(q, k, cos, sin)


def rotary(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Rotate both, in torch's operations."""
    return rotate(q, cos, sin), rotate(k, cos, sin)
