"""Every attention back-end gives what the formula says, gradients included, and saves what it promises to save."""

import pytest
import torch
from torch import Tensor

from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import BACKENDS, attention, choose_backend
from pretrain.models.transformer.recomputed import Scores, SharedScoreBuffer

LENGTHS = [9, 4, 9, 1, 12, 5, 11]
HEADS, SIZE = 2, 8
PADDING = pytest.mark.parametrize("padding", [0.0, 10.0])


def random_inputs(count: int = sum(LENGTHS), dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, count, HEADS, SIZE, dtype=dtype)
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_()


def random_scores(layout: Layout, dtype: torch.dtype = torch.float32, store: bool = True) -> tuple[Scores, Tensor]:
    """Scores below a first layer, minus infinity at padded keys, and the leaf they come from."""
    torch.manual_seed(1)
    leaf = torch.randn(HEADS * layout.pairs, dtype=dtype, requires_grad=True)
    packed = leaf * 1.0
    for group, block in zip(layout.groups, layout.split_pairs(packed, HEADS), strict=True):
        if group.key_mask is not None:
            block.data.masked_fill_(~group.key_mask, float("-inf"))
    return scores_of(packed, store), leaf


def scores_of(packed: Tensor, store: bool, shared: bool = False) -> Scores:
    return Scores(packed, None if store else SharedScoreBuffer(packed.detach()), shared)


def class_scores(layout: Layout, store: bool) -> tuple[Scores, Tensor]:
    """Scores that follow from classes, and their table."""
    random = torch.Generator().manual_seed(1)
    table = torch.randn(HEADS, 6, 6, dtype=torch.float64, generator=random).requires_grad_()
    classes = torch.randint(6, (len(layout.sequence_of),), generator=random, dtype=torch.uint8)
    return Scores.of_classes(table, classes, layout, store=store, shared=False), table


@PADDING
@pytest.mark.parametrize("backend", ["plain", "grouped", "recomputed"])
def test_attention_is_softmax_inside_each_sequence(backend, padding):
    layout = Layout.build(LENGTHS, padding=padding, device="cpu")
    q, k, v = random_inputs()
    got, scores = attention(q, k, v, None, layout, dropout=0.0, backend=backend)
    assert scores is None
    for start, end in zip(layout.cu_seqlens[:-1], layout.cu_seqlens[1:], strict=True):
        part = slice(int(start), int(end))
        expected = torch.einsum("thc,shc->hts", q[part], k[part]) / SIZE**0.5
        expected = torch.einsum("hts,shc->thc", expected.softmax(-1), v[part])
        torch.testing.assert_close(got[part], expected, atol=1e-6, rtol=1e-5)


@PADDING
@pytest.mark.parametrize("backend", ["plain", "recomputed"])
def test_handed_on_scores_are_those_below_plus_the_product(backend, padding):
    layout = Layout.build(LENGTHS, padding=padding, device="cpu")
    q, k, v = random_inputs()
    below, _ = random_scores(layout)
    packed = below.packed.detach().clone()  # may be overwritten
    got, scores = attention(q, k, v, below, layout, dropout=0.0, backend=backend)
    bounds = layout.cu_seqlens.tolist()
    blocks = [layout.split_pairs(x, HEADS) for x in (packed, scores.packed)]
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
def test_recomputed_gradients_with_dropout_are_those_of_the_function_computed(padding):
    """Finite differences with the masks held fixed, which only agree if the backward pass draws the same masks."""
    layout = Layout.build([4, 3, 4], padding=padding, device="cpu")
    q, k, v = random_inputs(11, torch.float64)
    scores, leaf = random_scores(layout, torch.float64)
    real = torch.isfinite(scores.packed).detach()

    def function(q: Tensor, k: Tensor, v: Tensor, leaf: Tensor) -> Tensor:
        torch.manual_seed(3)
        below = scores_of(torch.where(real, leaf * 1.0, -torch.inf), True)
        y, above = attention(q, k, v, below, layout, dropout=0.4, backend="recomputed")
        return attention(k, q, y, above, layout, dropout=0.4, backend="recomputed")[0]

    assert torch.autograd.gradcheck(function, (q, k, v, leaf.detach().requires_grad_()))


@pytest.mark.parametrize("backend", ["plain", "grouped", "recomputed"])
def test_dropout_of_probabilities_is_unbiased(backend):
    layout = Layout.build([6, 6], padding=0.0, device="cpu")
    q, k, v = random_inputs(12)
    expected, _ = attention(q, k, v, None, layout, dropout=0.0, backend=backend)
    draws = [attention(q, k, v, None, layout, dropout=0.3, backend=backend)[0].detach() for _ in range(2000)]
    error = (torch.stack(draws).mean(0) - expected).abs() / (torch.stack(draws).std(0) / 2000**0.5)
    assert not torch.equal(draws[0], draws[1])
    assert error.max() < 5  # standard errors


def saved_bytes(function) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(kept.values())


@pytest.mark.parametrize(("store", "stored"), [(True, 5), (False, 0)])
def test_scores_are_all_that_is_kept_per_pair_of_tokens(store, stored):
    """Of five layers each keeps its scores; or none does, beside the buffer that all share."""
    layout = Layout.build([128], padding=0.0, device="cpu")
    q, k, v = (x.detach().double().requires_grad_() for x in random_inputs(128))
    buffers = set()

    def run() -> None:
        handed, x = class_scores(layout, store)[0], v
        for _ in range(5):
            x, handed = attention(q, k, x, handed, layout, dropout=0.1, backend="recomputed")
            buffers.add(handed.packed.data_ptr())

    pairs, tokens = HEADS * 128**2 * 8, 128 * HEADS * SIZE * 8
    assert stored * pairs <= saved_bytes(run) <= stored * pairs + 12 * tokens
    assert len(buffers) == max(stored, 1)


def test_going_back_twice_through_one_buffer_is_refused():
    layout = Layout.build([6], padding=0.0, device="cpu")
    scores, _ = class_scores(layout, store=False)
    y, _ = attention(*random_inputs(6, torch.float64), scores, layout, dropout=0.0, backend="recomputed")
    y.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="pairing_memory=store"):
        y.sum().backward()


def test_attention_without_scores_keeps_nothing_per_pair_of_tokens():
    layout = Layout.build([256], padding=0.0, device="cpu")
    q, k, v = random_inputs(256)
    kept = saved_bytes(lambda: attention(q, k, v, None, layout, dropout=0.1, backend="recomputed"))
    assert kept == 3 * 256 * HEADS * SIZE * 4


def test_scores_that_others_look_at_are_not_overwritten():
    layout = Layout.build([6], padding=0.0, device="cpu")
    q, k, v = random_inputs(6)
    below, _ = random_scores(layout)
    shared = scores_of(below.packed, True, shared=True)
    with torch.no_grad():
        _, first = attention(q, k, v, shared, layout, dropout=0.0, backend="recomputed")
        before = first.packed.clone()
        _, second = attention(q, k, v, first, layout, dropout=0.0, backend="recomputed")
    assert torch.equal(first.packed, before)
    torch.testing.assert_close(second.packed - before, before - below.packed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scores_keep_their_precision_whatever_that_of_the_products(dtype):
    layout = Layout.build(LENGTHS, padding=0.1, device="cpu")
    q, k, v = (x.detach().bfloat16().requires_grad_() for x in random_inputs())
    scores, leaf = random_scores(layout, dtype)
    results = []
    for backend in ("plain", "recomputed"):
        y, above = attention(q, k, v, scores, layout, dropout=0.0, backend=backend)
        assert (y.dtype, above.packed.dtype) == (torch.bfloat16, dtype)
        y.float().square().sum().backward(retain_graph=True)
        results.append([y, *(x.grad.clone() for x in (q, k, v, leaf))])
        for x in (q, k, v, leaf):
            x.grad = None
    for expected, got in zip(*results, strict=True):
        assert (got.double() - expected.double()).norm() < 0.02 * expected.double().norm()


def test_the_fastest_back_end_that_can_do_it_is_chosen():
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert choose_backend(cuda, torch.bfloat16, 0.0, False) == "varlen"
    assert choose_backend(cuda, torch.float32, 0.0, False) == "grouped"
    assert choose_backend(cuda, torch.bfloat16, 0.0, False, head_size=20) == "grouped"
    assert choose_backend(cpu, torch.bfloat16, 0.0, False) == "grouped"
    assert choose_backend(cpu, torch.float32, 0.1, False) == "recomputed"
    assert {choose_backend(device, torch.bfloat16, 0.0, True) for device in (cuda, cpu)} == {"recomputed"}


def test_the_choice_is_logged_once(caplog):
    from pretrain.models.transformer import attention as module

    module._log_choice.cache_clear()
    with caplog.at_level("INFO", logger="polymerase"):
        for _ in range(3):
            choose_backend(torch.device("cpu"), torch.float32, 0.1, True)
    assert [record.getMessage() for record in caplog.records] == [
        "attention: recomputed back-end, torch kernels, float32 on cpu"
    ]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_back_ends_agree_on_a_gpu():
    layout = Layout.build(LENGTHS, padding=0.2, device="cuda")
    torch.manual_seed(0)
    q, k, v = torch.randn(3, sum(LENGTHS), 2, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    expected, *others = (attention(q, k, v, None, layout, dropout=0.0, backend=backend)[0] for backend in BACKENDS)
    for output in others:
        torch.testing.assert_close(output, expected, atol=2e-2, rtol=2e-2)
