"""The attention bias as a value: nothing, a causal mask, or a penalty on distance.

A new one is a class with ``dense`` and a line in POSITION_BIASES; it then runs on the ``plain`` and ``grouped``
back-ends. The classes here run on every back-end that needs no tensor of all pairs of tokens: kernels read their
``slopes`` and ``causal``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pretrain.models.constants import constant
from pretrain.models.transformer.settings import TransformerSettings


class AttentionBias:
    """A term added to q k^T / sqrt(h) before the softmax; the same in every layer.

    Attributes:
        slopes: (H,), subtracted times the distance of two tokens; None for no penalty.
        causal: whether a token sees only itself and those before it.
        in_kernels: whether slopes and causal describe the whole bias, so that kernels can compute it themselves.
    """

    slopes: Tensor | None = None
    causal: bool = False
    in_kernels: bool = False

    def dense(self, length: int, device: torch.device) -> Tensor | None:
        """Return the bias as float32 (H or 1, T, T) for sequences of ``length`` tokens; None for zero."""
        raise NotImplementedError


class NoBias(AttentionBias):
    """No bias: every token sees every other one."""

    in_kernels = True

    def dense(self, length: int, device: torch.device) -> None:
        """Return None: nothing is added."""


@dataclass(frozen=True)
class Causal(AttentionBias):
    """A mask: a token sees itself and those before it."""

    causal: bool = True
    in_kernels = True

    def dense(self, length: int, device: torch.device) -> Tensor:
        """Return minus infinity at keys after the query, (1, T, T)."""
        return torch.full((1, length, length), -torch.inf, device=device).triu_(1)


@dataclass(frozen=True)
class Alibi(AttentionBias):
    """ALiBi: scores fall linearly with the distance of two tokens, on both sides (Press et al., DNABERT-2)."""

    slopes: Tensor
    causal: bool = False
    in_kernels = True

    def dense(self, length: int, device: torch.device) -> Tensor:
        """Return -slope |i - j|, (H, T, T)."""
        bias = -self.slopes.to(device)[:, None, None] * distances(length, device)
        return bias + Causal().dense(length, device) if self.causal else bias


def distances(length: int, device: torch.device) -> Tensor:
    """Return |i - j|, float32 (T, T)."""
    places = torch.arange(length, device=device, dtype=torch.float32)
    return (places[:, None] - places).abs_()


def alibi_slopes(heads: int) -> list[float]:
    """Return one slope per head: powers of 2^(-8/H) if H is a power of two.

    Otherwise those of the largest power of two below H, then every second one of twice that power.
    """
    power = 1 << (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (n + 1) / power) for n in range(power)]
    between = [2 ** (-4 * (n + 1) / power) for n in range(0, 2 * power, 2)]
    return slopes + between[: heads - power]


def _alibi(settings: TransformerSettings, device: torch.device) -> Alibi:
    return Alibi(constant(tuple(alibi_slopes(settings.num_attention_heads)), device, torch.float32), settings.causal)


# position_embedding_type -> bias; other types of positions have none
POSITION_BIASES: dict[str, Callable[[TransformerSettings, torch.device], AttentionBias]] = {
    "alibi": _alibi,
}


def position_bias(settings: TransformerSettings, device: torch.device) -> AttentionBias:
    """Build the bias that these settings ask for."""
    make = POSITION_BIASES.get(settings.position_embedding_type)
    if make is not None:
        return make(settings, device)
    return Causal() if settings.causal else NoBias()
