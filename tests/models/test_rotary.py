"""Queries and keys are rotated together exactly as each alone, in one graph for any number of tokens."""

import pytest
import torch

from pretrain.models.fused import fuse
from pretrain.models.transformer.positions import rotary, rotate, rotate_both


def inputs(tokens: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(tokens)
    q, k = (torch.randn(tokens, 3, 8, generator=random).to(device, dtype).requires_grad_() for _ in range(2))
    angles = torch.rand(tokens, 1, 4, generator=random).repeat(1, 1, 2).to(device) * 6
    return [q, k, angles.cos(), angles.sin()]


def outcome(function, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    q, k = function(*tensors)
    return [q, k, *torch.autograd.grad((q.float().square() + k.float()).sum(), tensors[:2])]


def test_both_are_rotated_as_each_alone():
    q, k, cos, sin = inputs(9)
    together = rotate_both(q, k, cos, sin)
    assert torch.equal(together[0], rotate(q, cos, sin))
    assert torch.equal(together[1], rotate(k, cos, sin))


def test_one_graph_holds_for_any_number_of_tokens():
    """Captured as for a GPU, but run by torch's operations."""
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    captured = torch.compile(rotary, dynamic=True, fullgraph=True, backend=backend)
    for tokens in (7, 12, 30):
        for one, other in zip(outcome(captured, inputs(tokens)), outcome(rotary, inputs(tokens)), strict=True):
            torch.testing.assert_close(one, other)
    assert len(graphs) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernel_is_the_formula_on_a_gpu(dtype):
    exact = outcome(rotary, inputs(300, "cuda"))
    for one, other in zip(outcome(fuse(rotary), inputs(300, "cuda", dtype)), exact, strict=True):
        distance = (one.float() - other).norm() / other.norm()
        assert distance < (1e-5 if dtype == torch.float32 else 1e-2)
