"""Muon steps hidden matrices as torch's Muon does, and all else as AdamW does; a resumed run goes on with both."""

import pytest
import torch
from torch import nn

from pretrain.config.sections import Optimizer
from pretrain.errors import PolymeraseError
from pretrain.training.muon import MuonAdamW, hidden_matrices
from pretrain.training.optim import build_optimizer, drops_on_device, fresh_state
from tests.training.corpora import config

SETTINGS = Optimizer(name="muon", lr=0.02, weight_decay=0.1)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.ModuleDict(
            {
                "word": nn.Embedding(20, 32),
                "up": nn.Linear(32, 48),
                "down": nn.Linear(48, 32),
                "small": nn.Linear(32, 4),
            }
        )
        self.mlm_head = nn.Linear(32, 20)

    def forward(self) -> torch.Tensor:
        x = self.encoder["word"].weight
        x = self.encoder["down"](self.encoder["up"](x).relu())
        return (self.mlm_head(x).square().sum() + self.encoder["small"](x).square().sum()) * 1e-2


def test_hidden_matrices_are_those_of_the_backbone():
    model = Model()
    assert {id(p) for p in hidden_matrices(model)} == {id(model.encoder[name].weight) for name in ("up", "down")}


def test_each_parameter_takes_the_steps_of_its_own_optimizer():
    ours, theirs = Model(), Model()
    optimizer = build_optimizer(ours, SETTINGS)
    hidden = list(hidden_matrices(theirs))
    rest = [p for p in theirs.parameters() if all(p is not h for h in hidden)]
    oracles = [
        torch.optim.Muon(hidden, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([p for p in rest if p.ndim > 1], lr=0.02, weight_decay=0.1),
        torch.optim.AdamW([p for p in rest if p.ndim < 2], lr=0.02, weight_decay=0.0),
    ]
    for step in range(5):
        for model, steppers in ((ours, [optimizer]), (theirs, oracles)):
            model.zero_grad()
            model().backward()
            for one in steppers:
                for group in one.param_groups:
                    group["lr"] = 0.02 / (1 + step)
                one.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_state_that_was_put_back_goes_on_like_the_state_that_never_left():
    ends = []
    for interrupted in (False, True):
        model = Model()
        optimizer = build_optimizer(model, SETTINGS)
        for step in range(4):
            if interrupted and step == 2:
                kept = {p: dict(optimizer.state[p]) for p in model.parameters()}
                optimizer = build_optimizer(model, SETTINGS)
                assert isinstance(optimizer, MuonAdamW)
                for p, state in kept.items():
                    keys = optimizer.state_keys(p)
                    optimizer.state[p] = fresh_state("muon", p, 2, keys)
                    assert {key for key in state if key != "step"} == set(keys)
                    assert float(state["step"]) == 2
                    for key in keys:
                        optimizer.state[p][key].copy_(state[key])
            model.zero_grad()
            model().backward()
            optimizer.step()
        ends.append([p.detach() for p in model.parameters()])
    assert all(map(torch.equal, *ends))


def test_an_update_is_dropped_whole_by_leaving_gradients_out():
    model = Model()
    optimizer = build_optimizer(model, SETTINGS)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step()
    assert all(map(torch.equal, before, model.parameters()))
    assert not drops_on_device(optimizer)


def test_zero_stages_that_cut_matrices_up_are_refused(tmp_path):
    with pytest.raises(PolymeraseError, match=r"optimizer.name=muon needs engine.zero_stage=0, got 1"):
        config(tmp_path, tmp_path, optimizer__name="muon")
    config(tmp_path, tmp_path, optimizer__name="muon", engine__zero_stage=0)
