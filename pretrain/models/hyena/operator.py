"""The Hyena operator of order 2: a long convolution between two gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pretrain.models.hyena.convolution import ShortConvolution, long_convolution
from pretrain.models.hyena.filters import ImplicitFilter
from pretrain.models.hyena.settings import HyenaSettings
from pretrain.models.layout import Layout
from pretrain.models.memory import Memory


class HyenaOperator(nn.Module):
    """Three projections x0, x1, v, each smoothed over a few tokens; out = W (x0 * (h * (x1 v) + skip x1 v)).

    Parameters: input.{weight (3D, D),bias}, short.{weight (3D, 1, K),bias}, filter.*, skip (D,), output.{weight (D, D),
    bias}. Higher orders, which no published model has, and the published two-sided form, which never sees the tokens
    nearby, are not offered.
    """

    def __init__(self, settings: HyenaSettings) -> None:
        super().__init__()
        self.width = width = settings.hidden_size
        self.input = nn.Linear(width, 3 * width)
        self.short = ShortConvolution(3 * width, settings.short_kernel_size)
        self.filter = ImplicitFilter(settings)
        self.skip = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, layout: Layout, memory: Memory | None = None) -> Tensor:
        """(N, D) in layout order -> (N, D)."""
        if memory is not None:
            return self._remembering(x, len(layout.sequences), memory)
        gates, inner = [], []
        for group, rows in zip(layout.groups, layout.split(self.input(x)), strict=True):
            x0, x1, v = self.short(group.to_blocks(rows).transpose(1, 2)).chunk(3, dim=1)  # (B, D, T) each
            gates.append(x0)
            inner.append(v * x1)
        mixed = long_convolution(inner, self.filter(layout.longest), self.skip)
        parts = [
            group.from_blocks((y * x0).to(x0.dtype).transpose(1, 2))
            for group, x0, y in zip(layout.groups, gates, mixed, strict=True)
        ]
        return self.output(torch.cat(parts) if len(parts) > 1 else parts[0])

    def _remembering(self, x: Tensor, rows: int, memory: Memory) -> Tensor:
        """Compute the same for the prompts, or the newest tokens, of sequences that grow.

        A new token meets all earlier ones in one sum over their gated values (B, T, D), which is all that is kept of
        them; nothing else of the layer is computed again.
        """
        x0, x1, v = self.short(self.input(x).view(rows, -1, 3 * self.width).transpose(1, 2), memory).chunk(3, dim=1)
        inner = (v * x1).float()  # (B, D, t)
        kept = memory.append(self, "inner", inner.transpose(1, 2))  # (B, T, D)
        if memory.tokens:
            kernel = memory.shared(self, lambda: self.filter(memory.longest).T.flip(0).contiguous())  # latest first
            mixed = (kept * kernel[memory.longest - kept.shape[1] :]).sum(dim=1) + self.skip.float() * inner[..., 0]
            mixed = mixed[..., None]
        else:
            (mixed,) = long_convolution([inner], self.filter(inner.shape[-1]), self.skip)
        return self.output((mixed * x0).to(x0.dtype).transpose(1, 2).reshape(x.shape))
