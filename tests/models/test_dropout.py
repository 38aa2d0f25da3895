"""Our CPU dropout is dropout: right rate, right scale, independent values, right gradient, replayable."""

import pytest
import torch

from pretrain.models.dropout import SeededDropout, dropout

CPU = torch.device("cpu")


def mask_of(drop, count):
    masks = drop.masks(CPU)
    assert masks is not None
    return masks(torch.empty(count))


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9])
def test_rate_scale_and_mean(rate):
    torch.manual_seed(0)
    x = torch.ones(1_000_003)
    y = dropout(x, rate, training=True)
    dropped = (y == 0).double().mean().item()
    assert dropped == pytest.approx(rate, abs=5 * (rate * (1 - rate) / 1e6) ** 0.5)
    assert y[y != 0].unique().item() == pytest.approx(1 / (1 - rate), rel=1e-4)


def test_values_are_dropped_independently_of_their_neighbors():
    mask = -mask_of(SeededDropout(0.3, seed=0), 1_000_000).double() - 0.7
    for lag in (1, 2, 3, 4, 8):
        assert abs((mask[lag:] * mask[:-lag]).mean().item()) < 5 * 0.21 / 1000


def test_gradient_is_scaled_where_values_were_kept():
    torch.manual_seed(0)
    x = torch.randn(64, 3, requires_grad=True)
    y = dropout(x, 0.4, training=True)
    y.sum().backward()
    assert torch.equal(x.grad, torch.where(y == 0, 0.0, SeededDropout(0.4).scale))


def test_the_same_seed_gives_the_same_masks_and_another_seed_others():
    masks = [mask_of(SeededDropout(0.5, seed), 1000) for seed in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_nothing_is_drawn_where_nothing_is_dropped():
    state = torch.get_rng_state()
    x = torch.ones(3)
    assert dropout(x, 0.0, training=True) is x
    assert dropout(x, 0.5, training=False) is x
    assert SeededDropout.draw(0.0).masks(CPU) is None
    assert torch.equal(torch.get_rng_state(), state)
