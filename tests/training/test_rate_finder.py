"""The learning-rate finder: what it reads off losses, and that a real short run leaves nothing behind."""

import json
import subprocess
import sys

import numpy as np
import pytest

from pretrain.errors import PolymeraseError
from pretrain.planning.lr_finder import judge
from tests.hang import HANG_S
from tests.training import corpora as build
from tests.training.ranks import ROOT, environment

RATES = np.geomspace(1e-6, 1e-1, 101)


def losses(fall_at: float, blow_up_at: float, noise: float = 0.0) -> np.ndarray:
    """3 below ``fall_at``, 1.4 above it, and beyond all bounds from ``blow_up_at`` on."""
    x = np.log10(RATES)
    falling = 3 - 1.6 / (1 + np.exp(-8 * (x - np.log10(fall_at))))
    exploding = np.exp(np.clip(12 * (x - np.log10(blow_up_at)), -50, 40))
    return falling + exploding + np.random.default_rng(0).normal(0, noise, len(x))


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
def test_the_suggestion_is_where_the_loss_falls_fastest(noise):
    sweep = judge(RATES, losses(1e-3, 5e-2, noise))
    assert sweep.suggested == pytest.approx(1e-3, rel=0.5)
    assert 2e-3 < sweep.lowest < 5e-2
    assert sweep.rates[-1] < 0.08  # what is hopeless is not shown


def test_losses_that_end_in_nan_or_never_fall_are_handled():
    ended = losses(1e-4, 1.0)
    ended[70:] = np.nan
    assert judge(RATES, ended).suggested == pytest.approx(1e-4, rel=0.5)
    with pytest.raises(PolymeraseError, match="start from a lower rate"):
        judge(RATES, np.full(101, np.nan))
    with pytest.raises(PolymeraseError, match="did not decrease"):
        judge(RATES, np.linspace(1.4, 3.0, 101))
    for seed in range(10):
        with pytest.raises(PolymeraseError, match="did not decrease"):
            judge(RATES, np.random.default_rng(seed).normal(1.4, 0.05, 101))


def test_the_command_suggests_a_rate_and_leaves_nothing_behind(corpora, tmp_path):
    config = build.write_yaml(tmp_path / "run.yaml", build.tree(tmp_path / "run", corpora["plain"]))
    command = [sys.executable, str(ROOT / "launch" / "find_lr.py"), "--config", str(config), "--steps", "40", "--json"]
    env = environment(TMPDIR=str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert 1e-6 < result["suggested"] <= result["lowest_loss_at"] <= 0.1
    assert not (tmp_path / "run").exists()
    assert not list((tmp_path / "tmp").glob("find-lr-*"))


def test_a_range_that_makes_no_sense_is_refused(corpora, tmp_path):
    config = build.write_yaml(tmp_path / "run.yaml", build.tree(tmp_path / "run", corpora["plain"]))
    command = [
        sys.executable,
        str(ROOT / "launch" / "find_lr.py"),
        "--config",
        str(config),
        "--low",
        "1",
        "--high",
        "0.1",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == "error: expected learning rates that increase from above 0, got 1 to 0.1"
