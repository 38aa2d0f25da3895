"""The long filter of a gated convolution: a sum of decaying waves, in float32 whatever the precision of the run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_TOGETHER = 512  # values of a prompt whose powers are in memory at a time


class ModalFilter(nn.Module):
    """h[t] = sum over S states of Re(R lambda^t). Parameters: poles and residues (D, S, 1, 2), real and imaginary."""

    is_filter = True  # for ``optimizer.decay: all_but_filters``

    def __init__(self, channels: int, states: int) -> None:
        super().__init__()
        self.poles = nn.Parameter(torch.zeros(channels, states, 1, 2))
        self.residues = nn.Parameter(torch.zeros(channels, states, 1, 2))

    def forward(self, length: int) -> Tensor:
        """Return the first ``length`` values of the filter, float32 (D, T)."""
        with torch.autocast(self.poles.device.type, enabled=False):
            poles, residues = (torch.view_as_complex(p.float().squeeze(2)) for p in (self.poles, self.residues))
            return sum_of_waves(poles, residues, length)

    def waves_after(self, x: Tensor, before: Tensor | None) -> Tensor:
        """Let each wave go on over new values: w[t] = lambda w[t - 1] + x[t].

        Args:
            x: float32 (B, D, t).
            before: complex (B, D, S), the waves so far; None: still.
        """
        poles = torch.view_as_complex(self.poles.float().squeeze(2))
        waves = poles.new_zeros(*x.shape[:2], poles.shape[1]) if before is None else before
        for part in x.split(_TOGETHER, dim=-1):
            time = torch.arange(part.shape[-1] - 1, -1, -1, device=x.device)
            powers = torch.exp(poles.log()[..., None] * time)  # (D, S, t): how much of each value is left at the end
            waves = waves * poles ** part.shape[-1] + torch.einsum("bdt,dst->bds", part.to(poles.dtype), powers)
        return waves

    def sum_of(self, waves: Tensor) -> Tensor:
        """Compute Re(sum R w), complex (B, D, S) -> float32 (B, D): the convolution at the newest value."""
        residues = torch.view_as_complex(self.residues.float().squeeze(2))
        return (residues * waves).real.sum(dim=-1)


def plain_sum_of_waves(poles: Tensor, residues: Tensor, length: int) -> Tensor:
    """Compute Re(sum R lambda^t) term by term: complex (D, S) twice -> (D, T). Takes 8 S bytes per value."""
    time = torch.arange(length, device=poles.device)
    return (residues[..., None] * torch.exp(poles.log()[..., None] * time)).real.sum(dim=1)


def sum_of_waves(poles: Tensor, residues: Tensor, length: int) -> Tensor:
    """Compute ``plain_sum_of_waves`` from two short tables of powers: t = a C + b with C about sqrt(T).

    As lambda^t = (lambda^C)^a lambda^b, the sum over states is one real matrix product per channel, and no tensor of
    size S T exists.
    """
    columns = max(1, math.isqrt(length))
    rows = -(-length // columns)
    logs = poles.log()[..., None]
    far = residues[..., None] * torch.exp(logs * (columns * torch.arange(rows, device=poles.device)))  # (D, S, A)
    near = torch.exp(logs * torch.arange(columns, device=poles.device))  # (D, S, C)
    left = torch.cat([far.real, -far.imag], dim=1).transpose(1, 2)  # (D, A, 2S)
    values = left @ torch.cat([near.real, near.imag], dim=1)  # (D, A, C)
    return values.flatten(1)[:, :length]
