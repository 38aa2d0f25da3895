"""The demo, as `make demo` runs it, ends with what a small model has learned, which is more than counting knows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_demo_ends_better_than_every_baseline_by_more_than_two_standard_errors(tmp_path, root):
    for name in ("launch", "configs"):
        shutil.copytree(root / name, tmp_path / name)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "MASTER_PORT": "29641",
        "OMP_NUM_THREADS": "1",
    }
    demo = ["bash", str(tmp_path / "launch" / "demo.sh")]
    done = subprocess.run(demo, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads((tmp_path / "runs/demo-everything/held_out.json").read_text())["objectives"]["mlm"]["hidden"]
    assert {"letters", "markov_left_5", "markov_both_5", "nearest_relative"} <= set(figures["baselines"])
    assert figures["loss"] < min(figures["baselines"].values())
    assert figures["difference"] < -2 * figures["difference_standard_error"] < 0
    ending = done.stdout.strip().split("\n\n")[-1].splitlines()
    assert ending[0].startswith("learned (mlm, at hidden positions, ")
    assert " nats better than the best baseline, " in ending[0]
    assert not [line for line in ending if "learned nothing" in line]
