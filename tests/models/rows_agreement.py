"""Compares the programs over rows with torch's operations; run by test_triton.py, on a GPU or in the interpreter.

Masks of dropout are read off first, and the formulas are applied with them.
"""

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.models.dropout import SeededDropout
from pretrain.models.transformer.kernels import rows, triton_rows
from pretrain.models.transformer.kernels.rows import SumNorm
from pretrain.models.transformer.mlp import ACTIVATIONS
from pretrain.models.transformer.norms import NORMS, NormBehindSum
from tests.models.triton_agreement import distance, repair_bf16

TOKENS, WIDTH, EPS, RATE = 37, 48, 1e-5, 0.25  # neither fills its tiles
HALF = torch.bfloat16


def drawn(device: str, *shapes: tuple[int, ...]) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=random).to(device) for shape in shapes]


def close(got: list[Tensor], exact: list[Tensor], dtype: torch.dtype) -> None:
    for one, other in zip(got, exact, strict=True):
        assert distance(one, other) < (2e-6 if dtype == torch.float32 else 6e-3), distance(one, other)


def check_norms(device: str) -> int:
    """Norm and sum, and all gradients, with gradients of either or both coming from above."""
    cases = list(product(NORMS, (0.0, RATE), (torch.float32, HALF), ("norm", "both")))
    for kind, rate, dtype, read in cases:
        norm = SumNorm(kind == "layer", EPS, SeededDropout(rate, 7))
        x, y, weight, bias, y_bias, above, above_sum = (
            t.to(dtype).requires_grad_()
            for t in drawn(device, *[(TOKENS, WIDTH)] * 2, *[(WIDTH,)] * 3, *[(TOKENS, WIDTH)] * 2)
        )
        leaves = [x, y, weight, y_bias] + [bias] * (kind == "layer")

        shown = NormBehindSum.apply(torch.zeros_like(x), torch.ones_like(y), weight, None, None, (triton_rows, norm))[1]
        mask = shown.double() / (1 - RATE if rate else 1)
        mask = (mask != 0) / (1 - rate)
        if rate:
            assert abs((mask == 0).double().mean().item() - rate) < 0.03
        results = []
        for form, to in ((None, torch.float64), (triton_rows, dtype)):
            a, b, w, *c = (leaf.detach().to(to).requires_grad_() for leaf in (x, y, weight, y_bias, bias))
            if form is None:
                total = a + (b + c[0] - c[0].detach()) * mask
                out = NORMS[kind].formula(total, w, c[1] if kind == "layer" else None, EPS)
            else:
                out, total = NormBehindSum.apply(a, b, w, c[1] if kind == "layer" else None, c[0], (form, norm))
            loss = (out * above.to(to)).sum() + ((total * above_sum.to(to)).sum() if read == "both" else 0)
            wanted = [a, b, w, c[0]] + [c[1]] * (kind == "layer")
            results.append([out, total, *torch.autograd.grad(loss, wanted)])
        close(results[1], results[0], dtype)
        assert [result.dtype for result in results[1][2:]] == [leaf.dtype for leaf in leaves]
    return len(cases)


def check_activations(device: str) -> int:
    """The inner values of an MLP twice, and all gradients and their sums over tokens."""
    inner_width = 300  # more than a program's columns
    cases = list(product(ACTIVATIONS, (False, True), (0.0, RATE), (torch.float32, HALF)))
    for act, gated, rate, dtype in cases:
        drop = SeededDropout(rate, 9)
        x, factor, above = (t.to(dtype) for t in drawn(device, *[(TOKENS, inner_width)] * 3))
        ones = torch.ones_like(x)
        mask = (rows.activated(triton_rows, "relu", drop, ones, None) != 0).double() / (1 - rate)
        if rate:
            assert abs((mask == 0).double().mean().item() - rate) < 0.03
        exact = [t.double().requires_grad_() for t in (x, factor)]
        value = ACTIVATIONS[act].apply(exact[0]) * (exact[1] if gated else 1) * mask
        grads = torch.autograd.grad((value * above).sum(), exact[: 1 + gated])
        once = rows.activated(triton_rows, act, drop, x, factor if gated else None)
        again, *got, sums = rows.activated_backward(triton_rows, act, drop, above.clone(), x, factor if gated else None)
        assert torch.equal(once, again)
        got = [grad for grad in got if grad is not None]
        close([once, *got], [value, *grads], dtype)
        close(list(sums), [grad.sum(0) for grad in grads], torch.float32 if dtype == torch.float32 else HALF)
    return len(cases)


def check_seeds(device: str) -> int:
    """Another seed drops other values; another value of one row does not."""
    x = torch.ones(TOKENS, WIDTH, device=device)
    one, same, other = (rows.activated(triton_rows, "relu", SeededDropout(0.5, seed), x, None) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert 0.4 < (one != other).float().mean().item() < 0.6
    assert F.cosine_similarity(one[0], one[1], dim=0).abs() < 0.9
    return 1


def check_everything(device: str) -> int:
    """Number of cases; AssertionError at the first that differs."""
    return check_norms(device) + check_activations(device) + check_seeds(device)


if __name__ == "__main__":
    repair_bf16()
    print(f"{check_everything('cpu')} cases agree")
