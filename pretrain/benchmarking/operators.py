"""Operators of models beside their formulas written plainly: forward and backward pass on one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from data_prep.benchmarks.rows import row
from pretrain.models.batch import PackedBatch
from pretrain.models.hyena.operator import HyenaOperator
from pretrain.models.hyena.settings import HyenaSettings

HYENA_CASES = ((1024, 8, 128), (32768, 1, 128))  # tokens of a sequence, sequences, channels
ROUNDS = 5


def plain_hyena(operator: HyenaOperator, x: Tensor, sequences: int) -> Tensor:
    """Apply the operator to sequences of one length, (S * T, D) -> (S * T, D), by its formula with torch.fft."""
    width = x.shape[1]
    z = operator.input(x).view(sequences, -1, 3 * width).transpose(1, 2)  # (S, 3D, T)
    length = z.shape[-1]
    short = operator.short
    z = F.conv1d(z, short.weight, short.bias, padding=short.kernel_size[0] - 1, groups=3 * width)[..., :length]
    x0, x1, v = z.chunk(3, dim=1)
    inner, kernel = v * x1, operator.filter(length)
    spectrum = torch.fft.rfft(inner, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
    y = torch.fft.irfft(spectrum, n=2 * length)[..., :length] + inner * operator.skip[:, None]
    return operator.output((y * x0).transpose(1, 2).reshape(-1, width))


def operator_rows() -> list[dict[str, Any]]:
    """Measure thousand tokens per CPU second of each operator and of its plain form, in turn, on one thread."""
    torch.set_num_threads(1)
    rows = []
    for length, sequences, width in HYENA_CASES:
        ours, peer = hyena_rates(length, sequences, width)
        rows.append(row(f"hyena operator, {length} tokens", "k tokens/CPU s", ours, "torch.fft", peer, ">= 0.9 x"))
    return rows


def hyena_rates(length: int, sequences: int, width: int, rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the rates of ours and the plain form, the best of some rounds after one that does not count."""
    settings = HyenaSettings(16, width, 1, 4 * width, length + 2, pad_token_id=4, mask_token_id=3)
    operator = HyenaOperator(settings)
    tokens = length * sequences
    x, above = torch.randn(tokens, width, requires_grad=True), torch.randn(tokens, width)
    layout = PackedBatch.pack(torch.zeros(tokens, dtype=torch.int64), [length] * sequences).sequence_layout
    forms: list[Callable[[], Tensor]] = [lambda: operator(x, layout), lambda: plain_hyena(operator, x, sequences)]
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for form, measured in zip(forms, seconds, strict=True):
            start = time.process_time()
            form().backward(above)
            measured.append(time.process_time() - start)
    ours, peer = (tokens / 1e3 / min(measured[1:]) for measured in seconds)
    return ours, peer
