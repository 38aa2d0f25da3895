"""The long filter of a gated convolution: a sum of decaying waves, in float32 whatever the precision of the run."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


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
