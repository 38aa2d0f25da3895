"""Lines about a run: what time went to is told apart, and all that is asked is there. Clocks are set by hand."""

from __future__ import annotations

import json
import re
from datetime import datetime

import pytest

from pretrain.families import find_family
from pretrain.planning.costs import flops_per_token
from pretrain.planning.utilization import card_named, share_of
from pretrain.training import progress
from pretrain.training.loss_reduction import StepTotals
from pretrain.training.progress import Progress, Shown


class Clock:
    """Wall time and CPU time of a process that has ``cores`` for itself."""

    def __init__(self) -> None:
        self.wall, self.cpu = 100.0, 7.0

    def passes(self, seconds: float, cores: float = 0.0) -> None:
        self.wall += seconds
        self.cpu += cores * seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock.wall)
    monkeypatch.setattr(progress.time, "process_time", lambda: clock.cpu)
    return clock


def interval(line: Progress, clock: Clock, cores: float) -> dict[str, float]:
    """Two steps of 500 tokens, 4 s each; then an evaluation and a save."""
    for step in (1, 2):
        with line.apart("data wait"):
            clock.passes(1.0, 0.1)
        clock.passes(4.0, cores)
        line.advance(step, StepTotals(["mlm"], [75, 75, 1, 2, 500, 0]))
    with line.apart("evaluation"):
        clock.passes(30.0, 2.0)
    with line.apart("saving"):
        clock.passes(5.0, 0.5)
    return line.report({"loss": 1.25}, {"loss_spikes": 1})


def test_speed_is_that_of_training_alone(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(10, 0, is_first=True, on_cpu=True) as line:
        first, second = interval(line, clock, 1.8), interval(line, clock, 0.5)
    assert first["tokens_per_second"] == pytest.approx(1000 / 10)
    assert first["data_wait_fraction"] == pytest.approx(0.2)
    assert first["compute_seconds"] == pytest.approx(8)
    assert (first["evaluation_seconds"], first["saving_seconds"]) == pytest.approx((30, 5))
    assert first["cpu_cores"] == pytest.approx((8 * 1.8) / 8)
    assert second["cpu_cores"] == pytest.approx(0.5)  # a neighbor has the rest
    assert "100 tokens/s  compute 8.0 s on 1.8 cores, data wait 20.0%, evaluation 30.0 s, saving 5.0 s  left" in (
        capsys.readouterr().err
    )


def test_cores_of_the_host_say_nothing_of_a_gpu(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(10, 0, is_first=True) as line:
        interval(line, clock, 1.0)
    assert "compute 8.0 s, data wait" in capsys.readouterr().err


MEANS = {
    "loss": 1.5, "mlm/loss": 1.2, "mlm/hidden/loss": 1.25, "mlm/shown/loss": 0.9, "mlm/accuracy": 0.5,
    "structure/loss": 0.3, "epoch": 0.5, "learning_rate": 1e-3, "gradient_norm": 0.25, "memory_bytes": 3 * 2**30,
}  # fmt: skip


def test_a_line_in_a_file_has_its_time_and_all_that_is_asked(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown(utilization=lambda speed, length, share: speed * length * share / 1e5)
    with Progress(10, 0, is_first=True, shown=shown) as line:
        clock.passes(10.0)
        line.advance(2, StepTotals(["mlm"], [100, 100, 1, 2, 500, 0]))
        values = line.report(MEANS, {})
    row = capsys.readouterr().err.splitlines()[-1]
    assert re.match(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  step 2/10  loss 1.5000 \(mlm hidden 1.2500, structure 0.3000\)", row
    )
    assert "accuracy 0.500  epoch 0.50  lr 1.00e-03  gradient 0.25  MFU" in row
    assert "memory 3.00 GiB  50 tokens/s" in row
    assert row.endswith("left 0:00:40")
    tokens = values["tokens_per_second"], 500 / values["sequences_per_step"]
    assert values["mfu"] == pytest.approx(tokens[0] * tokens[1] * values["mlm/target_fraction"] / 1e5)


def test_json_lines_hold_the_same_numbers(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(10, 0, is_first=True, shown=Shown(as_json=True)) as line:
        line.say("starting")
        clock.passes(10.0)
        line.advance(2, StepTotals(["mlm"], [100, 100, 1, 2, 500, 0]))
        line.report(MEANS | {"gradient_norm": float("nan")}, {})
    first, *_, last = [json.loads(row) for row in capsys.readouterr().err.splitlines()]
    assert first["message"] == "starting"
    assert (last["step"], last["mlm/hidden/loss"], last["gradient_norm"], last["seconds_left"]) == (2, 1.25, "nan", 40)
    assert datetime.fromisoformat(last["time"]).tzinfo is not None


def test_what_is_to_come_is_told_once_when_the_speed_is_known(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1000, 0, is_first=True) as line:
        line.milestones = {"first evaluation": 500, "end": 1000}
        for step in (1, 2):
            clock.passes(3600.0)
            line.advance(step, StepTotals(["mlm"], [100, 100, 1, 2, 500, 0]))
            line.report({"loss": 1.0}, {})
    said = [row for row in capsys.readouterr().err.splitlines() if "at this speed" in row]
    assert len(said) == 1
    found = re.search(r"first evaluation (.{16}), end (.{16})$", said[0])
    assert found
    first, end = (datetime.strptime(text, "%Y-%m-%d %H:%M") for text in found.groups())
    assert (end - first).total_seconds() == 500 * 3600


def test_the_share_of_a_cards_peak_follows_from_operations_and_ranks() -> None:
    settings = find_family("ernie_rna").resized({"num_hidden_layers": 2})
    card = card_named("NVIDIA H100 80GB HBM3")
    assert card is not None
    assert card_named("Some other card") is None
    share = share_of(card, settings, "bf16", 2)(1e6, 100.0, 0.15)
    assert share == pytest.approx(1e6 * flops_per_token(settings, 100.0, 0.15) / (2 * 989e12))
