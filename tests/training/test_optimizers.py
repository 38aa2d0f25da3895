"""Optimizers and learning rates equal their formulas."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pretrain.config.sections import Optimizer
from pretrain.training.optim import STATE_KEYS, build_optimizer, fresh_state
from pretrain.training.schedule import learning_rate
from tests.training.corpora import config


def settings(name: str, **changes) -> Optimizer:
    values = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.9, 0.98), "eps": 1e-3, "decay": "all", "momentum": 0.9}
    return Optimizer(name=name, **{**values, **changes})


def trajectory(optimizer_settings: Optimizer, steps: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Parameters after each step, and the gradients that led there, both float64 (steps, n)."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 4).double()
    optimizer = build_optimizer(layer, optimizer_settings)
    values, gradients = [], []
    for step in range(steps):
        optimizer.zero_grad()
        (layer(torch.randn(6, 3).double() * (1 + step)) ** 2).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in layer.parameters()]).numpy().copy())
        optimizer.step()
        values.append(torch.cat([p.detach().flatten() for p in layer.parameters()]).numpy().copy())
    return np.array(values), np.array(gradients)


def start() -> np.ndarray:
    torch.manual_seed(0)
    return torch.cat([p.detach().flatten() for p in nn.Linear(3, 4).double().parameters()]).numpy()


def adam_formula(gradients, style, lr=0.01, decay=0.1, betas=(0.9, 0.98), eps=1e-3) -> np.ndarray:
    """Adam in numpy: L2 decay (adam), decoupled (adamw), or as fairseq writes it."""
    p, m, v, path = start(), 0.0, 0.0, []
    for t, gradient in enumerate(gradients, start=1):
        g = gradient + decay * p if style == "adam" else gradient
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        first, second = 1 - betas[0] ** t, 1 - betas[1] ** t
        if style != "adam":
            p = p - lr * decay * p
        if style == "adamw_fairseq":
            p = p - lr * math.sqrt(second) / first * m / (np.sqrt(v) + eps)
        else:
            p = p - lr * (m / first) / (np.sqrt(v / second) + eps)
        path.append(p)
    return np.array(path)


@pytest.mark.parametrize("name", ["adam", "adamw", "adamw_fairseq"])
def test_adam_in_its_three_forms_equals_the_formula(name):
    values, gradients = trajectory(settings(name))
    np.testing.assert_allclose(values, adam_formula(gradients, name), rtol=1e-10)


def test_the_forms_of_adam_differ_where_it_matters():
    paths = [trajectory(settings(name))[0][-1] for name in ("adam", "adamw", "adamw_fairseq")]
    assert all(np.abs(a - b).max() > 1e-4 for i, a in enumerate(paths) for b in paths[:i])


def test_sgd_with_momentum_equals_the_formula():
    values, gradients = trajectory(settings("sgd", lr=1e-4))
    p, buffer = start(), 0.0
    for value, gradient in zip(values, gradients, strict=True):
        buffer = 0.9 * buffer + gradient + 0.1 * p
        p = p - 1e-4 * buffer
        np.testing.assert_allclose(value, p, rtol=1e-10)


@pytest.mark.parametrize("name", STATE_KEYS)
def test_biases_and_norms_are_spared_from_decay_where_asked(name):
    """Gradients are zero, so that only decay moves anything."""
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Embedding(5, 3))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = build_optimizer(model, settings(name, decay="no_bias_no_norm"))
    for parameter in model.parameters():
        nn.init.ones_(parameter) if parameter.ndim < 2 else None
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer.step()
    for old, parameter in zip(before, model.parameters(), strict=True):
        assert torch.equal(old, parameter) == (parameter.ndim < 2)


ELEMENTWISE = [name for name in STATE_KEYS if name != "muon"]  # muon has its own file


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_fresh_state_is_what_the_optimizer_itself_would_begin_with(name):
    """A resumed optimizer that was never used goes on exactly like a new one."""
    paths = []
    for primed in (False, True):
        torch.manual_seed(1)
        layer = nn.Linear(4, 4)
        optimizer = build_optimizer(layer, settings(name))
        if primed:
            for parameter in layer.parameters():
                optimizer.state[parameter] = fresh_state(name, parameter)
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.ones(2, 4)).square().sum().backward()
            optimizer.step()
        paths.append(layer.weight.detach().clone())
        assert set(STATE_KEYS[name]) <= set(optimizer.state[layer.weight])
    assert torch.equal(*paths)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_an_optimizer_that_went_back_goes_on_like_a_resumed_one(name):
    """A run that rolls back puts older state into an optimizer that has counted further."""
    paths = []
    for used in (False, True):
        torch.manual_seed(1)
        layer, gradient = nn.Linear(4, 4), torch.ones(4, 4)
        optimizer = build_optimizer(layer, settings(name, eps=1e-2))
        layer.weight.grad = gradient
        for _ in range(4 * used):
            optimizer.step()
        torch.manual_seed(1)
        nn.init.normal_(layer.weight)
        optimizer.state[layer.weight] = fresh_state(name, layer.weight, step=2)
        for _ in range(3):
            optimizer.step()
        paths.append(layer.weight.detach().clone())
    assert torch.equal(*paths)


def rates(tmp_path, peak=1.0, **schedule):
    return learning_rate(config(tmp_path, tmp_path, optimizer__lr=peak, schedule=schedule, train__steps=100))


def test_mutberts_schedule_equals_upstream(tmp_path, golden):
    cases = load_file(golden / "mutbert" / "model_cases.safetensors")
    rate = rates(
        tmp_path, 4e-4, name="cosine", warmup_steps=10_000, total_steps=120_000, start_lr=1e-6, min_lr=1e-8
    )  # fmt: skip
    found = [rate(step) for step in cases["sched.steps"].tolist()]
    np.testing.assert_allclose(found, cases["sched.lr"].numpy(), rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "kind", "theirs", "ours"),
    [
        ("linear", "linear", {}, {}),
        ("cosine", "cosine", {}, {}),
        ("constant", "constant_with_warmup", {}, {}),
        ("inverse_sqrt", "inverse_sqrt", {}, {}),
        (
            "wsd",
            "warmup_stable_decay",
            {"num_decay_steps": 20, "num_stable_steps": 73, "decay_type": "linear"},
            {"decay_steps": 20},
        ),
    ],
)
def test_schedules_equal_those_of_transformers(tmp_path, name, kind, theirs, ours):
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = get_scheduler(
        kind, optimizer, num_warmup_steps=7, num_training_steps=100, scheduler_specific_kwargs=theirs
    )
    ours = rates(tmp_path, 0.5, name=name, warmup_steps=7, **ours)
    for step in range(100):
        assert ours(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_the_schedule_of_the_nucleotide_transformer_equals_the_published_values(tmp_path):
    """recipes/nt.md#optimizer; values at which the published formula was evaluated."""
    rate = rates(tmp_path, 1e-4, name="inverse_sqrt", warmup_steps=16_000, start_lr=5e-5)
    published = {0: 5e-5, 1000: 5.3125e-5, 8000: 7.5e-5, 16_000: 1e-4, 20_000: 8.944271909999159e-05, 64_000: 5e-5}
    assert [rate(step) for step in published] == pytest.approx(list(published.values()), rel=1e-12)


def test_the_first_update_may_take_the_rate_of_the_second(tmp_path):
    late, early = (rates(tmp_path, warmup_steps=10, first_step=first) for first in (0, 1))
    assert (late(0), early(0)) == (0.0, 0.1)
    assert [late(step) for step in range(1, 100)] == [early(step) for step in range(1, 100)]


def test_after_its_last_step_a_schedule_stays_at_its_end(tmp_path):
    rate = rates(tmp_path, name="linear", total_steps=50, min_lr=0.2)
    assert rate(49) > 0.2
    assert {rate(step) for step in (50, 51, 10**6)} == {0.2}
