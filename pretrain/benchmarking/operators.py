"""Operators of models beside their formulas written plainly: forward and backward pass on one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from data_prep.benchmarks.rows import row
from pretrain.models.batch import PackedBatch
from pretrain.models.convnet.convolution import DilatedConv
from pretrain.models.convnet.settings import ConvNetSettings
from pretrain.models.hyena.operator import HyenaOperator
from pretrain.models.hyena.settings import HyenaSettings
from pretrain.models.transformer.attention import attention, choose_backend
from pretrain.models.transformer.bias import Alibi, alibi_slopes
from pretrain.models.transformer.mlp import Mlp
from pretrain.models.transformer.settings import TransformerSettings

HYENA_CASES = ((1024, 8, 128), (32768, 1, 128))  # tokens of a sequence, sequences, channels
CONVOLUTION_CASES = ((192, 8), (512, 32))  # channels, dilation; kernels of 5
ALIBI_CASE = (12, 64, 8)  # heads, size of one, sequences of 60 to 510 tokens
ALIBI_LAYERS = 4  # that share what is made for a micro-batch
SWIGLU_CASE = (512, 1536, 1024)  # width, inner width, tokens
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
    for width, dilation in CONVOLUTION_CASES:
        ours, peer = convolution_rates(width, dilation)
        name = f"convolution, {width} channels, dilation {dilation}, bf16"
        rows.append(row(name, "k tokens/CPU s", ours, "padded conv1d", peer, ">= 1 x"))
    for dtype in (torch.float32, torch.bfloat16):
        kind = str(dtype).removeprefix("torch.")
        for name, rates in (("attention with ALiBi", alibi_rates), ("SwiGLU", swiglu_rates)):
            ours, peer = rates(dtype)
            rows.append(row(f"{name}, {kind}", "k tokens/CPU s", ours, "plain formula", peer, ""))
    return rows


def hyena_rates(length: int, sequences: int, width: int, rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the rates of ours and the plain form, the best of some rounds after one that does not count."""
    settings = HyenaSettings(16, width, 1, 4 * width, length + 2, pad_token_id=4, mask_token_id=3)
    operator = HyenaOperator(settings)
    tokens = length * sequences
    x, above = torch.randn(tokens, width, requires_grad=True), torch.randn(tokens, width)
    layout = PackedBatch.pack(torch.zeros(tokens, dtype=torch.int64), [length] * sequences).sequence_layout
    return _rates(lambda: operator(x, layout), lambda: plain_hyena(operator, x, sequences), above, rounds)


def convolution_rates(width: int, dilation: int, rounds: int = ROUNDS) -> tuple[float, float]:
    """Ours and the rates of torch's convolution on one padded block, 16 bits, RNAs of 60 to 200 nt."""
    lengths = torch.randint(60, 201, (32,), generator=torch.Generator().manual_seed(0)).tolist()
    settings = ConvNetSettings(
        7, width, 1, 0, 1, intermediate_size=width, first_kernel_size=5, dilation_base=dilation, dilation_cycle=2
    )
    conv = DilatedConv(width, settings, layer=1).bfloat16()
    layout = PackedBatch.pack(torch.zeros(sum(lengths), dtype=torch.int64), lengths).sequence_layout
    x = torch.randn(sum(lengths), width, dtype=torch.bfloat16, requires_grad=True)
    above = torch.randn_like(x)
    real = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).reshape(-1).nonzero()[:, 0]

    def padded() -> Tensor:
        block = x.new_zeros(len(lengths) * max(lengths), width).index_copy(0, real, x)
        y = F.conv1d(
            block.view(len(lengths), -1, width).transpose(1, 2), conv.weight, None, 1, conv.padding, conv.dilation
        )
        return y.transpose(1, 2).reshape(-1, width).index_select(0, real)

    return _rates(lambda: conv(x, layout), padded, above, rounds)


def alibi_rates(dtype: torch.dtype, rounds: int = ROUNDS) -> tuple[float, float]:
    """Rates of packed attention with ALiBi's slopes, and of the formula in autograd's operations."""
    heads, size, sequences = ALIBI_CASE
    lengths = torch.randint(60, 511, (sequences,), generator=torch.Generator().manual_seed(0)).tolist()
    batch = PackedBatch.pack(torch.zeros(sum(lengths), dtype=torch.int64), lengths)
    bias = Alibi(torch.tensor(alibi_slopes(heads)))
    q, k, v = (torch.randn(sum(lengths), heads, size, dtype=dtype, requires_grad=True) for _ in range(3))

    def run(backend: str) -> Tensor:
        layout, x = replace(batch).layout, v  # of a new micro-batch
        for _ in range(ALIBI_LAYERS):
            x, _ = attention(q, k, x, bias, layout, dropout=0.0, backend=backend)
        return x.flatten(1)

    chosen, above = choose_backend(bias, q.device, dtype, head_size=size), torch.randn(len(q), heads * size)
    ours, peer = _rates(lambda: run(chosen), lambda: run("plain"), above.to(dtype), rounds)
    return ours * ALIBI_LAYERS, peer * ALIBI_LAYERS


def swiglu_rates(dtype: torch.dtype, rounds: int = ROUNDS) -> tuple[float, float]:
    """Rates of the MLP that keeps two inner tensors, and of the same layers called one after another."""
    width, inner, tokens = SWIGLU_CASE
    settings = TransformerSettings(
        8, width, 1, 8, inner, tokens, pad_token_id=0, mask_token_id=1, mlp="swiglu", hidden_dropout_prob=0.0
    )
    mlp = Mlp(settings).to(dtype)
    assert mlp.gate is not None
    gate, up, down = mlp.gate, mlp.up, mlp.down
    x = torch.randn(tokens, width, dtype=dtype, requires_grad=True)

    def plain() -> Tensor:
        return F.linear(F.silu(gate(x)) * up(x), down.weight, down.bias)

    return _rates(lambda: mlp(x)[0], plain, torch.randn(tokens, width, dtype=dtype), rounds)


def _rates(ours: Callable[[], Tensor], peer: Callable[[], Tensor], above: Tensor, rounds: int) -> tuple[float, float]:
    """Thousand rows of ``above`` per CPU second of both."""
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds + 1):
        for form, measured in zip((ours, peer), seconds, strict=True):
            start = time.process_time()
            form().backward(above)
            measured.append(time.process_time() - start)
    first, second = (len(above) / 1e3 / min(measured[1:]) for measured in seconds)
    return first, second
