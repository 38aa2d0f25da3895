"""The trainings that the tests of this folder compare, started once."""

from pathlib import Path

import pytest

from tests.multinode.runs import BF16, OTHERWISE, SAVED, STEPS, WAYS, small_job
from tests.training.ranks import finish, start


@pytest.fixture(scope="session")
def runs(tmp_path_factory, corpora) -> Path:
    """Folder of run folders: per way NAME, and NAME resumed; on R, for the run of stage 1 that went on on R ranks."""
    folder = tmp_path_factory.mktemp("runs")

    def job(name, engine, resume="auto", **changes):
        return small_job(folder, corpora["plain"], name, engine, resume, **changes)

    def saved(name, step):
        return str(folder / name / "checkpoints" / f"step-{step}")

    jobs = []
    for name, engine in WAYS.items():
        jobs += [job(name, engine), job(f"{name} resumed", engine, saved(name, SAVED))]
    for name, engine in BF16.items():
        short = {"train__steps": 8, "train__save_every": 5}
        jobs += [job(name, engine, **short), job(f"{name} resumed", engine, saved(name, 5), **short)]
    jobs.append(job("stage 1 to 3", {"zero_stage": 3}, saved("stage 1", SAVED)))
    jobs.append(job("stage 1 to 3 to 2", {"zero_stage": 2}, saved("stage 1 to 3", STEPS), train__steps=STEPS + 2))
    finish(start(2, jobs, folder / "ranks-2"), folder / "ranks-2")
    for ranks, engine in OTHERWISE.items():
        there = folder / f"ranks-{ranks}"
        finish(start(ranks, [job(f"on {ranks}", engine, saved("stage 1", SAVED))], there), there)
    return folder
