"""Recurrent attention gives what the formula says, gradients included, and saves what it promises to save."""

import pytest
import torch
from torch import Tensor

from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import attention
from pretrain.models.transformer.kernels.torch_kernel import TorchKernel
from pretrain.models.transformer.recurrent.attention import Recurrent
from pretrain.models.transformer.recurrent.recomputed import Scores, SharedScoreBuffer
from tests.models.test_attention import HEADS, LENGTHS, PADDING, SIZE, random_inputs, saved_bytes


def random_scores(layout: Layout, dtype: torch.dtype = torch.float32, store: bool = True) -> tuple[Recurrent, Tensor]:
    """Scores below a first layer, minus infinity at padded keys, and the leaf they come from."""
    torch.manual_seed(1)
    leaf = torch.randn(HEADS * layout.pairs, dtype=dtype, requires_grad=True)
    packed = leaf * 1.0
    for group, block in zip(layout.groups, layout.split_pairs(packed, HEADS), strict=True):
        if group.key_mask is not None:
            block.data.masked_fill_(~group.key_mask, float("-inf"))
    return scores_of(packed, store), leaf


def scores_of(packed: Tensor, store: bool, shared: bool = False) -> Recurrent:
    buffer = None if store else SharedScoreBuffer(packed.detach())
    return Recurrent(Scores(packed, TorchKernel(), buffer=buffer, shared=shared))


def class_scores(layout: Layout, store: bool, **dtypes: torch.dtype) -> tuple[Recurrent, Tensor]:
    """Scores that follow from classes, and their table."""
    random = torch.Generator().manual_seed(1)
    table = torch.randn(HEADS, 6, 6, dtype=torch.float64, generator=random).requires_grad_()
    classes = torch.randint(6, (len(layout.sequence_of),), generator=random, dtype=torch.uint8)
    scores = Scores.of_classes(table, classes, layout, TorchKernel(), store=store, shared=False, **dtypes)
    return Recurrent(scores), table


@PADDING
@pytest.mark.parametrize("backend", ["plain", "recomputed"])
def test_handed_on_scores_are_those_below_plus_the_product(backend, padding):
    layout = Layout.build(LENGTHS, padding=padding, device="cpu")
    q, k, v = random_inputs()
    below, _ = random_scores(layout)
    packed = below.scores.packed.detach().clone()  # may be overwritten
    got, scores = attention(q, k, v, below, layout, dropout=0.0, backend=backend)
    bounds = layout.cu_seqlens.tolist()
    blocks = [layout.split_pairs(x, HEADS) for x in (packed, scores.scores.packed)]
    row = 0
    for number, group in enumerate(layout.groups):
        for place, length in enumerate(group.lengths):
            part = slice(bounds[row], bounds[row + 1])
            before, after = (block[number][place, :, :length, :length] for block in blocks)
            expected = before + torch.einsum("thc,shc->hts", q[part], k[part]) / SIZE**0.5
            torch.testing.assert_close(after, expected, atol=1e-6, rtol=1e-5)
            y = torch.einsum("hts,shc->thc", expected.softmax(-1), v[part])
            torch.testing.assert_close(got[part], y, atol=1e-6, rtol=1e-5)
            row += 1


def tower(backend: str, layout: Layout, layers: int, store: bool, start: str) -> list[Tensor]:
    """Layers of recurrent attention on top of each other: output, and the gradients of everything."""
    q, k, v = random_inputs(dtype=torch.float64)
    scores, leaf = class_scores(layout, store) if start == "classes" else random_scores(layout, torch.float64, store)
    x = v
    for layer in range(layers):
        x, scores = attention(q * (1 + layer), k + x, x.sin(), scores, layout, dropout=0, backend=backend)
    x.square().sum().backward()
    return [x, q.grad, k.grad, v.grad, leaf.grad]


@PADDING
@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("start", ["classes", "scores"])
def test_recomputed_gradients_through_layers_equal_autograds(padding, layers, store, start):
    layout = Layout.build(LENGTHS, padding=padding, device="cpu")
    expected = tower("plain", layout, layers, True, start)
    for got, wanted in zip(tower("recomputed", layout, layers, store, start), expected, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-10, rtol=1e-10)


@PADDING
@pytest.mark.parametrize("store", [True, False])
def test_a_carrier_brings_the_gradient_that_the_scores_would_have(padding, store):
    layout = Layout.build(LENGTHS, padding=padding, device="cpu")
    results = []
    for dtypes in ({}, {"grad_dtype": torch.float64}):
        q, k, v = random_inputs(dtype=torch.float64)
        (scores, table), x = class_scores(layout, store, **dtypes), v
        for _ in range(3):
            x, scores = attention(q, k + x, x.sin(), scores, layout, dropout=0, backend="recomputed")
        assert (scores.scores.carrier is None) == (not dtypes)
        results.append(torch.autograd.grad(x.square().sum(), (q, k, v, table)))
    assert all(map(torch.equal, *results))


def twelve_layers(tokens: torch.dtype, **dtypes: torch.dtype) -> dict[str, Tensor]:
    """Layers with queries, keys and values of their own: gradients of all, on one sequence and ragged ones."""
    layout = Layout.build([200, 31, 7, 44], padding=0.3, device="cpu")
    random = torch.Generator().manual_seed(5)
    shape = (12, len(layout.sequence_of), HEADS, SIZE)
    weight, *leaves = (torch.randn(shape, generator=random).to(tokens) for _ in range(4))
    q, k, v = (x.requires_grad_() for x in leaves)
    (scores, table), outputs = class_scores(layout, True, **dtypes), []
    for layer in range(12):
        y, scores = attention(q[layer], k[layer], v[layer], scores, layout, dropout=0, backend="recomputed")
        outputs.append(y)
    (torch.stack(outputs) * weight).sum().backward()
    return {"q": q.grad, "k": k.grad, "v": v.grad, "table": table.grad}


def test_what_16_bits_of_scores_and_their_gradient_cost_beside_the_formula():
    """Twelve roundings add up to less than tokens in bfloat16 cost; the table's gradient is a sum in its own dtype."""
    exact = twelve_layers(torch.float64)
    found = {
        "gradient in bfloat16": twelve_layers(torch.float64, grad_dtype=torch.bfloat16),
        "scores in float16": twelve_layers(torch.float64, dtype=torch.float16, grad_dtype=torch.float64),
        "tokens in bfloat16": twelve_layers(torch.bfloat16, dtype=torch.float32, grad_dtype=torch.float32),
        "all three": twelve_layers(torch.bfloat16, dtype=torch.float16, grad_dtype=torch.bfloat16),
    }
    errors = {
        name: {key: ((x.double() - exact[key]).norm() / exact[key].norm()).item() for key, x in grads.items()}
        for name, grads in found.items()
    }
    *others, together = errors.values()
    for found, limit in zip(others, (5e-3, 2.5e-3, 1e-2), strict=True):
        assert max(found.values()) < limit, errors
    assert errors["gradient in bfloat16"]["v"] == 0
    assert all(together[key] < 1.25 * alone for key, alone in errors["tokens in bfloat16"].items()), errors


@PADDING
def test_recomputed_gradients_with_dropout_are_those_of_the_function_computed(padding):
    """Finite differences with the masks held fixed, which only agree if the backward pass draws the same masks."""
    layout = Layout.build([4, 3, 4], padding=padding, device="cpu")
    q, k, v = random_inputs(11, torch.float64)
    scores, leaf = random_scores(layout, torch.float64)
    real = torch.isfinite(scores.scores.packed).detach()

    def function(q: Tensor, k: Tensor, v: Tensor, leaf: Tensor) -> Tensor:
        torch.manual_seed(3)
        below = scores_of(torch.where(real, leaf * 1.0, -torch.inf), True)
        y, above = attention(q, k, v, below, layout, dropout=0.4, backend="recomputed")
        return attention(k, q, y, above, layout, dropout=0.4, backend="recomputed")[0]

    assert torch.autograd.gradcheck(function, (q, k, v, leaf.detach().requires_grad_()))


@pytest.mark.parametrize(("store", "dtype", "stored"), [(True, None, 5), (True, torch.float16, 5), (False, None, 0)])
def test_scores_are_all_that_is_kept_per_pair_of_tokens(store, dtype, stored):
    """Of five layers each keeps its scores; or none does, beside the buffer that all share."""
    layout = Layout.build([128], padding=0.0, device="cpu")
    q, k, v = (x.detach().double().requires_grad_() for x in random_inputs(128))
    buffers = set()

    def run() -> None:
        dtypes = {} if dtype is None else {"dtype": dtype, "grad_dtype": torch.float64}
        handed, x = class_scores(layout, store, **dtypes)[0], v
        for _ in range(5):
            x, handed = attention(q, k, x, handed, layout, dropout=0.1, backend="recomputed")
            buffers.add(handed.scores.packed.data_ptr())

    pairs, tokens = HEADS * 128**2 * (dtype or q.dtype).itemsize, 128 * HEADS * SIZE * 8
    assert stored * pairs <= saved_bytes(run) <= stored * pairs + 12 * tokens
    assert len(buffers) == max(stored, 1)


def test_going_back_twice_through_one_buffer_is_refused():
    layout = Layout.build([6], padding=0.0, device="cpu")
    scores, _ = class_scores(layout, store=False)
    y, _ = attention(*random_inputs(6, torch.float64), scores, layout, dropout=0.0, backend="recomputed")
    y.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="pairing_memory=store"):
        y.sum().backward()


def test_scores_that_others_look_at_are_not_overwritten():
    layout = Layout.build([6], padding=0.0, device="cpu")
    q, k, v = random_inputs(6)
    below, _ = random_scores(layout)
    shared = scores_of(below.scores.packed, True, shared=True)
    with torch.no_grad():
        _, first = attention(q, k, v, shared, layout, dropout=0.0, backend="recomputed")
        before = first.scores.packed.clone()
        _, second = attention(q, k, v, first, layout, dropout=0.0, backend="recomputed")
    assert torch.equal(first.scores.packed, before)
    torch.testing.assert_close(second.scores.packed - before, before - below.scores.packed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_keep_their_precision_whatever_that_of_the_products(dtype):
    layout = Layout.build(LENGTHS, padding=0.1, device="cpu")
    q, k, v = (x.detach().bfloat16().requires_grad_() for x in random_inputs())
    scores, leaf = random_scores(layout, dtype)
    results = []
    for backend in ("plain", "recomputed"):
        y, above = attention(q, k, v, scores, layout, dropout=0.0, backend=backend)
        assert (y.dtype, above.scores.packed.dtype) == (torch.bfloat16, dtype)
        y.float().square().sum().backward(retain_graph=True)
        results.append([y, *(x.grad.clone() for x in (q, k, v, leaf))])
        for x in (q, k, v, leaf):
            x.grad = None
    for expected, got in zip(*results, strict=True):
        assert (got.double() - expected.double()).norm() < 0.02 * expected.double().norm()
