"""The long filter of a Hyena operator: a small network of the position, under an exponential window.

The filter does not depend on the input or its length, so a shorter sequence uses its first values. It is computed in
float32 whatever the precision of the run: an error of its values adds up over the whole sequence.

The three sines share one vector of factors (published files hold it once or three times under different names).
Positions, frequencies and decay rates are constants; they are computed here and are no part of the state dict, where a
run in bfloat16 would round them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretrain.models.hyena.settings import HyenaSettings

FASTEST, SLOWEST, TARGET = 0.3, 1.5, 0.01  # the window falls to TARGET at these shares of the length


class ImplicitFilter(nn.Module):
    """The filter h(t) of each channel, as a network of the position.

    Parameters: input.{weight (W, F),bias}, hidden.{0,1}.{weight (W, W),bias}, frequency (1, W), output.weight (D, W).
    """

    is_filter = True  # for ``optimizer.decay: all_but_filters``

    def __init__(self, settings: HyenaSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.filter_width
        self.input = Float32Linear(settings.filter_features, width)
        self.hidden = nn.ModuleList(Float32Linear(width, width) for _ in range(2))
        self.output = Float32Linear(width, settings.hidden_size, bias=False)
        self.frequency = nn.Parameter(torch.full((1, width), float(settings.filter_frequency)))

    def forward(self, length: int) -> Tensor:
        """Return the first ``length`` values of the filter, float32 (D, T)."""
        device = self.frequency.device
        with torch.autocast(device.type, enabled=False):
            frequency = self.frequency.float()
            x = position_features(self.settings, device)[:length]  # (T, F)
            for layer in (self.input, *self.hidden):
                x = torch.sin(frequency * layer(x))
            return self.output(x).T.contiguous() * window(self.settings, device, length)


class Float32Linear(nn.Linear):
    """A Linear that computes in float32, whatever the type of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """Float32 (T, inputs) -> float32 (T, outputs)."""
        return F.linear(x, self.weight.float(), None if self.bias is None else self.bias.float())


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # kept for later passes, which may need gradients where this one does not
def position_features(settings: HyenaSettings, device: torch.device) -> Tensor:
    """Return t/(P-1), then cosines and negative sines of 2 pi t f / P: float32 (P, F), frequencies f from 1e-4 up."""
    longest, bands = settings.max_position_embeddings, (settings.filter_features - 1) // 2
    position = torch.arange(longest, dtype=torch.float64, device=device)[:, None]
    frequencies = torch.linspace(1e-4, bands - 1, bands, dtype=torch.float64, device=device)
    angle = 2 * math.pi / longest * position * frequencies
    return torch.cat([position / (longest - 1), angle.cos(), -angle.sin()], dim=1).float()


def decay_rates(settings: HyenaSettings, device: torch.device) -> Tensor:
    """Return how fast the window of each channel falls, float32 (D,), evenly spaced from slow to fast."""
    slowest, fastest = (-math.log(TARGET) / share for share in (SLOWEST, FASTEST))
    return torch.linspace(slowest, fastest, settings.hidden_size, device=device)


def window(settings: HyenaSettings, device: torch.device, length: int) -> Tensor:
    """Return exp(-rate t/(P-1)) + shift, float32 (D, T)."""
    share = position_features(settings, device)[:length, 0]
    return torch.exp(-decay_rates(settings, device)[:, None] * share) + settings.filter_shift
