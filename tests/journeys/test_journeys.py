"""Two walks as scripts that a person may run too: raw file to a loaded model; plan, kill, resume, card."""

import gzip
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exporting.local_hub import TOKEN, local_hub
from tests.hang import HANG_S
from tests.training.ranks import ROOT, environment, free_port


@pytest.fixture
def folder(tmp_path) -> Path:
    """What a person has: the project's scripts, and a FASTA of their own."""
    for name in ("launch", "configs", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    draw = random.Random(3)
    rows = [f">rna{number}\n{''.join(draw.choices('ACGU', k=draw.randint(30, 60)))}\n" for number in range(120)]
    with gzip.open(tmp_path / "my.fa.gz", "wt") as file:
        file.write("".join(rows))
    return tmp_path


SRUN = """#!/bin/sh
shift  # --kill-on-bad-exit=1
SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NTASKS=1 "$@" &
echo $! > srun.pids
wait $!
"""


def walk(folder: Path, script: str, *words: str, **extra: str) -> str:
    """What the script printed; it must end well."""
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", str(ROOT / "tests/journeys" / script), *words],
        cwd=folder, env=environment(PATH=path, HF_HUB_DISABLE_XET="1", HF_HOME=str(folder / "hf"), **extra),
        capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert done.stdout.rstrip().endswith("journey done")
    return done.stdout + done.stderr  # runs tell on the second how they go


def test_a_biologist_gets_from_a_fasta_to_a_model_loaded_by_its_name(folder):
    with local_hub() as hub:
        said = walk(folder, "biologist.sh", "my.fa.gz", HF_ENDPOINT=hub.endpoint, HF_TOKEN=TOKEN, NO_PROXY="127.0.0.1")
    assert "can start           yes" in said
    assert "notebook done" in said
    assert "same weights" in said
    assert {"lab/mine", "datasets/lab/rnas"} <= set(hub.repositories)
    assert (folder / "looks/index.html").is_file()
    assert (folder / "runs/mine/report.html").is_file()
    assert (folder / "mutated/scores.tsv").is_file()


def test_an_engineer_gets_from_a_plan_through_a_kill_to_a_card(folder):
    (folder / "srun").write_text(SRUN)  # SLURM's command, for one task
    (folder / "srun").chmod(0o755)
    said = walk(folder, "engineer.sh", PORT=str(free_port()), PYTHON=sys.executable, SLURM_JOB_ID="4711")
    assert "sbatch --nodes=2 --ntasks-per-node=8" in said
    assert "the job failed, status 137" in said
    assert "runs/a is done" in said
    assert "differ in optimizer.lr" in said
    assert "reproduced: same tokens and sizes" in said
    assert "license: apache-2.0" in said
    assert "exports/a can be pushed to lab/a (apache-2.0)" in said
    assert (folder / "both.html").is_file()
