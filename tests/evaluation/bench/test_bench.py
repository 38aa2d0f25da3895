"""The command: models beside their bars, better only beyond two standard errors, every decision shown."""

import json

import numpy as np
import pytest
import torch

from pretrain.errors import RunError
from pretrain.evaluation.bench.bars import bar_answers
from pretrain.evaluation.bench.figures import Answers, figures_of, versus, weights_of
from pretrain.evaluation.bench.files import Columns, Split, read_task
from pretrain.evaluation.bench.keep import keep
from pretrain.evaluation.bench.run import Options, run_task
from pretrain.evaluation.bench.suites import load_suite, tasks_of
from pretrain.evaluation.probing.tuning import Dev, Tuning, tuned_on
from tests.evaluation.support import error_line, in_process, tiny


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Classes that differ in their letters; one test row stands in training, one sequence is long, one holds Ns."""
    draw, folder = np.random.default_rng(2), tmp_path_factory.mktemp("bench")
    paths, first = {}, ""
    for split, count in (("train", 60), ("dev", 20), ("test", 40)):
        rows = []
        for number in range(count):
            letters = ("GGCCAU", "AAUUGC")[number % 2]
            rows.append(f"{''.join(draw.choice(list(letters), 30 if number else 300))},{('rich', 'poor')[number % 2]}")
        if split == "train":
            first = rows[3]
        else:
            rows[3] = first if split == "test" else "NN" + rows[3][2:]
        paths[split] = folder / f"{split}.csv"
        paths[split].write_text("\n".join(["sequence,label", *rows]) + "\n")
    return paths


def words(files):
    return [word for split, path in files.items() for word in (f"--{split}", path)]


def test_json_has_metrics_intervals_bars_and_the_leak(tiny_run, files):
    status, out, err = in_process("bench.py", tiny_run, *words(files), "--task", "mine", "--seeds", "2", "--json")
    assert status == 0, err
    task = json.loads(out)["tasks"]["mine"]
    assert set(task["metrics"]) == {"accuracy", "macro_f1", "mcc", "auroc", "aupr"} == set(task["intervals"])
    assert set(task["bars"]) == {"kmer4", "kmer4_positions", "random_weights"}
    assert task["bars"]["kmer4"]["accuracy"] > 0.85
    assert task["intervals"]["accuracy"]["low"] <= task["metrics"]["accuracy"] <= task["intervals"]["accuracy"]["high"]
    assert task["leak"]["identical_in_train"] == 1
    assert task["leak"]["relatives"]["100"] == 1
    assert set(task["leak"]["accuracy_without_leaked"]) == {"frozen", *task["bars"]}
    assert task["facts"]["other_letters"] == 2
    assert task["windows"]["longer_sequences"] == 3
    assert set(task["versus"]) == set(task["bars"])


def test_the_table_shows_every_row_and_every_count(tiny_run, files):
    status, out, err = in_process("bench.py", tiny_run, *words(files), "--seeds", "2", "--tune", "--epochs", "1")
    assert status == 0, err
    for begin in (
        "test: 2 classes; 60 training, 20 dev, 40 test rows", "kmer4 ", "kmer4_positions ", "random_weights ",
        "random_weights_tuned ", "model, frozen ", "model, fine-tuned ", "leak: of 40 test sequences 1 occur in",
        "other letters: 2 in 1 sequences", "long: ", "frozen: ", "fine-tuned: ",
    ):  # fmt: skip
        assert any(line.startswith(begin) for line in out.splitlines()), (begin, out)


def test_two_models_are_told_apart(tiny_run, files, tmp_path):
    other = tmp_path / "other"
    other.symlink_to(tiny_run)
    status, out, err = in_process("bench.py", tiny_run, other, *words(files), "--seeds", "1", "--json")
    assert status == 0, err
    task = json.loads(out)["tasks"]["test"]
    assert set(task["models"]) == {str(tiny_run), str(other)}
    assert task["metrics"] == task["models"][str(tiny_run)]["metrics"] == task["models"][str(other)]["metrics"]


def test_a_bench_that_was_cut_off_goes_on_with_the_same_models_and_settings(tiny_run, files, tmp_path):
    lines = "".join(f"  {name}: {{train: train.csv, test: test.csv, metric: {name}}}\n" for name in ("accuracy", "mcc"))
    (tmp_path / "own.yaml").write_text(f"tasks:\n{lines}")
    call = ["bench.py", tiny_run, "--suite", tmp_path / "own.yaml", "--data", files["train"].parent, "--seeds", "1"]
    call += ["--out", tmp_path / "out.json"]
    status, _, err = in_process(*call, "--tasks", "accuracy")
    assert status == 0, err
    written = json.loads((tmp_path / "out.json").read_text())
    written["tasks"]["accuracy"]["metrics"]["accuracy"] = 0.123  # measured again it would be another
    (tmp_path / "out.json").write_text(json.dumps(written))
    status, out, err = in_process(*call, "--json")
    assert status == 0, err
    assert json.loads(out)["tasks"] == json.loads((tmp_path / "out.json").read_text())["tasks"]
    assert json.loads(out)["tasks"]["accuracy"]["metrics"]["accuracy"] == 0.123
    assert "other models or settings" in error_line(*call, "--layer", "0")
    (tmp_path / "out.json").write_text("[]")
    assert "expected a file written by bench" in error_line(*call)


def test_wrong_use_is_one_line(tiny_run, files, tmp_path):
    assert "expected --suite NAME" in error_line("bench.py", tiny_run)
    assert "expected both --train and --test" in error_line("bench.py", tiny_run, "--train", files["train"])
    assert "no column 'y'; there are sequence, label" in error_line("bench.py", tiny_run, *words(files), "--label", "y")
    assert "has no effect without --tune" in error_line("bench.py", tiny_run, *words(files), "--lora", "2")
    assert "--tasks has no effect without --suite" in error_line("bench.py", tiny_run, *words(files), "--tasks", "a")
    assert "--label has no effect without files" in error_line("bench.py", tiny_run, "--suite", "dna", "--label", "y")
    assert "get it from https://github.com" in error_line("bench.py", tiny_run, "--suite", "dna", "--data", "nowhere")
    (tmp_path / "test/full").mkdir(parents=True)
    tuned = [*words(files), "--tune", "--keep", tmp_path]
    assert "exists and is not empty" in error_line("bench.py", tiny_run, *tuned)
    assert "expected the name of a file, got a folder" in error_line(
        "bench.py", tiny_run, *words(files), "--out", tmp_path
    )
    below = files["train"] / "found.json"
    assert "train.csv is a file, expected a folder" in error_line("bench.py", tiny_run, *words(files), "--out", below)
    assert "given twice" in error_line("bench.py", tiny_run, tiny_run, *words(files))
    assert "gone.csv: no such file" in error_line("bench.py", tiny_run, *words(files)[2:], "--train", "gone.csv")
    assert "expected a run folder" in error_line("bench.py", files["train"].parent, *words(files))


def test_better_is_said_only_beyond_two_standard_errors(files):
    task = read_task("mine", files, Columns(), Split())
    weights, right = weights_of(40), np.eye(2)[task.true]

    def wrong_at(*rows):
        scores = right.copy()
        scores[list(rows)] = scores[list(rows), ::-1]
        return figures_of(task, Answers([scores]), weights)

    assert versus(task, wrong_at(0), wrong_at(1, 2))["verdict"] == "no different"
    assert versus(task, wrong_at(), wrong_at(*range(12)))["verdict"] == "better"
    assert versus(task, wrong_at(*range(12)), wrong_at())["verdict"] == "worse"
    shares = wrong_at(0).intervals()
    assert (shares["accuracy"]["high"], shares["auroc"]["high"], shares["mcc"]["high"]) == (1.0, 1.0, 1.0)
    assert all(one["high"] - one["low"] < 4 * one["standard_error"] for one in shares.values())
    scores = [right, right[:, ::-1]]  # seeds that disagree entirely
    both = figures_of(task, Answers(scores), weights)
    assert both.intervals()["accuracy"]["standard_error"] >= 0.5
    assert versus(task, both, wrong_at(*range(30)))["verdict"] == "no different"
    assert (both.intervals()["accuracy"]["low"], both.intervals()["mcc"]["low"]) == (0.0, -1.0)


def test_training_stops_when_dev_gains_nothing_and_the_best_epoch_is_kept(files):
    task = read_task("mine", files, Columns(), Split())
    dev = Dev(task.rows["dev"], "auroc")
    tuned = tuned_on(
        tiny("rnaernie2"), task.table, Tuning("pooler", 30, 1e-3, 8, patience=5), task.rows["train"], 0, dev
    )
    assert 1 <= tuned.best_epoch < 25
    assert (tuned.scores(task.rows["test"]).argmax(axis=1) == task.true).mean() > 0.8


def test_a_training_that_diverges_says_so(files):
    task = read_task("mine", files, Columns(), Split())
    tuned = tuned_on(tiny("rnaernie2"), task.table, Tuning("pooler", 1, 1e-3, 8), task.rows["train"], 0)
    with torch.no_grad():
        next(tuned.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(RunError, match="diverged"):
        tuned.scores(task.rows["test"])


def test_sixteen_bit_fine_tuning_keeps_updates_that_sixteen_bits_cannot_hold(files):
    """At this rate no weight moves by half a step of bfloat16; float32 weights collect it, and answers stay close."""
    task = read_task("mine", files, Columns(), Split())
    model, rows = tiny("rnaernie2"), task.rows
    low = tuned_on(model, task.table, Tuning("pooler", 2, 1e-6, 8, precision="bf16"), rows["train"], 0)
    full = tuned_on(model, task.table, Tuning("pooler", 2, 1e-6, 8), rows["train"], 0)
    start = dict(model.network.encoder.named_parameters())
    for (name, ours), reference in zip(low.encoder.named_parameters(), full.encoder.parameters(), strict=True):
        assert ours.dtype == torch.float32
        assert not torch.equal(ours, start[name]) or torch.equal(reference, start[name]), name
    assert np.abs(low.scores(rows["test"]) - full.scores(rows["test"])).max() < 0.02
    learned = tuned_on(model, task.table, Tuning("pooler", 12, 1e-3, 8, precision="bf16"), rows["train"], 0)
    assert (learned.scores(rows["test"]).argmax(axis=1) == task.true).mean() > 0.8


def test_every_adapter_of_lora_is_trained_and_the_weights_stay(files):
    pytest.importorskip("peft")
    task = read_task("mine", files, Columns(), Split())
    model = tiny("rnaernie2")
    tuned = tuned_on(model, task.table, Tuning("mean", 1, 1e-2, 8, lora=2), task.rows["train"], 0)
    fresh = tuned_on(model, task.table, Tuning("mean", 1, 1e-12, 8, lora=2), task.rows["train"], 0)
    before = dict(fresh.encoder.named_parameters())
    adapters = [name for name in before if "lora_B" in name]
    assert len(adapters) == 2 * 5  # layers times query, key, value, output, up
    for name, value in tuned.encoder.named_parameters():
        moved = float((value - before[name]).detach().abs().max())
        assert (moved > 1e-5) == ("lora_" in name), (name, moved)


@pytest.mark.parametrize("family", ["rnaernie2", "utr_lm", "ernie_rna"])
def test_a_kept_model_is_the_fine_tuned_one_for_transformers(files, tmp_path, family):
    """Native BERT, native ESM and our own code; the export itself compares with stock transformers."""
    rows = {split: path.read_text().replace(",rich", ",7.5").replace(",poor", ",2.5") for split, path in files.items()}
    values = {split: tmp_path / path.name for split, path in files.items()}
    for split, text in rows.items():
        values[split].write_text(text)
    task = read_task("mine", values if family == "ernie_rna" else files, Columns(), Split())
    model, tuning = tiny(family), Tuning("pooler", 1, 1e-3, 8, lora=2 if family == "rnaernie2" else 0)
    result = run_task([model], task, Options(seeds=1, tuning=tuning))
    line = keep(result.tuned[model.source], model, task, result.json, tmp_path / "kept")
    assert "verified by transformers" in line
    config = json.loads((tmp_path / "kept/config.json").read_text())
    assert config["architectures"][0].endswith("ForSequenceClassification")
    assert list(config["label2id"]) == (["value"] if family == "ernie_rna" else ["poor", "rich"])
    assert task.metric in (tmp_path / "kept/README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "within"), [("dna", {"mcc": 0.004}), ("rna", {"accuracy": 0.012}), ("utr", {"spearman": 0.012})]
)
def test_bars_measured_elsewhere_are_reproduced(shared, suite, within):
    """The GUE splits are the same files; nRC's dev rows and the MRL splits are drawn here, so sampling adds to it."""
    found = load_suite(suite)
    names = [name for name, entry in found.tasks.items() if entry.kmer4 is not None]
    for task in tasks_of(found, names, shared / "data", {}):
        answers = bar_answers(task)
        for bar in ("kmer4", "kmer4_positions"):
            expected = getattr(found.tasks[task.name], bar)
            if expected is not None:
                figures = figures_of(task, answers[bar], weights_of(len(task.true))).metrics()
                assert figures[task.metric] == pytest.approx(expected, abs=within[task.metric]), (task.name, bar)
