"""Tasks from files: what they hold, what is drawn, what is refused and what is counted."""

import gzip

import numpy as np
import pytest

from data_prep.corpus import Ragged
from pretrain.errors import PolymeraseError
from pretrain.evaluation.bench.files import Columns, Split, read_task
from pretrain.evaluation.bench.leak import leak_of
from pretrain.evaluation.bench.splits import draw, relatives
from pretrain.evaluation.bench.suites import SUITE_FOLDER, load_suite, tasks_of
from pretrain.evaluation.probing.features import kmer_counts, letters_at_ends
from pretrain.evaluation.probing.windows import mean_of_windows, windows_of
from pretrain.tokenizers.lengths import PerNucleotide

ROWS = {
    "train": ["ACGUACGU,a", "GGGGCCCC,b", "ACGUACGA,a", "GGGCCCCC,b"],
    "dev": ["ACGAACGU,a", "GGGGCCCA,b"],
    "test": ["ACGTACGT,a", "GGGGNCCC,b", "GGGGCCCA,a"],
}


def write(folder, rows=ROWS, name="{}.csv", header="sequence,label"):
    paths = {}
    for split, lines in rows.items():
        paths[split] = folder / name.format(split)
        text = "\n".join([header, *lines]) + "\n"
        if paths[split].suffix == ".gz":
            paths[split].write_bytes(gzip.compress(text.encode()))
        else:
            paths[split].write_text(text)
    return paths


def read(folder, rows=ROWS, **options):
    return read_task("mine", write(folder, rows), Columns(), Split(), **options)


def test_classes_and_values_follow_from_the_labels(tmp_path):
    task = read(tmp_path)
    assert task.table.classes == ("a", "b")
    assert task.metric == "accuracy"
    assert {split: len(rows) for split, rows in task.rows.items()} == {"train": 4, "dev": 2, "test": 3}
    values = {split: [f"{line[:-2]},{number}.5" for number, line in enumerate(lines)] for split, lines in ROWS.items()}
    assert read(tmp_path, values).true.tolist() == [0.5, 1.5, 2.5]
    assert read(tmp_path, values, metric="r2").metric == "r2"


def test_compressed_and_tab_separated_files_are_read_alike(tmp_path):
    for name, header in (
        ("{}.csv.gz", "sequence,label"),
        ("{}.tsv", "sequence\tlabel"),
        ("{}.tsv.gz", "sequence\tlabel"),
    ):
        rows = {split: [line.replace(",", header[8]) for line in lines] for split, lines in ROWS.items()}
        task = read_task("mine", write(tmp_path, rows, name, header), Columns(), Split())
        assert task.table.sequences.rows() == read(tmp_path).table.sequences.rows()


def test_tables_as_spreadsheets_write_them_are_read(tmp_path):
    rows = ROWS["train"]
    text = "\ufeffname,sequence,label\r\n" + "".join(f'"x, {n}",{row.lower()}\r\n\r\n' for n, row in enumerate(rows))
    paths = write(tmp_path)
    paths["train"].write_text(text, newline="")
    long = tmp_path / "test.csv"
    long.write_text(
        f"sequence\tlabel\n{'ACGU' * 50_000}\ta\n{'GGCC' * 3}\tb\n"
    )  # tabs, and beyond the csv module's limit
    task = read_task("mine", paths, Columns(), Split())
    assert task.sequences("train").rows() == [row.split(",")[0].encode() for row in rows]
    assert task.table.ids[1] == "train.csv: line 4"  # blank lines count
    assert task.sequences("test").lengths.tolist() == [200_000, 12]


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("semicolons.csv", lambda text: text.replace(",", ";").encode()),
        ("utf16.csv", lambda text: text.encode("utf-16")),
        ("old-mac.csv", lambda text: text.replace("\n", "\r").encode()),
        ("no-gzip.csv.gz", str.encode),
        ("gzip.csv", lambda text: gzip.compress(text.encode())),
        ("quoted.csv", lambda text: text.replace(",", '","').replace("\n", '"\r\n"').rstrip('"').join('"\n').encode()),
        ("no-ending", str.encode),
        ("other-case.tsv", lambda text: text.replace("sequence,label", " Sequence , LABEL").encode()),
        ("trailing.csv", lambda text: text.replace("\n", ",\n").encode()),
        ("index.csv", lambda text: ("," + text.rstrip().replace("\n", "\n7,") + "\n").encode()),
        ("blank.csv", lambda text: ("\n\n" + text.replace("\n", "\n\n")).encode()),
    ],
)
def test_a_table_is_read_however_it_is_written(tmp_path, name, encode):
    paths = write(tmp_path)
    text = "\n".join(["sequence,label", *ROWS["train"]]) + "\n"
    paths["train"] = tmp_path / name
    paths["train"].write_bytes(encode(text))
    task = read_task("mine", paths, Columns(), Split())
    assert task.sequences("train").rows() == [row.split(",")[0].encode() for row in ROWS["train"]]
    assert task.table.labels[task.rows["train"]].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "NA", "null", "<NA>"])
def test_rows_without_a_label_are_left_out_counted_and_named(tmp_path, missing):
    rows = ROWS | {"train": [*ROWS["train"], f"ACGGCA,{missing}"], "test": [f"ACGGCU,{missing}", *ROWS["test"]]}
    task = read(tmp_path, rows)
    assert task.facts["left_out_without_label"] == 2
    shown = f"'{missing}'" if missing else "empty"
    assert task.facts["without_label"] == f"train.csv: line 6 ({shown}), test.csv: line 2 ({shown})"
    assert {split: len(rows) for split, rows in task.rows.items()} == {"train": 4, "dev": 2, "test": 3}


def test_dev_rows_are_drawn_from_few_training_rows(tmp_path):
    rows = {"train": [f"{'ACGU'[n % 4]}{'ACGU'[n // 4]}GG,{'ab'[n % 2]}" for n in range(10)], "test": ROWS["test"]}
    task = read_task("mine", write(tmp_path, rows), Columns(), Split())
    assert {split: len(rows) for split, rows in task.rows.items()} == {"train": 6, "dev": 4, "test": 3}


def test_labels_that_say_little_are_shown(tmp_path):
    rows = ROWS | {"train": [*ROWS["train"], "ACGGCA,rare"], "test": ["GGGGNCCC,b", "GGGGGCCC,b"]}
    facts = read(tmp_path, rows).facts
    assert (facts["test_rows_are_all"], facts["classes_with_one_training_row"]) == ("b", 1)
    assert facts["rare_classes"] == ["rare (train.csv: line 6)"]


def test_equal_sequences_with_other_labels_are_counted_and_named(tmp_path):
    agreeing = ROWS | {"test": ["ACGTACGT,a", "GGGGNCCC,b"]}
    assert "equal_sequences_with_other_labels" not in read(tmp_path, agreeing).facts
    torn = agreeing | {"train": ["ACGUCCGA,a", "ACGTccga,b", *ROWS["train"]], "test": [*agreeing["test"], "acguccga,a"]}
    task = read(tmp_path, torn)
    assert task.facts["equal_sequences_with_other_labels"] == 3
    assert task.facts["such_rows"] == ["train.csv: line 2", "train.csv: line 3", "test.csv: line 4"]


@pytest.mark.parametrize("sequence", ["ACGU<mask>GG", "ACGU;GG", "ACGU1", "ACG|UAC", "ACGÜ"])
def test_what_is_no_letter_in_a_sequence_is_named_with_its_row(tmp_path, sequence):
    """A mask is five letters there, and a separator that the first line does not have one more."""
    rows = ROWS | {"dev": ["ACGAACGU,a", f"{sequence},b"]}
    with pytest.raises(PolymeraseError, match=r"dev\.csv: line 3: '.' in '.*' is no letter of a sequence; correct"):
        read(tmp_path, rows)


def test_splits_of_two_tasks_are_refused(tmp_path):
    draw = np.random.default_rng(0)
    sequences = ["".join(draw.choice(list("ACGU"), 20)) for _ in range(24)]
    classes = [f"{sequence},{number % 2}" for number, sequence in enumerate(sequences[:12])]
    values = [f"{sequence},0.{number}1" for number, sequence in enumerate(sequences[12:20])]
    rows = {"train": classes, "dev": [f"{one},{n % 2}" for n, one in enumerate(sequences[20:])], "test": values}
    with pytest.raises(PolymeraseError, match=r"test\.csv: line 2 \(test\) has the label 0\.01, but all train"):
        read(tmp_path, rows)
    assert not read(tmp_path, rows, kind="regression").table.is_classification
    assert not read(tmp_path, rows | {"train": [*classes, values[0]]}).table.is_classification


def test_strange_letters_and_leaked_sequences_are_counted(tmp_path):
    task = read(tmp_path)
    assert task.facts["other_letters"] == task.facts["sequences_with_other_letters"] == 1
    found = leak_of(task)
    assert found.counts == {
        "test": 3, "identical_in_train": 1, "identical_in_dev": 1, "share": pytest.approx(2 / 3), "labels_differ": 0,
    }  # fmt: skip
    assert found.leaked.tolist() == [True, False, True]  # U and T are one letter
    other = ROWS | {"test": ["GGGGCCCC,a", "ACGUACGU,a"]}
    assert leak_of(read(tmp_path, other)).counts["labels_differ"] == 1


def kmers(row, k=3):
    sequence, label = row.split(",")
    return " ".join(sequence[at : at + k] for at in range(len(sequence) - k + 1)) + f",{label}"


def test_overlapping_kmers_give_the_sequence_they_were_cut_from_and_other_blanks_are_dropped(tmp_path):
    plain = [row.split(",")[0].encode() for split in ("train", "dev", "test") for row in ROWS[split]]
    split = {name: [kmers(row) for row in rows] for name, rows in ROWS.items()}
    assert read(tmp_path, split).table.sequences.rows() == plain
    blocks = {name: [f"{row[:3]} {row[3:6]} {row[6:]}" for row in rows] for name, rows in ROWS.items()}
    assert read(tmp_path, blocks).table.sequences.rows() == plain
    split["train"][2] = "ACG UUU CCC,a"
    with pytest.raises(
        PolymeraseError, match=r"train\.csv: line 4: blanks part 'ACG UUU CCC'; expected overlapping k-mers"
    ):
        read(tmp_path, split)


def test_last_letters_that_make_no_codon_are_counted(tmp_path):
    task = read(tmp_path).with_rests_of([PerNucleotide(), PerNucleotide(3, 3)])
    assert task.facts["last_letters_in_no_token"] == 9  # all have eight letters
    assert read(tmp_path).with_rests_of([PerNucleotide(3)]).facts["last_letters_in_no_token"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ["ACGU,a"] * 4}, "mine: all training labels are 'a'"),
        ({"train": ["ACGU,1.5", "ACGU,2.5", "ACGU,x", "ACGU,3"], "dev": ["ACGU,1"] * 2, "test": ["ACGU,1"] * 2},
         r"mine: train.csv: line 4: label 'x' is not a finite number \(1 of 8"),
        ({"test": ["ACGU,c", "ACGU,a"]}, "test.csv: line 2: no training row has class 'c'"),
        ({"test": ["ACGU,a"]}, "expected 2 test rows or more, got 1"),
        ({"train": ["MKVLQE,a", "MKWLPE,b"] * 4}, "check the file and the column"),
        ({"train": ["ACGU,a", "GGCC,b"] * 40, "test": ["MKVLQE,a", "MKWLPE,b"]},
         "mine, test rows: 12 of 12 letters are not nucleotides"),
        ({"train": ["ACGU,a", ",b"] * 2}, "train.csv: line 3: no sequence"),
        ({"train": ["ACGU,a,x", "GGCC,b"] * 2}, "train.csv: line 2: expected 2 fields, got 3"),
        ({"train": ['"ACGU,a', 'GGCC",b'] * 3}, "train.csv: line 3: a field spans several lines"),
        ({"train": ["ACGU,"] * 3}, "train.csv: 3 rows, none with a label"),
        ({"test": [f"ACGU,c{number}" for number in range(50)]}, "52 different labels in 56 rows"),
        ({split: [f"{row[:-2]},{1.5 if split == 'test' else n + 0.5}" for n, row in enumerate(rows)]
          for split, rows in ROWS.items()}, "all test values are 1.5"),
    ],
)  # fmt: skip
def test_what_is_no_task_is_one_line(tmp_path, changes, message):
    with pytest.raises(PolymeraseError, match=message) as caught:
        read(tmp_path, ROWS | changes)
    assert "\n" not in str(caught.value)


def test_a_metric_of_the_other_kind_is_refused(tmp_path):
    with pytest.raises(PolymeraseError, match="expected a metric of its kind"):
        read(tmp_path, metric="r2")


def test_dev_rows_are_drawn_from_training_rows_and_equal_sequences_stay_together(tmp_path):
    sequences = ["".join(letters) for letters in np.random.default_rng(0).choice(list("ACGU"), (30, 12))]
    rows = {"train": [f"{one},{'ab'[n % 2]}" for n, one in enumerate(sequences * 2)], "test": ROWS["test"]}
    task = read_task("mine", write(tmp_path, rows), Columns(), Split(dev=0.2))
    dev, train = (set(task.sequences(split).rows()) for split in ("dev", "train"))
    assert len(task.rows["dev"]) == 12
    assert not dev & train
    assert "from the training rows" in task.facts["drawn"]


def test_a_class_with_one_row_is_not_drawn_away_from_training(tmp_path):
    rows = [
        f"{'ACGU'[n % 4]}{'ACGU'[n // 4 % 4]}{'ACGU'[n // 16]}GGCA,{'rare' if n == 7 else 'ab'[n % 2]}"
        for n in range(40)
    ]
    for seed in range(6):
        task = read_task(
            "mine", write(tmp_path, {"train": rows, "test": ROWS["test"]}), Columns(), Split(0.3, seed=seed)
        )
        assert 8 <= len(task.rows["dev"]) <= 12
        assert task.table.classes == ("a", "b", "rare")


def test_relatives_share_a_stretch_directly_or_through_others():
    core = b"ACGUACCGGAUUCGAUCGGAUAGCUAGGCUA"
    rows = [core + b"AAAA", b"GG" + core[:25], b"CCCC" + core[3:] + b"GUG", b"ACGU", b"ACGU", b"U" * 40, core[:24]]
    group = relatives(Ragged.from_rows(rows))
    assert group[0] == group[1] == group[2]
    assert group[3] == group[4]
    assert len(set(group.tolist())) == 4


def test_a_drawn_split_keeps_groups_whole_and_reaches_its_shares():
    groups = np.random.default_rng(0).integers(0, 60, 600)
    drawn = draw(groups, {"dev": 0.1, "test": 0.2}, 3)
    assert sorted(np.concatenate(list(drawn.values())).tolist()) == list(range(600))
    for split, share in (("dev", 0.1), ("test", 0.2), ("train", 0.7)):
        assert len(drawn[split]) / 600 == pytest.approx(share, abs=0.03)
        others = np.concatenate([rows for name, rows in drawn.items() if name != split])
        assert not set(groups[drawn[split]]) & set(groups[others])


def test_windows_cover_a_sequence_and_their_mean_weighs_letters():
    windows, row = windows_of(Ragged.from_rows([b"ACGUACGUAC", b"GG", b"AAAAC"]), 4)
    assert windows.rows() == [b"ACG", b"UAC", b"GUAC", b"GG", b"AA", b"AAC"]
    assert row.tolist() == [0, 0, 0, 1, 2, 2]
    share_of_a = np.array([[one.count(b"A") / len(one)] for one in windows.rows()])
    assert mean_of_windows(share_of_a, windows, row)[:, 0] == pytest.approx([0.3, 0, 0.8])


def test_counts_tell_lengths_and_places_are_counted_from_both_ends():
    rows = Ragged.from_rows([b"ACGUA", b"NGU"])
    assert kmer_counts(rows, 2).sum(axis=1).tolist() == [4, 1]
    places = letters_at_ends(rows, 4).reshape(2, 2, 4, 4)
    assert ["".join("ACGU"[one.argmax()] if one.any() else "-" for one in end) for end in places[0]] == ["ACGU", "AUGC"]
    assert ["".join("ACGU"[one.argmax()] if one.any() else "-" for one in end) for end in places[1]] == ["-GU-", "UG--"]


@pytest.mark.parametrize("path", sorted(SUITE_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_of_a_suite_has_a_checksum_and_a_source(path):
    suite = load_suite(path.stem)
    for entry in suite.tasks.values():
        for file in entry.files().values():
            assert len(suite.files[file]) == 64
            assert set(suite.about(file)) == {"source", "from", "license"}
        assert all(one["source"] for one in entry.published)


def test_a_suite_says_what_is_missing_wrong_or_unknown(tmp_path):
    with pytest.raises(PolymeraseError, match="did you mean 'dna'"):
        load_suite("dan")
    (tmp_path / "own.yaml").write_text("tasks: {one: {train: a.csv, tset: b.csv}}\n")
    with pytest.raises(PolymeraseError, match=r"did you mean 'tasks\.one\.test'"):
        load_suite(str(tmp_path / "own.yaml"))
    with pytest.raises(PolymeraseError, match=r"tf_0.train.csv.gz is missing; get it from https://github.com"):
        list(tasks_of(load_suite("dna"), ["tf_0"], tmp_path, {}))
    write(tmp_path)
    text = "files: {train.csv: '00'}\ntasks: {one: {train: train.csv, test: test.csv}, two: {table: gone.csv}}\n"
    (tmp_path / "own.yaml").write_text(text)
    missing = {}
    with pytest.raises(PolymeraseError, match=r"expected sha256 00…, got"):
        list(tasks_of(load_suite(str(tmp_path / "own.yaml")), None, tmp_path, missing))
    assert set(missing) == {"two"}
