"""A forecast says what a larger run will reach, with an interval that means something, and then checks itself."""

import json
import subprocess
import sys

import numpy as np
import pytest

from pretrain.errors import PolymeraseError
from pretrain.planning.scaling_law import Rung, fit_law, interval
from tests.hang import HANG_S


def ladder(noise: float, seed: int, sizes=(1e5, 3e5, 1e6)) -> list[Rung]:
    """Losses of 0.9 + 0.2 (N / 1e5)^-0.4 + 0.3 (D / 1e6)^-0.5, with noise."""
    generator = np.random.default_rng(seed)
    return [
        Rung(int(n), d, 0.9 + 0.2 * (n / 1e5) ** -0.4 + 0.3 * (d / 1e6) ** -0.5 + generator.normal(0, noise))
        for n in sizes
        for d in np.linspace(1e6, 5e6, 8)
    ]


def test_a_law_without_noise_is_found_and_said_of_a_run_beyond_the_ladder():
    law = fit_law(ladder(0.0, 0))
    truth = 0.9 + 0.2 * 100**-0.4 + 0.3 * 20**-0.5
    assert float(law.loss(1e7, 2e7)) == pytest.approx(truth, abs=2e-3)
    assert law.residual < 1e-4


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    truth = 0.9 + 0.2 * 20**-0.4 + 0.3 * 8**-0.5
    held, widths = 0, []
    for seed in range(20):
        points = ladder(0.004, seed)
        low, high = interval(points, fit_law(points), 2_000_000, 8e6, seed)
        held += low <= truth + np.random.default_rng(1000 + seed).normal(0, 0.004) <= high
        widths.append(high - low)
    assert held >= 16  # of 20; 95 % is 19
    assert 0.004 < np.median(widths) < 0.1


def test_what_a_ladder_cannot_say_is_one_line():
    with pytest.raises(PolymeraseError, match="5 points are too few for a law of 5 constants: expected at least 6"):
        fit_law(ladder(0.0, 0)[::5])
    points = ladder(0.001, 0, sizes=(1e5,))
    law = fit_law(points)
    assert law.size == pytest.approx((0, 0), abs=1e-9)
    with pytest.raises(PolymeraseError, match="all rungs have 100,000 parameters, expected at least two sizes"):
        interval(points, law, 300_000, 1e6)


def test_a_forecast_runs_its_ladder_once_and_says_whether_the_larger_run_fell_inside(tmp_path, root):
    corpus = tmp_path / "corpus"
    run = {"cwd": root, "text": True, "capture_output": True, "timeout": HANG_S}
    subprocess.run([sys.executable, "-m", "data_prep", "sample", "--out", corpus], check=True, **run)
    command = [
        *(sys.executable, "launch/forecast.py", "--config", "demo/rnaernie2.yaml", f"corpus.path={corpus}", "--json"),
        *("batch.tokens=512", "schedule.warmup_steps=5", "train.log_every=20", "train.eval_sequences=20"),
        *("--steps", "40", "--points", "5", "--skip", "0.2", "--out", tmp_path / "runs"),
        *("--rung", "model.hidden_size=16", "--rung", "model.hidden_size=24", "--target", "model.hidden_size=32"),
    ]
    first = subprocess.run(command, check=True, **run)
    result = json.loads(first.stdout)
    assert len({rung["parameters"] for rung in result["rungs"]}) == 2
    assert len(result["rungs"]) == 8
    low, high = result["interval"]
    assert low < high
    assert result["inside"] == (low <= result["measured"] <= high)
    checkpoint = next((tmp_path / "runs" / "rung-1" / "checkpoints").glob("*/weights.safetensors"))
    before = checkpoint.stat().st_mtime_ns
    again = subprocess.run(command, check=True, **run)
    assert json.loads(again.stdout) == result
    assert checkpoint.stat().st_mtime_ns == before
