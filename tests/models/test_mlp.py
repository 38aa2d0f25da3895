"""The MLP that computes its inside again is the one that keeps it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pretrain.families import FAMILIES
from pretrain.models.dropout import SeededDropout, apply_mask
from pretrain.models.transformer.mlp import MLPS, ActivatedLinear, Mlp
from pretrain.models.transformer.settings import TransformerSettings
from tests.models.test_attention import saved_bytes

ACTS = {
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "swiglu": F.silu,
    "geglu": F.gelu,
}
NO_DROPOUT = SeededDropout(0.0)
KINDS = pytest.mark.parametrize("kind", MLPS)


def settings(kind: str, **changes) -> TransformerSettings:
    sizes = {"hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 20}
    return replace(FAMILIES["rnaernie2"].settings, **sizes, mlp=kind, **changes)


def plain(mlp: Mlp, kind: str, x: Tensor, drop: SeededDropout = NO_DROPOUT) -> Tensor:
    """The formula in autograd's own operations."""
    a = mlp.up(x) if mlp.gate is None else mlp.gate(x)
    inner = ACTS[kind](a) if mlp.beta is None else a / (1 + torch.exp(-mlp.beta * a))
    if mlp.gate is not None:
        inner = inner * mlp.up(x)
    if drop.rate:
        kept = apply_mask(torch.ones_like(inner), drop.masks(x.device)(inner.detach()))
        inner = inner * kept * drop.scale
    return F.linear(inner, mlp.down.weight, mlp.down.bias)


@KINDS
@pytest.mark.parametrize("beta", ["one", "learned"])
@pytest.mark.parametrize(("bias", "up_bias"), [(True, None), (False, None), (True, False)])
def test_output_and_gradients_are_those_of_autograds_own_operations(kind, beta, bias, up_bias):
    torch.manual_seed(0)
    mlp = Mlp(settings(kind, swiglu_beta=beta, mlp_bias=bias, mlp_up_bias=up_bias)).double()
    assert (mlp.beta is not None) == (kind == "swiglu" and beta == "learned")
    assert (mlp.up.bias is None, mlp.down.bias is None) == (not bias or up_bias is False, not bias)
    if mlp.beta is not None:
        mlp.beta.data.fill_(1.7)
    x = torch.randn(7, 12, dtype=torch.float64, requires_grad=True)
    wanted = (x, *mlp.parameters())
    results = []
    for output in (mlp(x)[0], plain(mlp, kind, x)):
        results.append([output, *torch.autograd.grad(output.sin().sum(), wanted)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


@KINDS
def test_dropout_before_the_last_product_is_the_same_forwards_and_backwards(kind):
    torch.manual_seed(0)
    mlp = Mlp(settings(kind, mlp_dropout="inner", hidden_dropout_prob=0.4)).double()
    x = torch.randn(7, 12, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(5)
    got = mlp(x)[0]
    torch.manual_seed(5)
    expected = plain(mlp, kind, x, SeededDropout.draw(0.4))
    results = [torch.autograd.grad(y.sin().sum(), (x, *mlp.parameters())) for y in (got, expected)]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)
    assert not torch.allclose(got, plain(mlp, kind, x))
    torch.testing.assert_close(mlp.eval()(x)[0], plain(mlp, kind, x))


@KINDS
def test_an_mlp_keeps_what_its_entry_says(kind):
    mlp, x = Mlp(settings(kind)), torch.randn(500, 12, requires_grad=True)
    weights = sum(parameter.nbytes for parameter in mlp.parameters())
    kept = saved_bytes(lambda: mlp(x)[0]) - x.nbytes
    inner = 500 * 20 * 4
    assert MLPS[kind].kept * inner <= kept <= MLPS[kind].kept * inner + weights
    products = sum(isinstance(part, torch.nn.Linear) for part in mlp.modules())
    assert MLPS[kind].products == products


@pytest.mark.parametrize("kind", ["gelu", "swiglu"])
def test_under_autocast_products_are_16_bit_and_gradients_those_of_the_weights(kind):
    torch.manual_seed(0)
    mlp, x = Mlp(settings(kind, swiglu_beta="learned")), torch.randn(7, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output, expected = mlp(x)[0], plain(mlp, kind, x)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output, expected, atol=2e-2, rtol=2e-2, check_dtype=False)
    output.float().sum().backward()
    assert {parameter.grad.dtype for parameter in (x, *mlp.parameters())} == {torch.float32}


def test_the_module_is_called_with_its_input_alone_where_there_is_no_gate():
    module, x = ActivatedLinear(12, 5, "gelu"), torch.randn(7, 12)
    torch.testing.assert_close(module(x)[0], F.linear(F.gelu(x), module.weight, module.bias))
