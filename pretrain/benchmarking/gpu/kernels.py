"""The card's ceilings, and attention alone: against the formula in float64, and beside torch's flash kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

from pretrain.benchmarking.gpu.bench import Bench
from pretrain.models.dropout import SeededDropout
from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import attention
from pretrain.models.transformer.bias import NoBias
from pretrain.models.transformer.kernels import kernel_of
from pretrain.models.transformer.kernels.torch_kernel import TorchKernel
from pretrain.models.transformer.recomputed import recomputed_attention
from pretrain.models.transformer.recurrent.attention import Recurrent
from pretrain.models.transformer.recurrent.recomputed import Scores
from pretrain.models.transformer.recurrent.recomputed import recomputed_attention as recurrent_attention

WRONG = {torch.float32: 3e-5, torch.bfloat16: 2e-2}  # relative distance of all values together
HEADS, SIZE = 12, 64


def run_ceilings(bench: Bench) -> None:
    """What the card copies, and what it multiplies in the shapes of a layer of width 768."""
    names = ("torch", "triton", "transformers", "deepspeed", "numpy")
    bench.note("versions", {name: _version(name) for name in names})
    device = torch.cuda.get_device_name(bench.device) if bench.on_gpu else "cpu"
    bench.note("device", device)
    bench.say(f"{device}, {', '.join(f'{name} {_version(name)}' for name in names)}")
    count = 1 << (14 if bench.tiny else 30)
    x = torch.empty(count, dtype=torch.uint8, device=bench.device)
    rate = 2 * count / bench.time(partial(torch.empty_like(x).copy_, x)).ms / 1e6
    bench.note("copy GB/s", rate)
    bench.say(f"copy {rate:,.0f} GB/s")
    del x
    tokens = 32768
    shapes = {
        "8192": (8192, 8192, 8192),
        "projection": (tokens, 768, 768),
        "up": (tokens, 768, 3072),
        "down": (tokens, 3072, 768),
        "gradient of projection": (768, tokens, 768),
        "gradient of up": (3072, tokens, 768),
    }
    for name, shape in shapes.items():
        rows, inner, columns = (min(size, 32) if bench.tiny else size for size in shape)
        a = torch.randn(rows, inner, device=bench.device, dtype=torch.bfloat16)
        b = torch.randn(inner, columns, device=bench.device, dtype=torch.bfloat16)
        rate = 2 * rows * inner * columns / bench.time(partial(torch.matmul, a, b), rounds=20, seconds=2).ms / 1e9
        bench.note(f"gemm {name}", rate)
        bench.say(f"gemm {name:24s} {rate:7.1f} TFLOP/s")
        bench.free()


def run_correct(bench: Bench) -> None:
    """Our attention against the formula in float64, forwards and backwards, on ragged sequences."""
    lengths = bench.sizes([1, 17, 64, 65, 127, 300, 511, 1024], [1, 9, 17])
    layout = Layout.build(lengths, padding=0.125, device=bench.device)
    for dtype, limit in WRONG.items():
        for scores in ("none", "store", "rebuild", *(["store in float16"] if dtype != torch.float32 else [])):
            exact = _tower(layout, sum(lengths), torch.float64, scores, bench.device, is_plain=True)
            found = _tower(layout, sum(lengths), dtype, scores, bench.device, is_plain=False)
            distances = [
                float((one.double() - other.double()).norm() / other.double().norm())
                for one, other in zip(found, exact, strict=True)
            ]
            name = f"attention {str(dtype).removeprefix('torch.')}, scores: {scores}"
            verdict = "right" if max(distances) < limit else "WRONG"
            bench.note(name, {"distances": distances, "verdict": verdict})
            bench.say(f"{name}: {verdict}, {', '.join(f'{distance:.1e}' for distance in distances)} from the formula")


def _tower(
    layout: Layout, tokens: int, dtype: torch.dtype, scores: str, device: torch.device, is_plain: bool
) -> list[Tensor]:
    """Output and gradients of three layers whose scores are handed on, or of one without."""
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(tokens, 4, SIZE, generator=random).to(device, dtype).requires_grad_() for _ in range(3))
    kernel = kernel_of(device)[1]
    if scores == "none":
        x = (
            attention(q, k, v, NoBias(), layout, dropout=0.0, backend="plain")[0]
            if is_plain
            else recomputed_attention(q, k, v, NoBias(), layout, SeededDropout(0.0), kernel)
        )
        x.float().square().sum().backward()
        return [x, *(leaf.grad for leaf in (q, k, v) if leaf.grad is not None)]
    wide = torch.promote_types(dtype, torch.float32)
    table = torch.randn(4, 6, 6, generator=random).to(device, wide).requires_grad_()
    classes = torch.randint(6, (tokens,), generator=random, dtype=torch.uint8).to(device)
    if is_plain:
        handed = Scores.of_classes(table, classes, layout, TorchKernel(), store=True, shared=False)
    else:  # as a model would have them beside tokens of this dtype
        handed = Scores.of_classes(
            table, classes, layout, kernel, store=scores != "rebuild", shared=False,
            dtype=torch.float16 if scores.endswith("float16") else None,
            grad_dtype=torch.bfloat16 if dtype == torch.bfloat16 else None,
        )  # fmt: skip
    x = v
    for layer in range(3):
        inputs = q * (1 + 0.1 * layer), k + 0.1 * x, x
        if is_plain:
            x, bias = attention(*inputs, Recurrent(handed), layout, dropout=0.0, backend="plain")
            handed = bias.scores  # type: ignore[union-attr, assignment]
        else:
            x, handed = recurrent_attention(*inputs, handed, layout, SeededDropout(0.0))
    x.float().square().sum().backward()
    return [x, *(leaf.grad for leaf in (q, k, v, table) if leaf.grad is not None)]


def run_programs(bench: Bench) -> None:
    """Each direction of our attention alone, and torch's flash kernel with the same dropout."""
    for full in ([512] * 64, [1024] * 32):
        _alone(bench, bench.sizes(full, [24] * 2))
        bench.free()


def _alone(bench: Bench, lengths: list[int]) -> None:
    kernel = kernel_of(bench.device)[1]
    layout = Layout.build(lengths, padding=0.125, device=bench.device)
    shape = (sum(lengths), HEADS, SIZE)
    q, k, v, grad = (torch.randn(shape, device=bench.device, dtype=torch.bfloat16) for _ in range(4))
    flops = 4.0 * HEADS * layout.pairs * SIZE
    for rate in (0.0, 0.1):
        drop = SeededDropout(rate, 2**40 + 1)
        _, kept = kernel.forward(q, k, v, NoBias(), layout, drop)
        where = f"{len(lengths)} x {lengths[0]}, dropout {rate}"
        forward = partial(kernel.forward, q, k, v, NoBias(), layout, drop)
        backward = partial(kernel.backward, q, k, v, NoBias(), kept, layout, drop, grad)
        _directions(bench, f"ours {where}", flops, forward, backward)
        _flash(bench, f"flash {where}", flops, (q, k, v), grad, layout, rate)
    _with_scores(bench, f"ours {len(lengths)} x {lengths[0]}, scores", (q, k, v, grad), layout)


def _directions(
    bench: Bench, name: str, work: float, forward: Callable[[], object], backward: Callable[[], object]
) -> None:
    there, back = bench.time(forward, seconds=2), bench.time(backward, seconds=2)
    bench.note(name, {"forward_ms": there.ms, "backward_ms": back.ms})
    bench.say(
        f"{name}: forward {there.ms:.3f} ms, {work / there.ms / 1e9:,.0f} TFLOP/s; backward {back.ms:.3f} ms, "
        f"{2.5 * work / back.ms / 1e9:,.0f}"
    )


def _flash(
    bench: Bench, name: str, flops: float, tokens: tuple[Tensor, ...], grad: Tensor, layout: Layout, rate: float
) -> None:
    leaves = [x.detach().requires_grad_() for x in tokens]
    bounds, longest = layout.cu_seqlens, layout.longest

    def forward() -> Tensor:
        return torch.ops.aten._flash_attention_forward(*leaves, bounds, bounds, longest, longest, rate, False, False)[0]

    try:
        output = forward()
    except (RuntimeError, NotImplementedError) as error:
        bench.note(name, str(error).splitlines()[0])
        bench.say(f"{name}: not here")
        return
    _directions(bench, name, flops, forward, lambda: torch.autograd.grad(output, leaves, grad, retain_graph=True))


def _with_scores(bench: Bench, name: str, tokens: tuple[Tensor, ...], layout: Layout) -> None:
    q, k, v, grad = tokens
    kernel, drop, cells = kernel_of(bench.device)[1], SeededDropout(0.1, 2**40 + 1), HEADS * layout.pairs
    table, classes = torch.randn(HEADS, 6, 6, device=bench.device), torch.zeros(len(q), dtype=torch.uint8)
    for kind, dtype, reverse in (("", torch.float32, False), (", rebuilt", torch.float32, True),
                                 (" in float16", torch.float16, False)):  # fmt: skip
        scores = kernel.class_scores(table, classes.to(bench.device), layout, dtype)
        above = torch.zeros_like(scores, dtype=torch.bfloat16)
        forward = partial(kernel.forward, q, k, v, NoBias(), layout, drop, previous=scores, current=scores)
        _, kept = forward()
        backward = partial(
            kernel.backward, q, k, v, NoBias(), kept, layout, drop, grad, scores=scores, grad_scores=above,
            reverse=reverse,
        )  # fmt: skip
        there, back = bench.time(forward, seconds=2), bench.time(backward, seconds=2)
        size = dtype.itemsize  # the gradient is read twice and written once
        rates = 2 * size * cells / there.ms / 1e6, ((2 + reverse) * size + 3 * 2) * cells / back.ms / 1e6
        bench.note(f"{name}{kind}", {"forward_ms": there.ms, "backward_ms": back.ms})
        bench.say(
            f"{name}{kind}: forward {there.ms:.2f} ms, {rates[0]:,.0f} GB/s; backward {back.ms:.2f} ms, "
            f"{rates[1]:,.0f} GB/s"
        )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"
