"""The split stage: stable, complete, and related sequences stay together."""

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally

GENES = [f"gene-{row % 120}" if row % 10 else None for row in range(1000)]


@pytest.fixture
def corpus(tmp_path):
    """1,000 rows of 120 genes; rows 0, 1 and 7 have the same sequence."""
    letters = np.random.default_rng(0).choice(np.frombuffer(b"ACGU", np.uint8), (1000, 30))
    letters[1] = letters[7] = letters[0]
    rows = [letters[row].tobytes() for row in range(1000)]
    with SequenceWriter(tmp_path / "in", stage="test", parameters={}, columns=["gene"]) as writer:
        writer.append("train", [f"r{row}" for row in range(1000)], rows, gene=GENES)
        writer.finish(Tally())
    return tmp_path / "in"


def split(corpus, out, *arguments):
    assert main(["split", str(corpus), "--out", str(out), *map(str, arguments)]) == 0
    return open_corpus(out, verify=True)


def column(opened, name):
    """Values of a column in train and validation."""
    values = []
    for part in opened.splits:
        table = opened.split(part)
        values.append([text.decode() for text in table.gather_text(name, np.arange(len(table))).rows()])
    return values


def test_every_row_is_in_one_split_and_duplicates_together(corpus, tmp_path):
    opened = split(corpus, tmp_path / "out", "--validation", 0.2)
    train, held_out = column(opened, "id")
    assert sorted(train + held_out, key=lambda name: int(name[1:])) == [f"r{row}" for row in range(1000)]
    assert 150 < len(held_out) < 250
    assert len({name in held_out for name in ("r0", "r1", "r7")}) == 1
    assert column(opened, "gene")[0][:1] != []


def test_the_same_sequences_are_held_out_whatever_the_order(corpus, tmp_path):
    first = split(corpus, tmp_path / "a", "--validation", 0.2)
    again = split(tmp_path / "a", tmp_path / "b", "--validation", 0.2)
    assert set(column(first, "sequence")[1]) == set(column(again, "sequence")[1])
    assert [stage["stage"] for stage in again.manifest["stages"]] == ["test", "split", "split"]


def test_genes_stay_together_and_shared_sequences_leave_validation(corpus, tmp_path):
    opened = split(corpus, tmp_path / "out", "--by", "gene", "--validation", 0.3)
    train, held_out = (set(names) - {""} for names in column(opened, "gene"))
    assert train
    assert held_out
    assert not train & held_out
    sequences = [set(rows) for rows in column(opened, "sequence")]
    assert not sequences[0] & sequences[1]
    (leakage,) = opened.manifest["stages"][-1]["filters"]
    assert leakage["kept"] + sum(leakage["dropped"].values()) == 1000


def test_clusters_stay_together(corpus, tmp_path):
    clusters = {f"r{row}": f"c{row // 10}" for row in range(1000)}
    (tmp_path / "clusters.tsv").write_text("".join(f"{name}\t{cluster}\n" for name, cluster in clusters.items()))
    opened = split(corpus, tmp_path / "out", "--clusters", tmp_path / "clusters.tsv", "--validation", 0.3)
    train, held_out = ({clusters[name] for name in names} for names in column(opened, "id"))
    assert not train & held_out
    assert 15 < len(held_out) < 45


def test_tables_of_clusters_are_read_either_way_round(corpus, tmp_path):
    ours = "".join(f"r{row}\tr{row // 10 * 10}\n" for row in range(1000))
    theirs = "# MMseqs2\r\n\r\n" + "".join(f"r{row // 10 * 10}\tr{row}\r\n" for row in range(1000))
    (tmp_path / "a.tsv").write_text(ours + ours)  # a line that comes again says nothing new
    (tmp_path / "b.tsv").write_text(theirs)
    options = ("--validation", 0.3, "--clusters")
    cdhit = "".join(
        f">Cluster {row // 10}\n" * (row % 10 == 0)
        + f"{row % 10}\t30nt, >r{row}... {'at +/100%' if row % 10 else '*'}\n"
        for row in range(1000)
    )
    (tmp_path / "c.tsv").write_text(cdhit)
    ids = [column(split(corpus, tmp_path / name, *options, tmp_path / f"{name}.tsv"), "id") for name in "abc"]
    assert ids[0] == ids[1]
    # CD-HIT numbers its clusters, so other ones are held out.
    assert sorted(ids[2][0] + ids[2][1]) == sorted(ids[0][0] + ids[0][1])
    assert not {int(name[1:]) // 10 for name in ids[2][0]} & {int(name[1:]) // 10 for name in ids[2][1]}
    assert len({int(name[1:]) // 10 for name in ids[0][1]} & {int(name[1:]) // 10 for name in ids[0][0]}) == 0


@pytest.mark.parametrize(
    ("arguments", "lines", "message"),
    [
        (["--by", "color"], None, "no column 'color'; it has id, sequence, length, gene"),
        (["--validation", "1"], None, "--validation must lie between 0 and 1"),
        (["--clusters", "c.tsv"], "r0\tc0\n", "no line for record r1 (and 998 more)"),
        (["--clusters", "c.tsv"], "r0 c0\n", "line 1 is not id<TAB>cluster"),
        (["--clusters", "c.tsv"], "", "empty"),
        (["--clusters", "c.tsv"], "r0\t" + "x" * 9999 + "\ty\n", "line 1 is not id<TAB>cluster: 'r0\\t"),
        (
            ["--clusters", "c.tsv"],
            "".join(f"r{row}\tc\n" for row in range(1000)) + "r7\td\nr9\te\n",
            "record r7 is in several clusters (as are 1 more)",
        ),
        (["--clusters", "missing.tsv"], None, "missing.tsv"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(corpus, tmp_path, capsys, monkeypatch, arguments, lines, message):
    monkeypatch.chdir(tmp_path)
    if lines is not None:
        (tmp_path / "c.tsv").write_text(lines)
    assert main(["split", str(corpus), "--out", "out", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "c.tsv"}
