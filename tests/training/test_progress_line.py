"""What time went to is told apart: compute, data wait, evaluation, saving. Clocks are set by hand."""

from __future__ import annotations

import pytest

from pretrain.training import progress
from pretrain.training.loss_reduction import StepTotals
from pretrain.training.progress import Progress


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
    return line.report({}, 1.25, {"loss_spikes": 1})


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
