"""Several runs on one page: every curve of every run, what each reached, and the keys in which they differ."""

import json

import pytest

from pretrain.config import check, save
from pretrain.reporting.overlay import config_differences, overlays_of
from pretrain.runs.history import read_run, write_held_out
from tests.evaluation.support import error_line, in_process
from tests.training import corpora as build


@pytest.fixture
def runs(tmp_path):
    """Three runs of chosen numbers: rates and sizes differ, one has no evaluation."""
    folders = []
    for number, changes in enumerate(({}, {"optimizer__lr": 5e-4}, {"model__hidden_size": 64, "run__seed": 9})):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        values = build.tree(folder, tmp_path / "corpus", train__steps=40, **changes)
        save(check(values, "test"), folder / "config.yaml")
        lines = [{"step": n, "loss": 2.0 - n / 100 + number / 10, "mlm/loss": 2.0 - n / 100 + number / 10,
                  "learning_rate": 1e-3 / n, "tokens_per_second": 900.0 + number} for n in range(1, 41)]  # fmt: skip
        if number < 2:
            lines.append({"step": 40, "validation/mlm/loss": 1.5 + number / 10})
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        folders.append(folder)
    part = {"loss": 1.4, "standard_error": 0.02, "targets": 90, "sequences": 9, "accuracy": 0.4,
            "baselines": {"letters": 1.38}, "best_baseline": "letters", "difference": 0.02,
            "difference_standard_error": 0.01}  # fmt: skip
    write_held_out(folders[0], 40, {"mlm": {"hidden": part, "all": {**part, "loss": 1.5}}})
    return folders


def test_only_keys_that_differ_are_listed_with_the_value_of_each_run(runs):
    found = config_differences([read_run(folder) for folder in runs])
    assert found[0] == ["key", "run-0", "run-1", "run-2"]
    rows = {row[0]: row[1:] for row in found[1:]}
    assert rows["optimizer.lr"] == ["0.001", "0.0005", "0.001"]
    assert rows["model.hidden_size"] == ["32", "32", "64"]
    assert rows["run.seed"] == ["3", "3", "9"]
    assert not [key for key in rows if key in ("run.dir", "train.steps")]


def test_every_curve_is_in_the_numbers_of_its_picture(runs):
    pictures = overlays_of([read_run(folder) for folder in runs])
    assert set(pictures) == {"held-out-mlm", "training-mlm", "learning-rate", "throughput"}
    rows = [line.split("\t") for line in pictures["learning-rate"].numbers.splitlines()]
    assert rows[0] == ["series", "x", "y"]
    assert len(rows) == 1 + 3 * 40
    assert ["Learning rate: run-1", "4", "0.00025"] in rows
    held_out = pictures["held-out-mlm"].numbers.splitlines()
    assert [line.split("\t")[0].rsplit(": ", 1)[1] for line in held_out[1:]] == ["run-0", "run-1"]


def test_the_page_says_what_each_reached_and_holds_its_pictures(runs, tmp_path):
    out = tmp_path / "abc.html"
    status, said, err = in_process("report.py", *runs, "--out", out)
    assert status == 0, err
    assert "run-0, step 40 of 40: mlm, hidden 1.4000 (best baseline 1.3800)" in said
    assert "run-1, step 40 of 40: mlm, all 1.6000 (best baseline -)" in said
    assert "differ in run.seed, model.hidden_size, optimizer.lr" in said
    page = out.read_text()
    assert page.count("data:image/png;base64,") == 4
    assert 'alt="learning rate"' in page
    names = {path.name for path in (tmp_path / "abc").iterdir()}
    assert {f"throughput.{end}" for end in ("png", "svg", "tsv")} <= names


def test_what_cannot_be_compared_is_one_line(runs, tmp_path):
    assert "given twice" in error_line("report.py", runs[0], runs[1], runs[0])
    assert "gone: expected a run folder" in error_line("report.py", runs[0], tmp_path / "gone")
