"""The real launcher: two ranks on one machine, and an error that both of them run into."""

import subprocess
import sys

import pytest

from tests.hang import HANG_S
from tests.training.corpora import tree, write_yaml
from tests.training.ranks import ROOT, digests, environment, free_port, losses


def launch(config, cwd, *words):
    command = [sys.executable, "-m", "deepspeed.launcher.runner", "--num_gpus", "2", "--master_port", str(free_port())]
    command += [str(ROOT / "launch" / "pretrain.py"), "--config", str(config), *words]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=HANG_S)


@pytest.mark.slow
def test_the_deepspeed_command_trains_on_two_ranks(tmp_path, corpora, alone):
    values = tree(tmp_path / "run", corpora["plain"], batch__accumulation=2, schedule__total_steps=20)
    done = launch(write_yaml(tmp_path / "run.yaml", values), tmp_path, "train.steps=5")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "DONE").read_text() == "5\n"
    assert digests(tmp_path / "run") == digests(alone["zero 1"])[:5]
    assert losses(tmp_path / "run") == pytest.approx(losses(alone["zero 1"])[:5], rel=1e-5)


@pytest.mark.slow
def test_an_error_of_all_ranks_is_said_once(tmp_path, corpora):
    config = write_yaml(tmp_path / "run.yaml", tree(tmp_path / "run", corpora["plain"]))
    done = launch(config, tmp_path, "train.step=5")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "did you mean 'train.steps'?" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
