"""Between log steps nothing of ours waits for the device, and of DeepSpeed only what is listed here."""

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
# reads of the host per step, all of them DeepSpeed's: is the norm of the gradient finite, is it to be clipped, did
# anything overflow. Its ZeRO stages decide on the host whether to make an update
READS = {
    "stage 0": {},
    "stage 0 bf16": {},
    "stage 1 bf16": {"read by deepspeed/runtime/utils.py": 2},
    "stage 1": {"read by deepspeed/runtime/utils.py": 3},
    "stage 2 bf16": {
        "read by deepspeed/runtime/utils.py": 3, "read by deepspeed/runtime/zero/stage_1_and_2.py": 1,
    },
    "stage 3 bf16": {"read by deepspeed/runtime/utils.py": 1},
}  # fmt: skip


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


@pytest.mark.parametrize("name", READS)
def test_between_log_steps_the_device_is_never_drained_and_only_deepspeed_reads(waits, name):
    assert waits[name] == {"steps": STEPS - FIRST, **READS[name]}


def test_the_counter_sees_the_timer_that_is_switched_off(waits):
    assert waits["with its timer"]["drained by deepspeed/utils/timer.py"] == 2 * ACCUMULATION
