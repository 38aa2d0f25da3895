"""The two mixers of Evo, its gated MLP and its norm.

Names of parameters of a layer, the mixer's under ``mixer.``:

    mixer_norm.scale (D,)   mlp_norm.scale (D,)   mlp.{gate (F, D),up (F, D),down (D, F)}.weight
    convolution: input.{weight (3D, D),bias}   short.{weight (3D, 1, K),bias}   filter.{poles,residues} (D, S, 1, 2)
                 skip (D,)   output.{weight (D, D),bias}
    attention:   qkv.{weight (3D, D),bias}   output.{weight (D, D),bias}
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.hyena.convolution import ShortConvolution, long_convolution
from pretrain.models.layout import Layout
from pretrain.models.memory import Memory
from pretrain.models.striped_hyena.filters import ModalFilter
from pretrain.models.striped_hyena.settings import StripedHyenaSettings
from pretrain.models.transformer.attention import attention, choose_backend
from pretrain.models.transformer.bias import Causal
from pretrain.models.transformer.positions import rotate_both
from pretrain.models.transformer.remembered import remembered_attention

CAUSAL = Causal()
Rotary = tuple[Tensor, Tensor]


class RootNorm(nn.Module):
    """scale x / (rms(x) + eps): eps stands outside the root, unlike in torch's RMSNorm."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        root = torch.linalg.vector_norm(x.float(), dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return self.scale * (x / (root + self.eps)).to(self.scale.dtype)


class GatedConvolution(nn.Module):
    """y = (h * (x1 v) + skip x1 v) x2, the three projections interleaved head by head."""

    def __init__(self, settings: StripedHyenaSettings) -> None:
        super().__init__()
        width, self.heads = settings.hidden_size, settings.num_attention_heads
        self.input = nn.Linear(width, 3 * width)
        self.short = ShortConvolution(3 * width, settings.short_kernel_size)
        self.filter = ModalFilter(width, settings.state_size)
        self.skip = nn.Parameter(torch.zeros(width))
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, layout: Layout, rotary: Rotary, memory: Memory | None = None) -> Tensor:
        """(N, D) in layout order -> (N, D)."""
        if memory is not None:
            return self._remembering(x, len(layout.sequences), memory)
        gates, inner = [], []
        for group, rows in zip(layout.groups, layout.split(self.input(x)), strict=True):
            x2, x1, v = self._parted(self.short(group.to_blocks(rows).transpose(1, 2)))
            gates.append(x2)
            inner.append(x1 * v)
        mixed = long_convolution(inner, self.filter(layout.longest), self.skip)
        parts = [
            group.from_blocks((y * x2).to(x2.dtype).transpose(1, 2))
            for group, x2, y in zip(layout.groups, gates, mixed, strict=True)
        ]
        return self.output(torch.cat(parts) if len(parts) > 1 else parts[0])

    def _parted(self, z: Tensor) -> tuple[Tensor, ...]:
        """(B, 3D, T) -> x2, x1, v, (B, D, T) each."""
        by_head = z.unflatten(1, (self.heads, 3, -1))
        return tuple(by_head[:, :, part].flatten(1, 2) for part in range(3))

    def _remembering(self, x: Tensor, rows: int, memory: Memory) -> Tensor:
        """Compute the same for the prompts, or the newest tokens, of sequences that grow.

        All that earlier tokens leave is the value of each wave, complex (B, D, S), however many they were.
        """
        x2, x1, v = self._parted(self.short(self.input(x).view(rows, -1, 3 * x.shape[-1]).transpose(1, 2), memory))
        inner = (x1 * v).float()  # (B, D, t)
        waves = self.filter.waves_after(inner, memory.last(self, "waves"))
        memory.leave(self, "waves", waves)
        if memory.tokens:
            mixed = (self.filter.sum_of(waves) + self.skip.float() * inner[..., 0])[..., None]
        else:
            (mixed,) = long_convolution([inner], self.filter(inner.shape[-1]), self.skip)
        return self.output((mixed * x2).to(x2.dtype).transpose(1, 2).reshape(x.shape))


class CausalAttention(nn.Module):
    """Rotary attention to the token itself and those before it; rows of ``qkv`` are queries, keys, values, by head."""

    def __init__(self, settings: StripedHyenaSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.hidden_size
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, layout: Layout, rotary: Rotary, memory: Memory | None = None) -> Tensor:
        """(N, D) in layout order -> (N, D)."""
        settings = self.settings
        q, k, v = self.qkv(x).view(len(x), 3, settings.num_attention_heads, settings.head_size).unbind(1)  # (N, H, h)
        q, k = rotate_both(q, k, *rotary)
        if memory is not None:
            by_row = (len(layout.sequences), -1, *k.shape[1:])
            keys, values = (memory.append(self, name, new.view(by_row)) for name, new in (("keys", k), ("values", v)))
            if memory.tokens:
                return self.output(remembered_attention(q, keys, values, CAUSAL).flatten(1))
        rate = settings.attention_probs_dropout_prob if self.training else 0.0
        backend = choose_backend(CAUSAL, x.device, q.dtype, rate, settings.head_size)
        y, _ = attention(q, k, v, CAUSAL, layout, dropout=rate, backend=backend)
        return self.output(y.flatten(1))


class GatedMlp(nn.Module):
    """down(gelu(gate(x)) up(x)), exact GELU, no biases."""

    def __init__(self, settings: StripedHyenaSettings) -> None:
        super().__init__()
        width, inner = settings.hidden_size, settings.intermediate_size
        self.gate = nn.Linear(width, inner, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return self.down(F.gelu(self.gate(x)) * self.up(x))
