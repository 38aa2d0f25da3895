"""Every attention back-end gives what the formula says, gradients included, and saves what it promises to save."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import BACKENDS, attention, choose_backend
from pretrain.models.transformer.bias import Alibi, AttentionBias, Causal, NoBias, alibi_slopes
from pretrain.models.transformer.kernels import torch_kernel
from pretrain.models.transformer.recurrent.attention import Recurrent
from pretrain.models.transformer.recurrent.recomputed import Scores

LENGTHS = [9, 4, 9, 1, 12, 5, 11]
HEADS, SIZE = 2, 8
SLOPES = torch.tensor([0.3, 0.07])
BIASES = {"none": NoBias(), "causal": Causal(), "alibi": Alibi(SLOPES), "causal_alibi": Alibi(SLOPES, causal=True)}
PADDING = pytest.mark.parametrize("padding", [0.0, 10.0])
EVERY_BIAS = pytest.mark.parametrize("bias", BIASES.values(), ids=BIASES)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def random_inputs(count: int = sum(LENGTHS), dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, count, HEADS, SIZE, dtype=dtype)
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_()


def formula(q: Tensor, k: Tensor, v: Tensor, bias: AttentionBias) -> Tensor:
    """One sequence, position by position."""
    rows = []
    for i in range(len(q)):
        seen = i + 1 if bias.causal else len(k)
        scores = torch.einsum("hc,shc->hs", q[i], k[:seen]) / SIZE**0.5
        if bias.slopes is not None:
            scores = scores - SLOPES[:, None] * (torch.arange(seen) - i).abs()
        rows.append(torch.einsum("hs,shc->hc", scores.softmax(-1), v[:seen]))
    return torch.stack(rows)


@PADDING
@EVERY_BIAS
@pytest.mark.parametrize("backend", ["plain", "grouped", "recomputed"])
def test_output_and_gradients_are_those_of_the_formula_in_each_sequence(backend, bias, padding):
    layout = Layout.build(LENGTHS, padding=padding, device="cpu")
    inputs = random_inputs(dtype=torch.float64)
    got, handed_on = attention(*inputs, bias, layout, dropout=0.0, backend=backend)
    bounds = layout.cu_seqlens.tolist()
    parts = [slice(*ends) for ends in pairwise(bounds)]
    expected = torch.cat([formula(*(x[part] for x in inputs), bias) for part in parts])
    assert handed_on is bias
    results = [[y, *torch.autograd.grad(y.sin().sum(), inputs)] for y in (got, expected)]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-7)  # slopes are float32


@PADDING
@EVERY_BIAS
def test_recomputed_gradients_with_dropout_are_those_of_the_function_computed(bias, padding):
    """Finite differences with the masks held fixed, which only agree if the backward pass draws the same masks."""
    layout = Layout.build([4, 3, 4], padding=padding, device="cpu")

    def function(*inputs: Tensor) -> Tensor:
        torch.manual_seed(3)
        return attention(*inputs, bias, layout, dropout=0.4, backend="recomputed")[0]

    assert torch.autograd.gradcheck(function, random_inputs(11, torch.float64))


@PADDING
@EVERY_BIAS
@pytest.mark.parametrize("products", [True, False], ids=["products in bfloat16", "products in float32"])
def test_bfloat16_on_a_cpu_is_the_formula_up_to_rounding_whatever_the_products_are_in(
    monkeypatch, products, bias, padding
):
    monkeypatch.setattr(torch_kernel, "_multiplies_bfloat16", lambda: products)
    layout = Layout.build(LENGTHS, padding=padding, device="cpu")
    half = [x.detach().bfloat16().requires_grad_() for x in random_inputs()]
    single = [x.detach().float().requires_grad_() for x in half]  # the very same numbers
    results = []
    for inputs, backend in ((half, "recomputed"), (single, "plain")):
        output = attention(*inputs, bias, layout, dropout=0.0, backend=backend)[0].float()
        results.append([output, *(x.float() for x in torch.autograd.grad(output.sin().sum(), inputs))])
    for one, other in zip(*results, strict=True):
        assert (one - other).norm() < 0.01 * other.norm()  # a bfloat16 has eight bits: 0.4 % each


@pytest.mark.parametrize("bias", [NoBias(), Alibi(SLOPES, causal=True)], ids=["none", "causal_alibi"])
@pytest.mark.parametrize("backend", ["plain", "grouped", "recomputed"])
def test_dropout_of_probabilities_is_unbiased(backend, bias):
    layout = Layout.build([6, 6], padding=0.0, device="cpu")
    q, k, v = random_inputs(12)
    expected, _ = attention(q, k, v, bias, layout, dropout=0.0, backend=backend)
    draws = torch.stack(
        [attention(q, k, v, bias, layout, dropout=0.3, backend=backend)[0].detach() for _ in range(2000)]
    )
    error = (draws.mean(0) - expected).abs() / (draws.std(0) / 2000**0.5)
    assert not torch.equal(draws[0], draws[1])
    assert error.max() < 5  # standard errors


class Penalty(AttentionBias):
    """A bias that no kernel knows: only its formula is there."""

    def __init__(self) -> None:
        self.weight = torch.tensor(0.4, requires_grad=True)

    def dense(self, length: int, device: torch.device) -> Tensor:
        places = torch.arange(length, device=device)
        return -self.weight * ((places[:, None] - places) % 3)[None]


@PADDING
def test_a_bias_that_is_only_a_formula_runs_where_it_can(padding):
    layout, bias = Layout.build(LENGTHS, padding=padding, device="cpu"), Penalty()
    results = []
    for backend in ("plain", choose_backend(bias, CPU, torch.float32)):
        inputs = (*random_inputs(), bias.weight)
        y, _ = attention(*inputs[:3], bias, layout, dropout=0.0, backend=backend)
        results.append([y, *torch.autograd.grad(y.sin().sum(), inputs)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="do not know Penalty"):
        attention(*random_inputs(), bias, layout, dropout=0.0, backend="recomputed")


def saved_bytes(function) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(kept.values())


@EVERY_BIAS
def test_nothing_is_kept_per_pair_of_tokens(bias):
    layout = Layout.build([256], padding=0.0, device="cpu")
    q, k, v = random_inputs(256)
    kept = saved_bytes(lambda: attention(q, k, v, bias, layout, dropout=0.1, backend="recomputed"))
    assert kept == 3 * 256 * HEADS * SIZE * 4


class Large(TorchDispatchMode):
    """Storages of at least ``size`` values that are made."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.kept, self.storages = size, [], set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.numel() >= self.size:
            self.kept.append(result)  # so that no address is used twice
            self.storages.add(result.untyped_storage().data_ptr())
        return result


@EVERY_BIAS
@pytest.mark.parametrize("padding", [0.0, 10.0])
def test_a_bias_takes_no_memory_per_head_and_pair_of_tokens(bias, padding):
    """As many large tensors are made, forwards and backwards, as without any bias."""
    counts = []
    for which in (NoBias(), bias):
        layout = Layout.build([60, 64], padding=padding, device="cpu")
        with Large(HEADS * 60**2) as large:
            attention(*random_inputs(124), which, layout, dropout=0.0, backend="recomputed")[0].sum().backward()
        counts.append(len(large.storages))
    assert counts[0] == counts[1] > 0


def test_the_fastest_back_end_that_can_do_it_is_chosen():
    no, causal, alibi = NoBias(), Causal(), Alibi(SLOPES)
    half, single = torch.bfloat16, torch.float32
    for bias in (no, causal):
        assert choose_backend(bias, CUDA, half) == "varlen"
        assert choose_backend(bias, CUDA, single) == "recomputed"
        assert choose_backend(bias, CUDA, half, head_size=20) == "recomputed"
    for bias in (no, causal, alibi):
        for dtype in (half, single):
            assert choose_backend(bias, CPU, dtype) in ("grouped", "recomputed")  # as measured
            assert choose_backend(bias, CPU, dtype, 0.1) == "recomputed"
    assert choose_backend(alibi, CUDA, half) == "recomputed"
    recurrent = Recurrent(Scores(torch.zeros(0), torch_kernel.TorchKernel()))
    assert {choose_backend(recurrent, device, half) for device in (CPU, CUDA)} == {"recomputed"}
    assert {choose_backend(Penalty(), device, half, 0.1) for device in (CPU, CUDA)} == {"grouped"}


def test_what_sdpa_adds_to_scores_is_made_once_for_all_layers_unless_it_is_learned(monkeypatch):
    made = []

    class Counted(Alibi):
        def dense(self, length, device):
            made.append(length)
            return super().dense(length, device)

    layout = Layout.build(LENGTHS, padding=0.2, device="cpu")
    for slopes, expected in ((SLOPES, 1), (SLOPES.clone().requires_grad_(), 2)):
        bias, inputs = Counted(slopes), random_inputs(sum(LENGTHS))
        made.clear()
        for _ in range(2):
            attention(*inputs, bias, layout, dropout=0.0, backend="grouped")
        assert made == [max(LENGTHS)] * expected


def test_the_choice_is_logged_once(caplog):
    from pretrain.models.transformer import attention as module

    module._log_choice.cache_clear()
    with caplog.at_level("INFO", logger="polymerase"):
        for _ in range(3):
            choose_backend(NoBias(), CPU, torch.float32, 0.1)
    assert [record.getMessage() for record in caplog.records] == [
        "attention: recomputed back-end, torch kernels, float32 on cpu"
    ]


def test_slopes_are_powers_and_those_between_them():
    assert alibi_slopes(4) == [1 / 4, 1 / 16, 1 / 64, 1 / 256]
    assert alibi_slopes(6) == [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]
    assert alibi_slopes(1) == [1 / 256]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@EVERY_BIAS
def test_back_ends_agree_on_a_gpu(bias):
    layout = Layout.build(LENGTHS, padding=0.2, device="cuda")
    torch.manual_seed(0)
    q, k, v = torch.randn(3, sum(LENGTHS), 2, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    if bias.slopes is not None:
        bias = Alibi(SLOPES.cuda(), bias.causal)
    able = [backend for backend in BACKENDS if backend != "varlen" or bias.slopes is None]
    expected, *others = (attention(q, k, v, bias, layout, dropout=0.0, backend=backend)[0] for backend in able)
    for output in others:
        torch.testing.assert_close(output, expected, atol=2e-2, rtol=2e-2)
