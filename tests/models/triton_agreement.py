"""Compares the Triton kernel with its twins; run by test_triton.py, on a GPU or in Triton's interpreter.

Without dropout everything is compared with autograd's own operations. With dropout both kernels draw other masks, so
the masks of the Triton kernel are first read off (values one-hot: its output then shows each probability), and the
formulas are applied with them.
"""

from dataclasses import dataclass

import numpy as np
import torch
import triton.language as tl
from torch import Tensor

from pretrain.models.dropout import SeededDropout
from pretrain.models.fixed_shape import FixedShape
from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import attention
from pretrain.models.transformer.bias import Alibi, Causal, NoBias
from pretrain.models.transformer.kernels.torch_kernel import TorchKernel
from pretrain.models.transformer.kernels.triton_kernel import TritonKernel
from pretrain.models.transformer.recomputed import recomputed_attention
from pretrain.models.transformer.recurrent.attention import Recurrent
from pretrain.models.transformer.recurrent.recomputed import Scores
from pretrain.models.transformer.recurrent.recomputed import recomputed_attention as recurrent_attention

LENGTHS = [9, 4, 33, 1, 33]
HEADS = 2


def random_inputs(device: str, size: int, dtype: torch.dtype) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [
        torch.randn(sum(LENGTHS), HEADS, size, generator=random).to(device, dtype).requires_grad_() for _ in range(3)
    ]


@dataclass(frozen=True)
class How:
    """How a tower of layers is computed: tokens, stored scores and the gradient of scores (None: as the scores)."""

    dtype: torch.dtype
    store: bool = True
    scores: torch.dtype | None = None
    grad: torch.dtype | None = None


def tower(kernel: TritonKernel | None, layout: Layout, device: str, how: How, layers: int = 3) -> list[Tensor]:
    """Layers of recurrent attention: output and all gradients. No kernel: autograd's own operations."""
    q, k, v = random_inputs(device, 8, how.dtype)
    random = torch.Generator().manual_seed(1)
    table = torch.randn(HEADS, 6, 6, generator=random)
    table = table.to(device, torch.promote_types(how.dtype, torch.float32)).requires_grad_()
    classes = torch.randint(6, (sum(LENGTHS),), generator=random, dtype=torch.uint8).to(device)
    scores = Scores.of_classes(
        table, classes, layout, kernel or TorchKernel(), store=how.store, shared=False, dtype=how.scores,
        grad_dtype=how.grad,
    )  # fmt: skip
    x = v
    for layer in range(layers):
        inputs = q * (1 + layer % 3), k + x, x.sin()
        if kernel is None:
            x, above = attention(*inputs, Recurrent(scores), layout, dropout=0.0, backend="plain")
            scores = above.scores
        else:
            x, scores = recurrent_attention(*inputs, scores, layout, SeededDropout(0.0))
    x.to(table.dtype).square().sum().backward()
    return [x, q.grad, k.grad, v.grad, table.grad]


def check_recurrent(device: str, tile: int) -> int:
    full, half = torch.float32, torch.bfloat16
    cases = [(padding, How(full, store)) for padding in (0.0, 10.0) for store in (True, False)]
    cases += [(0.0, How(half)), (10.0, How(half, store=False))]
    for padding, how in cases:
        layout = Layout.build(LENGTHS, padding=padding, device=device)
        exact = tower(None, layout, device, How(torch.float32))
        got = tower(TritonKernel(tile), layout, device, how)
        if how.dtype == torch.float32:
            for one, other in zip(got, exact, strict=True):
                torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
            continue
        rounded = tower(None, layout, device, How(half))
        for one, twin, other in zip(got, rounded, exact, strict=True):  # as exact as bf16 is in plain operations
            assert distance(one, other) < 1.3 * distance(twin, other) < 0.03
    return len(cases)


NARROW = {  # kept in 16 bits beside tokens in bf16
    "float32, one buffer": How(torch.bfloat16, store=False),
    "gradient in bfloat16, one buffer": How(torch.bfloat16, store=False, grad=torch.bfloat16),
    "gradient in bfloat16": How(torch.bfloat16, grad=torch.bfloat16),
    "scores in float16, gradient in bfloat16": How(torch.bfloat16, scores=torch.float16, grad=torch.bfloat16),
}


def check_narrow(device: str, tile: int) -> int:
    """Six layers against the formula in float64: 16 bits are as exact as float32 beside tokens in bf16."""
    layout, errors = Layout.build(LENGTHS, padding=0.0, device=device), dict[str, list[float]]()
    exact = tower(None, layout, device, How(torch.float64), layers=6)
    for name, how in NARROW.items():
        got = tower(TritonKernel(tile), layout, device, how, layers=6)
        errors[name] = [distance(one, other) for one, other in zip(got, exact, strict=True)]
    wide, *narrow = errors.values()
    for found in narrow:
        assert all(one < 1.1 * other for one, other in zip(found, wide, strict=True)), errors
    return len(errors)


def distance(x: Tensor, exact: Tensor) -> float:
    """Relative, of all values together."""
    return ((x.double() - exact.double()).norm() / exact.double().norm()).item()


def check_without_scores(device: str, tile: int) -> int:
    slopes = torch.tensor([0.3, 0.07], device=device)
    biases = NoBias(), Causal(), Alibi(slopes), Alibi(slopes, causal=True)
    cases = [(8, bias) for bias in biases] + [(24, NoBias()), (32, NoBias())]
    layout = Layout.build(LENGTHS, padding=0.0, device=device)
    one_shape = Layout.build(
        LENGTHS,
        padding=0.0,
        device=device,
        fixed=FixedShape.holding(sum(LENGTHS), max(LENGTHS), 1, len(LENGTHS)),
        pads=1,
    )
    assert one_shape.tiles(tile)[0].shape[1] > layout.tiles(tile)[0].shape[1]
    placed = [(layout, *case) for case in cases] + [(one_shape, *case) for case in cases[:4]]
    for layout, size, bias in placed:
        results = []
        for kernel in (None, TritonKernel(tile)):
            inputs = random_inputs(device, size, torch.float32)
            if kernel is None:
                y, _ = attention(*inputs, bias, layout, dropout=0.0, backend="plain")
            else:
                y = recomputed_attention(*inputs, bias, layout, SeededDropout(0.0), kernel)
            y.square().sum().backward()
            results.append([y, *(x.grad for x in inputs)])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    return len(placed)


def check_dropout(device: str, tile: int) -> int:
    """One sequence of T tokens with values of size T: the identity as values shows the dropped probabilities."""
    length, rate = 40, 0.3
    layout = Layout.build([length], padding=0.0, device=device)
    random = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(length, HEADS, length, generator=random).to(device).requires_grad_() for _ in range(3))
    drop, kernel = SeededDropout(rate, 11), TritonKernel(tile)
    eye = torch.eye(length, device=device)[:, None, :].repeat(1, HEADS, 1)
    shown = recomputed_attention(q.detach(), k.detach(), eye, NoBias(), layout, drop, kernel)
    kept = (shown != 0).permute(1, 0, 2)  # (H, T, T)
    assert abs(kept.float().mean().item() - (1 - rate)) < 0.03
    assert not torch.equal(kept[0], kept[1])
    again = recomputed_attention(q.detach(), k.detach(), eye, NoBias(), layout, SeededDropout(rate, 12), kernel)
    assert not torch.equal(shown != 0, again != 0)

    results: list[list[Tensor]] = []
    alibi = Alibi(torch.tensor([0.3, 0.07], device=device), causal=True)
    raw = torch.einsum("ihd,jhd->hij", q, k) / length**0.5 + alibi.dense(length, torch.device(device))
    exact = torch.einsum("hij,jhd->ihd", raw.softmax(-1) * kept / (1 - rate), v)
    for y in (recomputed_attention(q, k, v, alibi, layout, drop, kernel), exact):
        results.append([y, *torch.autograd.grad(y.square().sum(), (q, k, v))])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=5e-5, rtol=1e-4)

    results = []
    for use_kernel in (False, True):
        packed = (
            torch.randn(HEADS * length * 48, generator=torch.Generator().manual_seed(3)).to(device).requires_grad_()
        )
        if use_kernel:
            y, _ = recurrent_attention(q, k, v, Scores(packed * 1.0, kernel), layout, drop)
        else:
            raw = kernel.maps(packed, layout, HEADS)[0] + torch.einsum("ihd,jhd->hij", q, k) / length**0.5
            y = torch.einsum("hij,jhd->ihd", raw.softmax(-1) * kept / (1 - rate), v)
        *grads, of_scores = torch.autograd.grad(y.square().sum(), (q, k, v, packed))
        results.append([y, *grads, kernel.maps(of_scores, layout, HEADS)[0]])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=5e-5, rtol=1e-4)
    return 2


def check_everything(device: str, tile: int) -> int:
    """Number of cases; AssertionError at the first that differs."""
    checks = check_without_scores, check_recurrent, check_narrow, check_dropout
    return sum(check(device, tile) for check in checks)


def repair_bf16() -> None:
    """Triton's interpreter (3.7) keeps bf16 as bits, which it truncates to and multiplies as if they were numbers."""
    from triton.runtime import interpreter

    def numbers(bits: np.ndarray) -> np.ndarray:
        return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).float().numpy()

    def cast(self, src, dst_type):
        kind = dst_type.scalar
        if src.dtype.scalar == tl.bfloat16 and kind == tl.float32:
            return interpreter.TensorHandle(numbers(src.data), kind)
        if src.dtype.scalar == tl.float32 and kind == tl.bfloat16:
            bits = torch.from_numpy(src.data).bfloat16().view(torch.int16).numpy().view(np.uint16)
            return interpreter.TensorHandle(bits, kind)
        return usual_cast(self, src, dst_type)

    def dot(self, a, b, d, *how):
        if a.dtype.scalar == tl.bfloat16:
            a, b = (interpreter.TensorHandle(numbers(x.data), tl.float32) for x in (a, b))
        return usual_dot(self, a, b, d, *how)

    builder = interpreter.InterpreterBuilder
    usual_cast, usual_dot = builder.cast_impl, builder.create_dot
    builder.cast_impl, builder.create_dot = cast, dot


if __name__ == "__main__":
    repair_bf16()
    print(f"{check_everything('cpu', tile=16)} cases agree")
