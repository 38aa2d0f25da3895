"""However a run is cut up over ranks, it trains, resumes, evaluates and goes on like plain data parallelism."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pretrain.batches.plan import Bounds, Plan
from pretrain.data.stream import SampleStream
from tests.hang import HANG_S
from tests.multinode.runs import BF16, OTHERWISE, SAVED, SHORT, STEPS, WAYS, checkpoint, same_bits, small_job
from tests.training.ranks import ROOT, digests, environment, finish, losses, records, start


@pytest.fixture(scope="module")
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
        jobs += [job(name, engine, **SHORT), job(f"{name} resumed", engine, saved(name, 5), **SHORT)]
    jobs.append(job("stage 1 to 3", {"zero_stage": 3}, saved("stage 1", SAVED)))
    jobs.append(job("stage 1 to 3 to 2", {"zero_stage": 2}, saved("stage 1 to 3", STEPS), train__steps=STEPS + 2))
    finish(start(2, jobs, folder / "ranks-2"), folder / "ranks-2")
    for ranks, engine in OTHERWISE.items():
        go_on(folder, corpora["plain"], ranks, engine)
    return folder


def go_on(folder: Path, corpus: Path, ranks: int, engine: dict) -> None:
    """Continue the run of stage 1 on another number of ranks."""
    saved = folder / "stage 1" / "checkpoints" / f"step-{SAVED}"
    there = folder / f"ranks-{ranks}"
    finish(start(ranks, [small_job(folder, corpus, f"on {ranks}", engine, str(saved))], there), there)


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_losses_agree_with_plain_data_parallelism_to_1e_5_over_50_steps(runs, way):
    plain, cut = runs / "stage 0", runs / way
    assert digests(cut) == digests(plain)
    assert len(losses(cut)) == STEPS
    np.testing.assert_allclose(losses(cut), losses(plain), rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_run_ends_in_the_same_bits(runs, way):
    straight, resumed = runs / way, runs / f"{way} resumed"
    assert losses(resumed) == losses(straight)[SAVED:]
    assert digests(resumed) == digests(straight)[SAVED:]
    for file in ("weights", "optimizer"):
        assert same_bits(checkpoint(resumed, STEPS, file), checkpoint(straight, STEPS, file)), file


@pytest.mark.parametrize("way", BF16)
def test_in_bf16_too_a_resumed_run_ends_in_the_same_bits(runs, way):
    straight, resumed = runs / way, runs / f"{way} resumed"
    assert losses(resumed) == losses(straight)[5:]
    for file in ("weights", "optimizer"):
        assert same_bits(checkpoint(resumed, 8, file), checkpoint(straight, 8, file)), file


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_evaluation_sees_the_same_model(runs, way):
    def held_out(run_dir: Path) -> float:
        return records(run_dir)[-1]["validation/mlm/loss"]

    np.testing.assert_allclose(held_out(runs / way), held_out(runs / "stage 0"), rtol=1e-5)


@pytest.mark.slow
def test_every_way_is_exported_and_evaluated_by_the_commands_like_plain_data_parallelism(runs, corpora, tmp_path):
    found = {}
    for way in WAYS:
        launch("export.py", runs / way, "--out", tmp_path / way)
        said = [launch("evaluate.py", model, "--corpus", corpora["plain"], "--json") for model in
                (tmp_path / way, runs / way)]  # fmt: skip
        found[way] = [json.loads(text)["objectives"]["mlm"]["loss"] for text in said]
    for way, values in found.items():
        np.testing.assert_allclose(values, found["stage 0"], rtol=1e-5, err_msg=way)


def launch(script: str, *words: object) -> str:
    command = [sys.executable, str(ROOT / "launch" / script), *map(str, words)]
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_checkpoints_hold_whole_tensors_whatever_the_stage(runs, way):
    for file in ("weights", "optimizer"):
        plain, cut = (checkpoint(runs / name, STEPS, file) for name in ("stage 0", way))
        assert {k: v.shape for k, v in cut.items()} == {k: v.shape for k, v in plain.items()}
    plain, cut = (checkpoint(runs / name, STEPS) for name in ("stage 0", way))
    for name, value in plain.items():
        np.testing.assert_allclose(cut[name], value, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("name", [*(f"on {ranks}" for ranks in OTHERWISE), "stage 1 to 3"])
def test_other_ranks_and_stages_see_the_same_batches_masks_and_losses(runs, name):
    goes_on_alike(runs / "stage 1", runs / name)


@pytest.mark.slow
def test_four_ranks_see_them_too(runs, corpora):
    go_on(runs, corpora["plain"], 4, {"zero_stage": 1})
    goes_on_alike(runs / "stage 1", runs / "on 4")


def goes_on_alike(straight: Path, other: Path) -> None:
    assert digests(other) == digests(straight)[SAVED:]
    np.testing.assert_allclose(losses(other), losses(straight)[SAVED:], rtol=1e-5)
    for tensor, value in checkpoint(straight, STEPS).items():
        np.testing.assert_allclose(checkpoint(other, STEPS)[tensor], value, atol=2e-5, err_msg=tensor)


def test_a_run_may_change_its_stage_again_and_again(runs):
    assert len(losses(runs / "stage 1 to 3 to 2")) == 2


@pytest.mark.parametrize("position", [0, 1_000, 10**9, 10**15])
def test_finding_a_place_in_the_stream_costs_the_same_anywhere(position):
    stream = SampleStream([10**9, 3 * 10**8], [3.0, 1.0], seed=1)
    looked_at = 0

    def lengths_at(positions):
        nonlocal looked_at
        looked_at += len(positions)
        return 30 + stream.at(positions).index % 1000

    first = next(Plan(lengths_at, Bounds(tokens=9216), micro_batches=8).steps(position))
    assert first[0].start == position
    assert len(first) == 8
    assert looked_at <= 1024
