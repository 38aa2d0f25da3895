"""Dropout, residual and norm in one kernel are those of torch's operations."""

import pytest
import torch
from torch import Tensor

from pretrain.models.transformer.norms import NORMS, compiled, plain
from tests.models.test_attention import saved_bytes

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
EPS, WIDTH = 1e-5, 48


KINDS = pytest.mark.parametrize("kind", NORMS)


def inputs(kind: str, tokens: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """x, y, weight, and the bias of a norm that has one."""
    random = torch.Generator().manual_seed(0)
    shapes = [(tokens, WIDTH), (tokens, WIDTH), (WIDTH,)] + [(WIDTH,)] * (kind == "layer")
    return [torch.randn(shape, generator=random).to(device, dtype).requires_grad_() for shape in shapes]


def outcome(function, arguments: list[Tensor]) -> list[Tensor]:
    x, y, weight, *bias = arguments
    output = function(x, y, weight, bias[0] if bias else None)
    return [output, *torch.autograd.grad(output.float().sin().sum(), arguments)]


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
def test_the_module_is_the_formula(kind):
    x, y, *parameters = inputs(kind, 7)
    module = NORMS[kind].behind_sum(WIDTH, EPS)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), parameters, strict=True):
            parameter.copy_(value)
    expected = outcome(plain(kind, EPS, 0.0), [x, y, *parameters])[0]
    torch.testing.assert_close(module(x, y, 0.0), expected)
    torch.testing.assert_close(module.eval()(x, y, 0.5), expected)
    assert not torch.allclose(module.train()(x, y, 0.5), expected)


@KINDS
def test_one_graph_holds_for_any_number_of_tokens(kind):
    """Captured as for a GPU, but run by torch's operations."""
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    formula = plain(kind, EPS, 0.0)
    captured = torch.compile(formula, dynamic=True, fullgraph=True, backend=backend)
    for tokens in (7, 12, 30):
        results = outcome(captured, inputs(kind, tokens)), outcome(formula, inputs(kind, tokens))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)
    assert len(graphs) == 1


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@KINDS
def test_the_kernel_is_the_formula_on_a_gpu(dtype, kind):
    exact = outcome(plain(kind, EPS, 0.0), inputs(kind, 300, "cuda", torch.float32))
    got = outcome(compiled(kind, EPS, 0.0), inputs(kind, 300, "cuda", dtype))
    for one, other in zip(got, exact, strict=True):
        distance = (one.float() - other).norm() / other.norm()
        assert distance < (1e-5 if dtype == torch.float32 else 1e-2)


@pytest.mark.gpu
@GPU
def test_the_kernel_drops_the_same_values_forwards_and_backwards():
    x, y, weight, bias = inputs("layer", 300, "cuda")
    torch.manual_seed(3)
    output = compiled("layer", EPS, 0.25)(torch.zeros_like(x), y, weight, bias)
    (grad,) = torch.autograd.grad(output.square().sum(), y)
    dropped = grad == 0
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.02)
    kept = torch.where(dropped, 0.0, y / 0.75)
    expected = plain("layer", EPS, 0.0)(torch.zeros_like(x), kept, weight, bias)
    torch.testing.assert_close(output, expected, atol=1e-4, rtol=1e-4)
