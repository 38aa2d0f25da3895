"""Between log steps nobody waits until the device has done everything, at any ZeRO stage."""

import json
import subprocess
import sys

import pytest

from tests.hang import HANG_S
from tests.training.corpora import tree
from tests.training.ranks import ROOT, environment
from tests.training.waits import FIRST

ACCUMULATION, STEPS = 2, 10
SETTINGS = {  # name -> engine
    "stage 0": {"zero_stage": 0},
    "stage 0 bf16": {"zero_stage": 0, "precision": "bf16"},
    "stage 1 bf16": {"zero_stage": 1, "precision": "bf16"},
    "stage 1": {"zero_stage": 1},
    "stage 2 bf16": {"zero_stage": 2, "precision": "bf16"},
    "stage 3 bf16": {"zero_stage": 3, "precision": "bf16"},
    "with its timer": {"zero_stage": 1, "precision": "bf16"},
}


@pytest.fixture(scope="module")
def waits(tmp_path_factory, corpora) -> dict[str, dict[str, float]]:
    folder = tmp_path_factory.mktemp("waits")
    timed = folder / "timer.json"
    timed.write_text(json.dumps({"timers": {"throughput": {"enabled": True, "synchronized": True}}}))
    jobs = {}
    for name, engine in SETTINGS.items():
        extra = {"deepspeed": str(timed)} if name == "with its timer" else {}
        jobs[name] = tree(
            folder / name, corpora["plain"], model__family="rnaernie2", engine={**engine, **extra},
            batch__accumulation=ACCUMULATION, train={"steps": STEPS, "log_every": 1000},
        )  # fmt: skip
    (folder / "jobs.json").write_text(json.dumps(jobs))
    command = [sys.executable, "-m", "tests.training.waits", str(folder / "jobs.json"), str(folder / "found.json")]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "with its timer"])
def test_between_log_steps_the_device_is_never_drained(waits, name):
    found = waits[name]
    assert found.pop("steps") == STEPS - FIRST
    assert [who for who in found if who.startswith("drained")] == []


def test_the_counter_sees_the_timer_that_is_switched_off(waits):
    assert waits["with its timer"]["drained by deepspeed/utils/timer.py"] == 2 * ACCUMULATION
