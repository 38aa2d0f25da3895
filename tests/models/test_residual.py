"""Norms, alone and behind dropout and a residual sum, are their formula; the programs of a GPU: test_triton.py."""

import pytest
import torch
from torch import Tensor

from pretrain.models.transformer.norms import NORMS
from tests.models.test_attention import saved_bytes

EPS, WIDTH = 1e-5, 48
KINDS = pytest.mark.parametrize("kind", NORMS)


def inputs(kind: str, tokens: int) -> list[Tensor]:
    """x, y, weight, and the bias of a norm that has one."""
    random = torch.Generator().manual_seed(0)
    shapes = [(tokens, WIDTH), (tokens, WIDTH), (WIDTH,)] + [(WIDTH,)] * (kind == "layer")
    return [torch.randn(shape, generator=random) for shape in shapes]


@KINDS
def test_norms_are_their_formula(kind):
    x, _, weight, *bias = inputs(kind, 7)
    module = NORMS[kind].alone(WIDTH, EPS)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), (weight, *bias), strict=True):
            parameter.copy_(value)
    centered = x - x.mean(-1, keepdim=True) if kind == "layer" else x
    expected = centered * (centered.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight + sum(bias)
    torch.testing.assert_close(module(x), expected, atol=1e-5, rtol=1e-5)


@KINDS
def test_a_norm_keeps_what_its_entry_says(kind):
    x, module = torch.randn(500, WIDTH, requires_grad=True), NORMS[kind].alone(WIDTH, EPS)
    kept = saved_bytes(lambda: module(x))
    assert NORMS[kind].kept == kept // x.nbytes


@KINDS
def test_behind_a_sum_it_is_the_norm_of_the_sum_and_the_sum(kind):
    x, y, weight, *bias = inputs(kind, 7)
    module = NORMS[kind].behind_sum(WIDTH, EPS)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), (weight, *bias), strict=True):
            parameter.copy_(value)
    expected = NORMS[kind].formula(x + y, weight, bias[0] if bias else None, EPS)
    for normed, total in (module(x, y, None, 0.0), module.eval()(x, y, None, 0.5)):
        torch.testing.assert_close(normed, expected)
        assert torch.equal(total, x + y)
    normed, total = module.train()(x, y, None, 0.5)
    dropped = total == x
    assert 0.35 < dropped.float().mean() < 0.65
    torch.testing.assert_close(total, torch.where(dropped, x, x + 2 * y), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(normed, NORMS[kind].formula(total, weight, bias[0] if bias else None, EPS))
