"""Causal convolutions as long as the sequence: by FFT, in float32 whatever the precision of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pretrain.models.device_kind import kind_of
from pretrain.models.memory import Memory

# Values of one FFT call: on a CPU few enough to stay in its cache from the FFT to the product and back, on a GPU few
# enough for the spectra of a million tokens to take no more memory than the activations themselves
CHUNK = {"cpu": 1 << 19, "cuda": 1 << 26}


def direct_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Compute y[t] = sum of kernel[j] x[t - j] over j <= t, term by term: (B, D, T), (D, >= T) -> (B, D, T).

    Memory and time grow with the square of T; the fast form is tested against this one.
    """
    length = x.shape[-1]
    distance = torch.arange(length, device=x.device)[:, None] - torch.arange(length, device=x.device)
    matrix = kernel[:, distance.clamp(min=0)].masked_fill(distance < 0, 0.0)  # (D, T, T)
    return torch.einsum("dts,bds->bdt", matrix, x)


class ShortConvolution(nn.Conv1d):
    """A causal convolution of each channel over a few tokens. Parameters: weight (C, 1, K), bias (C,)."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(channels, channels, kernel_size, groups=channels, padding=kernel_size - 1)

    def forward(self, block: Tensor, memory: Memory | None = None) -> Tensor:
        """(B, C, T) -> (B, C, T): weight[-1] belongs to the token itself, weight[0] to the earliest one."""
        if memory is None:
            return super().forward(block)[..., : block.shape[-1]]
        before = memory.last(self, "before")
        behind = F.pad(block, (self.kernel_size[0] - 1, 0)) if before is None else torch.cat([before, block], dim=-1)
        memory.leave(self, "before", behind[..., behind.shape[-1] - self.kernel_size[0] + 1 :])
        return F.conv1d(behind, self.weight, self.bias, groups=self.groups)


def long_convolution(blocks: Sequence[Tensor], kernel: Tensor, skip: Tensor) -> list[Tensor]:
    """Compute ``direct_convolution`` plus skip x by FFT, in float32, with memory linear in T.

    Args:
        blocks: (B, D, T) of any dtype and several lengths T. Padding is on the right, where no output depends on it.
        kernel: (D, >= longest T).
        skip: (D,), added to the kernel at distance 0.

    Returns:
        Float32 blocks of the shapes given.
    """
    return list(_LongConvolution.apply(kernel.float(), skip.float(), *(block.float() for block in blocks)))


def fft_size(length: int) -> int:
    """Return the smallest 2^a or 3 x 2^a that holds a sequence and a filter of ``length`` without wrapping around."""
    power = 1 << (2 * length - 2).bit_length() if length > 1 else 2
    return power * 3 // 4 if power * 3 // 4 >= 2 * length - 1 else power


class _LongConvolution(torch.autograd.Function):
    """Works on few channels at a time and keeps inputs only: spectra, twice as long, are made again where needed.

    The spectrum of a one at distance 0 is one everywhere, so the skip is added to the spectrum of the kernel.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, kernel: Tensor, skip: Tensor, *blocks: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(kernel, skip, *blocks)
        outputs = tuple(torch.empty_like(block) for block in blocks)
        for size, length, members in _by_size(blocks):
            for part in _channel_parts(kernel, blocks, members, size):
                spectrum = torch.fft.rfft(kernel[part, :length], n=size).add_(skip[part, None])
                for m in members:
                    product = torch.fft.rfft(blocks[m][:, part], n=size).mul_(spectrum)
                    outputs[m][:, part] = torch.fft.irfft(product, n=size)[..., : blocks[m].shape[-1]]
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        kernel, skip, *blocks = ctx.saved_tensors
        grad_kernel, grad_blocks = torch.zeros_like(kernel), tuple(torch.empty_like(block) for block in blocks)
        for size, length, members in _by_size(blocks):
            for part in _channel_parts(kernel, blocks, members, size):
                spectrum = torch.fft.rfft(kernel[part, :length], n=size).add_(skip[part, None]).conj_physical_()
                of_kernel = torch.zeros_like(spectrum)
                for m in members:
                    above = torch.fft.rfft(grads[m][:, part], n=size)
                    own = torch.fft.rfft(blocks[m][:, part], n=size).conj_physical_()
                    of_kernel += own.mul_(above).sum(dim=0)
                    back = torch.fft.irfft(above.mul_(spectrum), n=size)
                    grad_blocks[m][:, part] = back[..., : blocks[m].shape[-1]]
                grad_kernel[part, :length] += torch.fft.irfft(of_kernel, n=size)[..., :length]
        return grad_kernel, grad_kernel[:, 0].clone(), *grad_blocks


def _by_size(blocks: Sequence[Tensor]) -> list[tuple[int, int, list[int]]]:
    """Blocks that share a size of FFT, and with it the spectrum of the filter: size, longest length, their numbers."""
    members: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        members.setdefault(fft_size(block.shape[-1]), []).append(number)
    return [(size, max(blocks[m].shape[-1] for m in numbers), numbers) for size, numbers in members.items()]


def _channel_parts(kernel: Tensor, blocks: Sequence[Tensor], members: list[int], size: int) -> list[slice]:
    """Slices of channels, as many at a time as keep one FFT call within ``CHUNK`` values."""
    rows = max(len(blocks[m]) for m in members)
    step = max(1, CHUNK[kind_of(kernel.device)] // (size * rows))
    return [slice(first, first + step) for first in range(0, kernel.shape[0], step)]
