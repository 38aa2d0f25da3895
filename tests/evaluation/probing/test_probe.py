"""Probes: they find what is there, do not find what is not, and read every kind of table."""

import json
import re

import numpy as np
import pytest
import torch

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.probing.features import kmer_shares
from pretrain.evaluation.probing.linear import logistic
from pretrain.evaluation.probing.probe import probe
from pretrain.evaluation.probing.table import LabeledSequences, as_task, read_columns
from pretrain.evaluation.probing.tuning import Tuning, tune
from pretrain.families import FAMILIES
from tests.evaluation.support import error_line, in_process, tiny

NOTHING = Ragged.from_rows([])


def labeled(labels: np.ndarray, classes: tuple[str, ...] = ()) -> LabeledSequences:
    return LabeledSequences([], NOTHING, labels, classes)


def test_kmer_shares_are_counts_of_whole_kmers():
    shares = kmer_shares(Ragged.from_rows([b"ACGUACGU", b"NNN", b"AAT", b"ACNAC"]), 2)
    place = {a + b: 4 * i + j for i, a in enumerate("ACGU") for j, b in enumerate("ACGU")}
    assert shares.shape == (4, 16)
    assert shares[0, place["AC"]] == pytest.approx(2 / 7)
    assert shares[0, place["UA"]] == pytest.approx(1 / 7)
    assert shares[1].sum() == 0
    assert shares[2, place["AU"]] == shares[2, place["AA"]] == 0.5
    assert shares[3, place["AC"]] == 1.0  # nothing across N, nothing across sequences


@pytest.mark.parametrize(("rows", "classes"), [(4, 2), (5, 2), (6, 2), (6, 3), (7, 3), (20, 10)])
def test_tables_with_hardly_a_row_per_fold_are_probed(rows, classes):
    """Two folds; the strength is chosen only where rows are left for it."""
    x = np.random.default_rng(0).normal(size=(rows, 3))
    labels = np.arange(rows) % classes
    found = probe(x, labeled(labels, tuple("abcdefghij"[:classes])), 2, 0)
    assert 0 <= found["accuracy"]["mean"] <= 1


def test_linear_signals_are_found_and_noise_is_not():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(240, 12))
    classes = (x[:, 0] + 0.2 * draw.normal(size=240) > 0).astype(np.int64)
    assert probe(x, labeled(classes, ("no", "yes")), 4, 0)["accuracy"]["mean"] > 0.88
    assert abs(probe(x[:, 1:], labeled(draw.permutation(classes), ("no", "yes")), 4, 0)["mcc"]["mean"]) < 0.2
    values = 3 * x[:, 2] - x[:, 5] + 0.1 * draw.normal(size=240) + 7
    found = probe(x, labeled(values), 4, 0)
    assert found["r2"]["mean"] > 0.97
    assert found["spearman"]["mean"] > 0.97
    assert probe(x, labeled(draw.permutation(values)), 4, 0)["r2"]["mean"] < 0.1


def test_many_classes_are_fitted_without_a_word(recwarn):
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 20
    assert len(logistic(1.0, x, y).classes_) == 20
    assert not recwarn.list


def test_folds_are_the_same_for_equal_seeds():
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(90, 5)), draw.integers(0, 3, 90)
    table = labeled(y, ("a", "b", "c"))
    assert probe(x, table, 3, 7) == probe(x, table, 3, 7)


def test_the_task_follows_from_the_labels_unless_it_is_said():
    sequences = Ragged.from_rows([b"ACGU"] * 30)
    ids, few, many = [str(n) for n in range(30)], [str(n % 3) for n in range(30)], [f"{n}.5" for n in range(30)]
    assert as_task("t", ids, sequences, few, "auto", 2).classes == ("0", "1", "2")
    assert as_task("t", ids, sequences, many, "auto", 2).labels.tolist()[:2] == [0.5, 1.5]
    assert as_task("t", ids, sequences, few, "regression", 2).classes == ()
    with pytest.raises(PolymeraseError, match="label 'x' is not a finite number"):
        as_task("t", ids, sequences, ["x", *few[1:]], "regression", 2)
    with pytest.raises(PolymeraseError, match=r"class 'rare' has 1 rows \(0\), fewer than 2 folds"):
        as_task("t", ids, sequences, ["rare", *few[1:]], "classification", 2)
    with pytest.raises(PolymeraseError, match="30 different labels in 30 rows"):
        as_task("t", ids, sequences, [f"{n}.5.1" for n in range(30)], "auto", 2)
    with pytest.raises(PolymeraseError, match="all values are 2"):
        as_task("t", ids, sequences, ["2"] * 30, "regression", 2)
    assert as_task("t", ids, sequences, ["1", "1.0", "10", "2"] * 7 + ["1", "2"], "auto", 2).classes == ("1", "2", "10")
    with pytest.raises(PolymeraseError, match="all labels are"):
        as_task("t", ids, sequences, ["same"] * 30, "auto", 2)


def test_a_class_in_two_spellings_is_named_by_its_rows():
    sequences, ids = Ragged.from_rows([b"ACGU"] * 30), [f"line {n}" for n in range(30)]
    for one, other in (("True", "true"), ("coding", "Coding"), ("YES", "yes")):
        with pytest.raises(PolymeraseError, match=f"t.csv: line 29: label '{other}', but line 0 has '{one}'; spell"):
            as_task("t.csv", ids, sequences, [one, "no"] * 14 + [one, other], "auto", 2)
    assert as_task("t", ids, sequences, ["lncRNA", "mRNA"] * 15, "auto", 2).classes == ("lncRNA", "mRNA")


@pytest.mark.parametrize("odd", ["4%", "1,004", "0,5", "1_004", "<10", ">= 3.5", "1,234,567.8", "+2,5e3"])
@pytest.mark.parametrize("plain", [["1", "2"], ["1.5", "2.5"], []])
def test_a_number_in_another_spelling_is_no_class_and_its_row_is_named(odd, plain):
    sequences, ids = Ragged.from_rows([b"ACGU"] * 30), [f"line {n}" for n in range(30)]
    texts = [(plain or [odd, odd.replace("4", "7")])[n % 2] for n in range(29)] + [odd]
    first = ids[texts.index(odd)]
    said = re.escape(f"t.csv: {first}: label {odd!r} is ") + "(a number that cannot be read|not a finite number) "
    with pytest.raises(PolymeraseError, match=said):
        as_task("t.csv", ids, sequences, texts, "auto", 2)
    assert as_task("t.csv", ids, sequences, [odd, "other"] * 15, "classification", 2).is_classification


@pytest.mark.parametrize(
    "names", [("1.2.3.4", "1.2.3.5"), ("0-1", "1-2"), ("chr1", "chr2"), ("4%", "high"), ("%", "0")]
)
def test_names_with_digits_are_classes(names):
    sequences, ids = Ragged.from_rows([b"ACGU"] * 30), [str(n) for n in range(30)]
    assert set(as_task("t", ids, sequences, list(names) * 15, "auto", 2).classes) == set(names)


def test_tables_are_read_and_wrong_lines_named(tmp_path):
    (tmp_path / "t.tsv").write_text("utr\trl\nacgt\t1.5\nGGG\t2\n")
    assert read_columns(tmp_path / "t.tsv", "utr", "rl")[1:] == ([b"ACGT", b"GGG"], ["1.5", "2"], {})
    with pytest.raises(PolymeraseError, match="no column 'sequence'; there are utr, rl"):
        read_columns(tmp_path / "t.tsv", "sequence", "rl")
    (tmp_path / "t.csv").write_text("sequence,label\nACGU,a\n,b\n")
    with pytest.raises(PolymeraseError, match="line 3: no sequence"):
        read_columns(tmp_path / "t.csv", "sequence", "label")


def test_equal_sequences_with_other_labels_are_counted_and_named(tiny_run, tmp_path):
    draw = np.random.default_rng(3)
    rows = [("".join(draw.choice(list("ACGU"), 30)), "ab"[n % 2]) for n in range(24)]
    rows.append((rows[2][0].replace("U", "T").lower(), "b"))
    (tmp_path / "t.csv").write_text("sequence,label\n" + "".join(f"{s},{v}\n" for s, v in rows))
    command = ("probe.py", tiny_run, tmp_path / "t.csv", "--label", "label", "--folds", "3", "--kmer", "2")
    status, out, err = in_process(*command)
    assert status == 0, err
    assert "labels: 2 rows have a sequence that other rows have with another label" in out
    assert "no model can get right: line 4, line 26" in out
    assert json.loads(in_process(*command, "--json")[1])["such_rows"] == ["line 4", "line 26"]


def test_a_missing_label_and_text_among_numbers_are_named_by_their_rows(tiny_run, tmp_path):
    draw = np.random.default_rng(3)
    sequences = ["".join(draw.choice(list("ACGU"), 30)) for _ in range(24)]
    values = [f"{value:.3f}" for value in draw.normal(size=24)]
    values[3], values[7], values[11] = "nan", "", "NA"
    table, headers = tmp_path / "values.csv", tmp_path / "values.fa"
    table.write_text("sequence,label\n" + "".join(f"{s},{v}\n" for s, v in zip(sequences, values, strict=True)))
    headers.write_text(
        "".join(f">s{n} {v or 'null'}\n{s}\n" for n, (s, v) in enumerate(zip(sequences, values, strict=True)))
    )
    for path, label, named in (
        (table, "label", "line 5 ('nan'), line 9 (empty), line 13 ('NA')"),
        (headers, "2", "s3 ('nan'), s7 ('null'), s11 ('NA')"),
    ):
        status, out, err = in_process("probe.py", tiny_run, path, "--label", label, "--folds", "3", "--kmer", "2")
        assert status == 0, err
        assert "21 sequences, values" in out
        assert f"3 without a label: {named}" in out
    for wrong in ("high", "inf", "1,5"):
        table.write_text(table.read_text().replace(values[20], f'"{wrong}"'))
        values[20] = f'"{wrong}"'
        assert f"line 22: label {wrong!r} is not a finite number (1 of 21" in error_line(
            "probe.py", tiny_run, table, "--label", "label", "--folds", "3"
        )
    table.write_text("sequence,label\n" + "".join(f"{s},{n % 2 if n else 'x'}\n" for n, s in enumerate(sequences)))
    assert "class 'x' has 1 rows (line 2), fewer than 3 folds" in error_line(
        "probe.py", tiny_run, table, "--label", "label", "--folds", "3"
    )
    table.write_text("sequence,label\n" + "".join(f"{s},nan\n" for s in sequences))
    assert "24 rows, none with a label: line 2 ('nan'), line 3 ('nan')" in error_line(
        "probe.py", tiny_run, table, "--label", "label"
    )


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    """Two classes that differ in their letters: counts must tell them apart."""
    draw, path = np.random.default_rng(2), tmp_path_factory.mktemp("probe") / "two.fa"
    with path.open("w") as file:
        for number in range(60):
            kind, letters = ("rich", "GGCCAU") if number % 2 else ("poor", "AAUUGC")
            file.write(f">s{number} {kind}\n{''.join(draw.choice(list(letters), 40))}\n")
    return path


def test_the_command_prints_one_row_per_kind_of_features(tiny_run, fasta):
    status, out, err = in_process("probe.py", tiny_run, fasta, "--label", "2", "--folds", "3", "--kmer", "2", "--json")
    assert status == 0, err
    result = json.loads(out)
    assert list(result["results"]) == ["model", "random weights", "2-mer counts"]
    assert (result["task"], result["classes"], result["rows"]) == ("classification", ["poor", "rich"], 60)
    assert result["results"]["2-mer counts"]["accuracy"]["mean"] > 0.9
    status, out, err = in_process("probe.py", tiny_run, fasta, "--label", "2", "--folds", "3")
    assert [line.split("  ")[0] for line in out.splitlines()[1:-2]] == [
        "features",
        "model",
        "random weights",
        "4-mer counts",
    ]


def test_wrong_input_is_one_line(tiny_run, fasta, tmp_path):
    assert "give the number of a word of the header" in error_line("probe.py", tiny_run, fasta, "--label", "class")
    assert "has no word number 3" in error_line("probe.py", tiny_run, fasta, "--label", "3")
    assert "fewer than 50 folds" in error_line("probe.py", tiny_run, fasta, "--label", "2", "--folds", "50")
    assert "expected at least 2 folds" in error_line("probe.py", tiny_run, fasta, "--label", "2", "--folds", "1")
    assert "no effect without --tune" in error_line("probe.py", tiny_run, fasta, "--label", "2", "--epochs", "7")
    assert "no such file" in error_line("probe.py", tiny_run, tmp_path / "gone.fa", "--label", "2")
    assert "gone.csv: no such file" in error_line("probe.py", tiny_run, tmp_path / "gone.csv", "--label", "y")


def rows_of_two_kinds(count: int) -> tuple[Ragged, np.ndarray]:
    """Sequences rich in G and C, and others, in turn."""
    draw = np.random.default_rng(4)
    letters = ("GGGCCCAU", "AAAUUUGC")
    rows = ["".join(draw.choice(list(letters[number % 2]), 30)).encode() for number in range(count)]
    return Ragged.from_rows(rows), np.arange(count) % 2


@pytest.mark.parametrize(("family", "head"), [("rnaernie2", "pooler"), ("mutbert", "mean"), ("utr_lm", "two_layers")])
def test_fine_tuning_finds_what_a_head_on_frozen_random_weights_does_not(family, head):
    assert FAMILIES[family].fine_tuning_head == head
    sequences, kinds = rows_of_two_kinds(60)
    classes = LabeledSequences([], sequences, kinds, ("rich", "poor"))
    model = tiny(family)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    trained = tune(model, classes, Tuning(head, 12, 3e-3, 8), 2, 0)
    assert trained["accuracy"]["mean"] > 0.85
    frozen = tune(model, classes, Tuning(head, 1, 1e-6, 8, frozen=True), 2, 0)
    assert set(frozen) == {"accuracy", "macro_f1", "mcc", "auroc", "aupr"}
    assert frozen["accuracy"]["mean"] < trained["accuracy"]["mean"]
    for name, tensor in model.network.state_dict().items():  # folds work on copies
        assert torch.equal(tensor, before[name])


def test_values_come_back_in_their_own_unit():
    sequences, kinds = rows_of_two_kinds(60)
    values = 100.0 + 10 * kinds + np.random.default_rng(0).normal(0, 0.5, 60)
    found = tune(tiny("rnaernie2"), LabeledSequences([], sequences, values, ()), Tuning("pooler", 12, 3e-3, 8), 2, 0)
    assert found["rmse"]["mean"] < 4.9  # 5 is what the mean of all gives
    assert found["r2"]["mean"] > 0


def test_tuned_rows_follow_the_linear_ones(tiny_run, fasta):
    words = [tiny_run, fasta, "--label", "2", "--folds", "2", "--tune", "--epochs", "1", "--json"]
    status, out, err = in_process("probe.py", *words)
    assert status == 0, err
    names = ["model", "random weights", "4-mer counts", "model, pooler head", "model, fine-tuned", "random, fine-tuned"]
    assert list(json.loads(out)["results"]) == names
