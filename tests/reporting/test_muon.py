"""The tables that compare Muon with AdamW, from run folders with made-up losses."""

import json

import pytest

from pretrain.config import check, save
from pretrain.reporting.muon import main
from tests.training.corpora import tree


@pytest.fixture
def write(tmp_path):
    """A finished run: what the tables read of it."""

    def one(optimizer, rate, seed, loss, *, done=True):
        folder = tmp_path / f"{optimizer}-2x64-{rate}-seed{seed}"
        folder.mkdir()
        engine, changes = {"zero_stage": 0}, {"optimizer__name": optimizer, "optimizer__lr": rate, "run__seed": seed}
        values = tree(folder, tmp_path / "corpus", engine=engine, **changes)
        save(check(values, "test"), folder / "config.yaml")
        (folder / "metrics.jsonl").write_text(json.dumps({"step": 9, "validation/mlm/hidden/loss": loss}) + "\n")
        if done:
            (folder / "DONE").write_text("")

    for optimizer, losses in {"adamw": (1.4, 1.2, 1.3), "muon": (1.3, 1.25, 1.1)}.items():
        for rate, loss in zip((0.001, 0.003, 0.01), losses, strict=True):
            one(optimizer, rate, 0, loss)
    return one


def test_the_best_rate_is_that_of_the_lowest_try(write, tmp_path, capsys):
    write("adamw", 0.01, 1, 1.0)  # no try
    write("adamw", 0.03, 0, 1.0, done=False)
    assert main([str(tmp_path), "adamw", "2x64"]) == main([str(tmp_path), "muon", "2x64"]) == 0
    assert capsys.readouterr().out.split() == ["0.003", "0.01"]


def test_differences_are_taken_seed_by_seed_at_the_best_rates(write, tmp_path, capsys):
    for seed, adamw, muon in ((1, 1.20, 1.11), (2, 1.30, 1.19), (3, 1.10, 1.00)):
        write("adamw", 0.003, seed, adamw)
        write("muon", 0.01, seed, muon)
    write("muon", 0.001, 1, 9.0)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| size | optimizer | 0.001 | 0.003 | 0.01 |",
        "| --- | --- | --- | --- | --- |",
        "| 2x64 | adamw | 1.4000 | **1.2000** | 1.3000 |",
        "| 2x64 | muon | 1.3000 | 1.2500 | **1.1000** |",
        "",
        "| size | adamw | muon | difference | seeds |",
        "| --- | --- | --- | --- | --- |",
        "| 2x64 | 1.2000 ± 0.0577 at 0.003 | 1.1000 ± 0.0551 at 0.01 | -0.1000 ± 0.0058, muon better | 3 |",
        "",
    ]


@pytest.mark.parametrize(("muon", "verdict"), [((1.1, 1.5, 1.2), "no different"), ((1.3, 1.41, 1.2), "muon worse")])
def test_a_difference_counts_where_zero_is_outside_its_interval(write, tmp_path, capsys, muon, verdict):
    for seed, (adamw, loss) in enumerate(zip((1.2, 1.3, 1.1), muon, strict=True), 1):
        write("adamw", 0.003, seed, adamw)
        write("muon", 0.01, seed, loss)
    assert main([str(tmp_path)]) == 0
    assert f", {verdict} | 3 |" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["adamw", "2x64"]])
def test_a_folder_without_runs_is_one_line(tmp_path, capsys, words):
    assert main([str(tmp_path), *words]) == 2
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path}: expected finished runs in it, got none; run launch/proof.sh muon\n"
    )


def test_a_size_that_nobody_tried_is_one_line(write, tmp_path, capsys):
    assert main([str(tmp_path), "adamw", "4x128"]) == 2
    assert "adamw 4x128: expected runs of seed 0, got none" in capsys.readouterr().err
