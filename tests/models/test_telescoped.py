"""Recurrent attention without scores of all pairs of tokens is the recurrent attention that has them."""

import pytest
import torch
from torch import Tensor

from pretrain.benchmarking.hardware import live_bytes, peak_bytes
from pretrain.models.layout import Layout
from pretrain.models.transformer.attention import attention
from pretrain.models.transformer.kernels.torch_kernel import TorchKernel
from pretrain.models.transformer.recurrent import factored as telescoped
from pretrain.models.transformer.recurrent.attention import Recurrent
from pretrain.models.transformer.recurrent.factored import FactoredScores
from pretrain.models.transformer.recurrent.recomputed import Scores
from tests.models.test_encoder import batch_of, build, gradients

LENGTHS = [9, 4, 9, 1, 12]
HEADS, SIZE = 2, 8
BLOCKS = pytest.mark.parametrize("cells", [1, 60, 1 << 22])


def inputs(count: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Queries, keys, values, table."""
    random = torch.Generator().manual_seed(0)
    shapes = [(count, HEADS, SIZE)] * 3 + [(HEADS, 6, 6)]
    return [torch.randn(shape, generator=random, dtype=dtype).requires_grad_() for shape in shapes]


def classes_of(count: int) -> Tensor:
    return torch.randint(6, (count,), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def tower(plain: bool, layout: Layout, leaves: list[Tensor]) -> list[Tensor]:
    q, k, v, table = leaves
    classes = classes_of(len(q))
    scores = Recurrent(
        Scores.of_classes(table, classes, layout, TorchKernel(), store=True, shared=False)
        if plain
        else FactoredScores(table, classes)
    )
    x, backend = v, "plain" if plain else "recomputed"
    for layer in range(4):
        layers = (q * (1 + layer), k + x, x.sin())
        x, scores = attention(*layers, scores, layout, dropout=0.0, backend=backend)
    return [x, *torch.autograd.grad(x.square().sum(), leaves)]


@BLOCKS
@pytest.mark.parametrize("padding", [0.0, 10.0])
def test_outputs_and_gradients_through_layers_equal_autograds(cells, padding, monkeypatch):
    monkeypatch.setattr(telescoped, "BLOCK_CELLS", cells)
    layout, leaves = Layout.build(LENGTHS, padding=padding, device="cpu"), inputs(sum(LENGTHS))
    for got, expected in zip(tower(False, layout, leaves), tower(True, layout, leaves), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-10, rtol=1e-10)


def test_gradients_with_dropout_are_those_of_the_function_computed(monkeypatch):
    """Finite differences with the masks held fixed."""
    monkeypatch.setattr(telescoped, "BLOCK_CELLS", 12)
    layout = Layout.build([4, 3], padding=0.0, device="cpu")

    def function(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
        torch.manual_seed(3)
        scores = Recurrent(FactoredScores(table, classes_of(7)))
        y, scores = attention(q, k, v, scores, layout, dropout=0.4, backend="recomputed")
        return attention(k, q, y, scores, layout, dropout=0.4, backend="recomputed")[0]

    assert torch.autograd.gradcheck(function, tuple(inputs(7)))


def test_the_encoder_gives_the_same_with_and_without_scores():
    model, batch = build("ernie_rna", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), batch_of("ernie_rna")
    expected = gradients(model, batch)
    for checkpointed in (False, True):
        model.encoder.pairing.memory, model.encoder.checkpoint_activations = "none", checkpointed
        for name, got in gradients(model, batch).items():
            torch.testing.assert_close(got, expected[name], atol=1e-6, rtol=1e-4)


def test_no_memory_is_taken_for_all_pairs_of_tokens(monkeypatch):
    monkeypatch.setattr(telescoped, "BLOCK_CELLS", 1 << 12)
    layout, leaves = Layout.build([1024], padding=0.0, device="cpu"), inputs(1024, torch.float32)
    before = live_bytes()
    peak = peak_bytes(lambda: tower(False, layout, leaves), torch.device("cpu")) - before
    assert peak < HEADS * 1024**2 * 4 / 2  # half the scores of one layer
