"""Dropout, residual and norm in one kernel are those of torch's operations."""

import pytest
import torch
from torch import Tensor

from pretrain.models.transformer.norms import ResidualNorm, compiled, plain

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
EPS, WIDTH = 1e-5, 48


def inputs(tokens: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = ((tokens, WIDTH), (tokens, WIDTH), (WIDTH,), (WIDTH,))
    return [torch.randn(shape, generator=random).to(device, dtype).requires_grad_() for shape in shapes]


def outcome(function, arguments: list[Tensor]) -> list[Tensor]:
    output = function(*arguments)
    return [output, *torch.autograd.grad(output.float().sin().sum(), arguments)]


def test_the_module_is_the_formula():
    x, y, weight, bias = inputs(7)
    module = ResidualNorm(WIDTH, eps=EPS)
    with torch.no_grad():
        module.weight.copy_(weight), module.bias.copy_(bias)
    expected = plain(EPS, 0.0)(x, y, weight, bias)
    torch.testing.assert_close(module(x, y, 0.0), expected)
    torch.testing.assert_close(module.eval()(x, y, 0.5), expected)
    assert not torch.allclose(module.train()(x, y, 0.5), expected)


def test_one_graph_holds_for_any_number_of_tokens():
    """Captured as for a GPU, but run by torch's operations."""
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    captured = torch.compile(plain(EPS, 0.0), dynamic=True, fullgraph=True, backend=backend)
    for tokens in (7, 12, 30):
        for one, other in zip(outcome(captured, inputs(tokens)), outcome(plain(EPS, 0.0), inputs(tokens)), strict=True):
            torch.testing.assert_close(one, other)
    assert len(graphs) == 1


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_is_the_formula_on_a_gpu(dtype):
    exact = outcome(plain(EPS, 0.0), inputs(300, "cuda", torch.float32))
    got = outcome(compiled(EPS, 0.0), inputs(300, "cuda", dtype))
    for one, other in zip(got, exact, strict=True):
        distance = (one.float() - other).norm() / other.norm()
        assert distance < (1e-5 if dtype == torch.float32 else 1e-2)


@pytest.mark.gpu
@GPU
def test_the_kernel_drops_the_same_values_forwards_and_backwards():
    x, y, weight, bias = inputs(300, "cuda")
    torch.manual_seed(3)
    output = compiled(EPS, 0.25)(torch.zeros_like(x), y, weight, bias)
    (grad,) = torch.autograd.grad(output.square().sum(), y)
    dropped = grad == 0
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.02)
    kept = torch.where(dropped, 0.0, y / 0.75)
    torch.testing.assert_close(output, plain(EPS, 0.0)(torch.zeros_like(x), kept, weight, bias), atol=1e-4, rtol=1e-4)
