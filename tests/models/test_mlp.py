"""The MLP that computes its activation again is the one that keeps it."""

import pytest
import torch
import torch.nn.functional as F

from pretrain.models.transformer.mlp import ACTIVATIONS, ActivatedLinear


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_output_and_gradients_are_those_of_autograds_own_operations(act):
    torch.manual_seed(0)
    module = ActivatedLinear(12, 5, act).double()
    x = torch.randn(7, 12, dtype=torch.float64, requires_grad=True)
    wanted = (x, module.weight, module.bias)
    results = []
    for output in (module(x), F.linear(ACTIVATIONS[act].apply(x), module.weight, module.bias)):
        results.append([output, *torch.autograd.grad(output.sin().sum(), wanted)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


def test_under_autocast_products_are_16_bit_and_gradients_those_of_the_weights():
    module, x = ActivatedLinear(12, 5, "gelu"), torch.randn(7, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output, plain = module(x), F.linear(F.gelu(x), module.weight, module.bias)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output, plain, atol=2e-2, rtol=2e-2)
    output.float().sum().backward()
    assert (x.grad.dtype, module.weight.grad.dtype) == (torch.float32, torch.float32)
