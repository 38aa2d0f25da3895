"""The select stage: what is named stays, what is not is counted, and of a cluster the longest row is left."""

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally

ROWS = [  # id, sequence, source, cluster, split
    ("a", b"ACGU", "one", "x", "train"),
    ("b", b"ACGUA", "one", "x", "train"),
    ("c", b"ACGUC", "two", "x", "train"),
    ("d", b"AC", "two", "y", "train"),
    ("e", b"GGG", "three", None, "train"),
    ("f", b"GG", "three", None, "train"),
    ("g", b"ACGUACGU", "two", "x", "validation"),
    ("h", b"U", "one", "z", "validation"),
]


@pytest.fixture
def corpus(tmp_path):
    with SequenceWriter(tmp_path / "in", stage="test", parameters={}, columns=["source", "cluster"]) as writer:
        for name, sequence, source, cluster, split in ROWS:
            writer.append(split, [name], [sequence], source=[source], cluster=[cluster])
        writer.finish(Tally())
    return tmp_path / "in"


def selected(corpus, out, *arguments) -> dict[str, list[str]]:
    assert main(["select", str(corpus), "--out", str(out), *arguments]) == 0
    opened = open_corpus(out, verify=True)
    return {split: opened.split(split).ids(np.arange(len(opened.split(split)))) for split in opened.splits}


def test_rows_of_named_values_stay_in_their_split(corpus, tmp_path):
    assert selected(corpus, tmp_path / "a", "--keep", "source=one,three") == {
        "train": ["a", "b", "e", "f"],
        "validation": ["h"],
    }
    filters = open_corpus(tmp_path / "a").manifest["stages"][-1]["filters"]
    assert filters == [{"filter": "select", "kept": 5, "dropped": {"not_selected": 3}}]
    assert selected(corpus, tmp_path / "b", "--keep", "source=one,two", "--keep", "cluster=y,z") == {
        "train": ["d"],
        "validation": ["h"],
    }


def test_a_file_names_values_one_a_line(corpus, tmp_path):
    (tmp_path / "names").write_text("# sources\none  # the first\n\nthree\n")
    assert selected(corpus, tmp_path / "a", "--keep", f"source=@{tmp_path}/names")["train"] == ["a", "b", "e", "f"]


def test_of_a_cluster_the_longest_row_is_left_and_rows_without_one_are_alone(corpus, tmp_path):
    everything = selected(corpus, tmp_path / "a", "--representatives", "cluster")
    assert everything == {"train": ["d", "e", "f"], "validation": ["g", "h"]}
    of_two = selected(
        corpus, tmp_path / "b", "--representatives", "cluster", "--split", "train", "--keep", "source=one,two"
    )
    assert of_two == {"train": ["b", "d"], "validation": []}  # b and c are equally long: the first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing is selected"),
        (("--keep", "family=x"), "no column 'family'; expected one of id, sequence, length, source, cluster"),
        (("--keep", "source"), "expected COLUMN=VALUE,VALUE or COLUMN=@FILE"),
        (("--keep", "source=one,four"), "1 of 2 values stand in no row, first 'four'"),
        (("--keep", "source=@/nowhere/names"), "/nowhere/names: no such file"),
        (("--representatives", "family"), "--representatives: no column 'family'"),
    ],
)
def test_what_cannot_be_selected_is_one_line_and_nothing_is_written(corpus, tmp_path, capsys, arguments, message):
    assert main(["select", str(corpus), "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
