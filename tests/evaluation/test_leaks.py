"""What a model has seen of the sequences it is judged by: counted and said by evaluate, probe and bench."""

import json
import shutil

import numpy as np
import pytest

from data_prep.corpus import Ragged, open_corpus
from pretrain.cli import leaks
from pretrain.cli.leaks import between_folds, pretraining_of, related
from pretrain.errors import PolymeraseError
from tests.evaluation.support import error_line, in_process


@pytest.fixture(scope="module")
def seen(corpora) -> list[str]:
    """Training sequences of the corpus of ``tiny_run``, the longest first."""
    table = open_corpus(corpora["labeled"]).split("train")
    rows = [row.decode() for row in table.gather_text("sequence", np.arange(len(table))).rows()]
    return sorted(rows, key=len, reverse=True)


def new(count: int) -> list[str]:
    return ["".join(row) for row in np.random.default_rng(99).choice(list("ACGU"), (count, 40))]


def write_csv(path, rows):
    path.write_text("sequence,label\n" + "".join(f"{row},{'ab'[number % 2]}\n" for number, row in enumerate(rows)))
    return path


def test_bench_counts_what_the_run_was_trained_on(tiny_run, seen, tmp_path):
    unseen = new(40)
    splits = {"train": unseen[:20], "dev": unseen[20:30], "test": [*seen[:3], unseen[0], *unseen[30:]]}
    files = [write_csv(tmp_path / f"{name}.csv", rows) for name, rows in splits.items()]
    call = ["bench.py", tiny_run, "--train", files[0], "--dev", files[1], "--test", files[2], "--seeds", "1"]
    status, out, err = in_process(*call, "--json")
    assert status == 0, err
    leak = json.loads(out)["tasks"]["test"]["leak"]
    assert leak["identical_in_train"] == 1
    assert leak["sentence"].startswith("Of 14 held-out sequences 1 are in training letter by letter; 1 (7.1%) at 100 %")
    assert leak["pretraining"]["same_sequence"] == 3
    assert leak["pretraining"]["relatives"] == {"100": 3, "90": 3, "80": 3}
    _, out, _ = in_process(*call)
    assert "relatives in training and dev rows: Of 14 held-out sequences 1 are" in out
    assert "relatives in the pretraining corpus (" in out
    assert "Of 14 held-out sequences 3 are in training letter by letter" in out


def test_probe_counts_relatives_in_other_folds_and_in_pretraining(tiny_run, seen, tmp_path):
    rows = new(12)
    table = write_csv(tmp_path / "t.csv", [*rows, *(row for row in rows[:2] for _ in range(5)), *seen[:2]])
    status, out, err = in_process("probe.py", tiny_run, table, "--label", "label", "--folds", "3", "--json")
    assert status == 0, err
    leak = json.loads(out)["leak"]
    assert leak["pretraining"]["same_sequence"] == 2
    twins = int(leak["folds"].split(" are in training letter by letter")[0].split()[-1])
    assert 8 <= twins <= 12  # six copies of two sequences in three folds; all copies of one may share a fold in part


def test_evaluate_says_whether_held_out_sequences_have_relatives_in_training(tiny_run, corpora, seen, tmp_path):
    status, out, err = in_process("evaluate.py", tiny_run, "--corpus", corpora["labeled"], "--json")
    assert status == 0, err
    assert json.loads(out)["leak"]["held_out"] == 20
    (tmp_path / "seen.fa").write_text(f">one\n{seen[0]}\n>two\n{new(1)[0]}\n")
    status, out, err = in_process("evaluate.py", tiny_run, "--fasta", tmp_path / "seen.fa")
    assert status == 0, err
    assert "Of 2 held-out sequences 1 are in training letter by letter" in out


def folder_that_says(corpora: dict[str, str], folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"polymerase_corpora": corpora}))
    return str(folder)


def test_the_corpora_that_a_folder_names_are_found_by_their_content(corpora, seen, tmp_path, monkeypatch):
    shutil.copytree(corpora["labeled"], tmp_path / "corpora" / "another_name")
    monkeypatch.chdir(tmp_path)
    source = folder_that_says({"labeled": open_corpus(corpora["labeled"]).fingerprint}, tmp_path / "exports" / "one")
    leak = pretraining_of(source).leak(Ragged.from_rows([seen[0].encode(), new(1)[0].encode()]))
    assert (leak["same_sequence"], leak["corpora"]) == (1, [str(tmp_path / "corpora" / "another_name")])
    shutil.copytree(corpora["plain"], tmp_path / "elsewhere" / "plain")
    source = folder_that_says({"plain": open_corpus(corpora["plain"]).fingerprint}, tmp_path / "exports" / "two")
    unknown = pretraining_of(source).leak(Ragged.from_rows([b"ACGU"]))["unknown"]
    assert unknown.startswith(f"{source} was trained on corpus plain (fingerprint ")
    assert unknown.endswith(f"which is not in {tmp_path}/corpora; give --pretrained-on DIR")
    beside = pretraining_of(source, beside=tmp_path / "elsewhere" / "held_out")
    assert beside.folders == (str(tmp_path / "elsewhere" / "plain"),)


def test_a_model_that_was_fine_tuned_says_that_its_rows_are_not_known(corpora, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(corpora["plain"], tmp_path / "corpora" / "plain")
    stated = {"plain": open_corpus(corpora["plain"]).fingerprint}
    source = folder_that_says(stated, tmp_path / "exports" / "one")
    asked = Ragged.from_rows([b"ACGUACGUACGUACGU"])
    said = f"{source} was fine-tuned on labels whose rows it does not name"
    assert said not in pretraining_of(source).leak(asked)["sentence"]
    for corpora_of, key in ((stated, "sentence"), ({}, "unknown")):
        settings = {"architectures": ["BertForSequenceClassification"], "polymerase_corpora": corpora_of}
        (tmp_path / "exports" / "one" / "config.json").write_text(json.dumps(settings))
        assert said in pretraining_of(source).leak(asked)[key]


def test_a_continued_run_is_asked_about_the_corpora_of_its_first_weights_too(tiny_run, corpora, seen, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    config = (run / "config.yaml").read_text()
    for name, fingerprint in (("plain", open_corpus(corpora["plain"]).fingerprint), ("gone", "0" * 64)):
        source = folder_that_says({name: fingerprint}, tmp_path / "exports" / name)
        (run / "config.yaml").write_text(config.replace("init_from: null", f"init_from: {source}"))
        trained = pretraining_of(str(run))
        is_found = name == "plain"  # it lies beside the run's own corpus
        assert trained.folders == (str(corpora["labeled"]), *([str(corpora["plain"])] if is_found else []))
        assert trained.note.startswith(f" The run began from {source}, whose training data is not") != is_found


def test_a_corpus_that_is_gone_or_another_is_said_and_not_guessed(tiny_run, corpora, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    config = (run / "config.yaml").read_text()
    for folder, why in (("gone", "not found"), (corpora["plain"], "has changed")):
        (run / "config.yaml").write_text(config.replace(str(corpora["labeled"]), str(folder)))
        assert why in pretraining_of(str(run)).leak(Ragged.from_rows([b"ACGU"]))["unknown"]
    named = pretraining_of(str(run), [str(corpora["plain"])])
    assert named.leak(Ragged.from_rows([b"ACGU" * 8]))["held_out"] == 1
    with pytest.raises(PolymeraseError, match="expected a corpus of sequences, got one of genome"):
        pretraining_of(str(run), [str(corpora["genome"])])
    assert "has no effect with --embed, only with --corpus or --fasta" in error_line(
        "evaluate.py", tiny_run, "--embed", "a.fa", "--pretrained-on", corpora["plain"]
    )


def test_a_large_corpus_is_compared_in_part_and_the_part_is_said(tiny_run, monkeypatch):
    monkeypatch.setattr(leaks, "MOST_LETTERS", 800)
    monkeypatch.setattr(leaks, "MOST_ASKED", 2)
    found = pretraining_of(str(tiny_run)).leak(Ragged.from_rows([row.encode() for row in new(5)]))
    assert found["held_out"] == 2
    assert "Searched 2 of 5 sequences." in found["sentence"]
    assert "% of the corpus" in found["sentence"]


def test_relatives_are_those_of_either_strand():
    one = new(1)[0].encode()
    other = one.translate(bytes.maketrans(b"ACGU", b"UGCA"))[::-1]
    best, sentence = related(Ragged.from_rows([one]), Ragged.from_rows([other, b"A" * 40]))
    assert best.tolist() == [1.0, 0.0]
    assert "on either strand" in sentence
    folds = [(np.array([0]), np.array([1, 2])), (np.array([1, 2]), np.array([0]))]
    assert "Of 3 held-out sequences 2 are" in between_folds(Ragged.from_rows([one, other, b"A" * 40]), folds)
