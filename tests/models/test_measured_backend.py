"""On a CPU the back-end of attention is the one that was measured to be faster, once, and kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from pretrain.models.transformer import measured
from pretrain.models.transformer.attention import choose_backend
from pretrain.models.transformer.bias import NoBias
from pretrain.models.transformer.measured import faster

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("POLYMERASE_CACHE", str(tmp_path))
    measured._decided.clear()
    yield
    measured._decided.clear()


def quick(q: Tensor, k: Tensor, v: Tensor, layout: object) -> Tensor:
    return q + k + v


def slow(q: Tensor, k: Tensor, v: Tensor, layout: object) -> Tensor:
    for _ in range(300):
        q = q + k + v
    return q


def ask(**runs: object) -> str:
    return faster(runs, torch.float32, 8, "NoBias")


def test_the_faster_one_is_taken_whatever_the_order(tmp_path: Path) -> None:
    assert ask(slow=slow, quick=quick) == "quick"
    assert ask(quick=quick, slow=slow) == "quick"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_measured_first_counts_in_later_processes(tmp_path: Path) -> None:
    assert ask(slow=slow, quick=quick) == "quick"
    (kept,) = tmp_path.glob("*.json")
    kept.write_text(json.dumps({"seconds": {"slow": 0.1, "quick": 0.2}}))
    assert ask(slow=slow, quick=quick) == "quick"  # this process has decided
    measured._decided.clear()
    assert ask(slow=slow, quick=quick) == "slow"


@pytest.mark.parametrize("content", ["", "[]", '{"seconds": {}}', '{"seconds": {"slow": "1"}}', '{"seconds": null}'])
def test_a_damaged_file_is_measured_again(content: str, tmp_path: Path) -> None:
    ask(slow=slow, quick=quick)
    (kept,) = tmp_path.glob("*.json")
    kept.write_text(content)
    measured._decided.clear()
    assert ask(slow=slow, quick=quick) == "quick"


def test_without_a_place_to_write_every_process_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POLYMERASE_CACHE", str(tmp_path / "file"))
    assert ask(slow=slow, quick=quick) == "quick"


def test_measuring_draws_none_of_the_runs_random_numbers() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with torch.no_grad():
        assert choose_backend(NoBias(), CPU, torch.float32, head_size=8) in ("grouped", "recomputed")
    assert torch.equal(torch.rand(4), expected)


def test_nothing_is_measured_where_nothing_is_computed(tmp_path: Path) -> None:
    with FakeTensorMode():
        assert choose_backend(NoBias(), CPU, torch.float32, head_size=8) == "grouped"
    assert not list(tmp_path.iterdir())
