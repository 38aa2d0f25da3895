"""Relatives: what clusters and leakage say is what aligning every pair letter by letter says."""

import json
import math
from itertools import combinations

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import Ragged, SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.filters.similarity import Relation, clusters, leakage
from data_prep.filters.similarity.alignment import Batch, align
from data_prep.filters.similarity.cluster import to_codes, unite
from data_prep.filters.similarity.seeds import minimizers, patterns_for, window_for, words

LETTERS = np.frombuffer(b"ACGU", np.uint8)
COMPLEMENT = bytes.maketrans(b"ACGU", b"UGCA")


def turned(row):
    return row.translate(COMPLEMENT)[::-1]


def changed(generator, row, substitutions=0, deletions=0):
    """`row` with letters that differ, and others left out."""
    letters = np.frombuffer(row, np.uint8).copy()
    for at in generator.choice(len(letters), substitutions, replace=False).tolist():
        letters[at] = generator.choice(LETTERS[letters[at] != LETTERS])
    return np.delete(letters, generator.choice(len(letters), deletions, replace=False)).tobytes()


def local_alignment(shorter, longer):
    """(score, equal letters, columns, letters of the shorter) of the best local alignment, a cell at a time."""
    before, best = [(0, 0, 0, 0)] * (len(longer) + 1), (0, 0, 0, 0)
    for ours in shorter:
        row = [(0, 0, 0, 0)]
        for column, theirs in enumerate(longer):
            same = ours == theirs and ours in b"ACGU"
            score, equal, columns, covered = before[column]
            ways = [(0, 0, 0, 0), (score + (2 if same else -3), equal + same, columns + 1, covered + 1)]
            score, equal, columns, covered = before[column + 1]
            ways.append((score - 4, equal, columns + 1, covered + 1))
            score, equal, columns, covered = row[-1]
            ways.append((score - 4, equal, columns + 1, covered))
            row.append(max(ways))
        before, best = row, max(best, *row)
    return best


def are_relatives(one, other, relation, letters):
    shorter, longer = sorted((one, other), key=len)
    for partner in (longer, turned(longer)) if relation.both_strands else (longer,):
        score, equal, columns, covered = local_alignment(shorter, partner)
        chance = 0.15 * len(shorter) * letters * (1 + relation.both_strands) * math.exp(-0.55 * score)
        if (
            chance <= 1e-3
            and covered >= relation.coverage * len(shorter)
            and columns
            and equal / columns >= relation.identity
        ):
            return True
    return False


def brute_force(rows, relation):
    label, letters = np.arange(len(rows)), sum(map(len, rows))
    pairs = [
        pair
        for pair in combinations(range(len(rows)), 2)
        if are_relatives(*(rows[at] for at in pair), relation, letters)
    ]
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    unite(label, one, other)
    return label


@pytest.fixture(scope="module")
def families():
    """32 sequences: 8 families with changes, gaps, fragments, on both strands; one unknown letter."""
    generator = np.random.default_rng(5)
    rows = []
    for number in range(8):
        parent = generator.choice(LETTERS, 44 + 3 * number).tobytes()
        rows += [parent, turned(changed(generator, parent, number * 3 // 2)), parent[: len(parent) - 6 * (number % 3)]]
        rows.append(changed(generator, parent, number + 2, deletions=number % 3))
    rows[3] = rows[3][:9] + b"N" + rows[3][10:]
    return rows


@pytest.mark.parametrize("band", [8, 16])
def test_an_alignment_is_that_of_every_cell_where_the_band_holds_it(band):
    generator = np.random.default_rng(1)
    shorter = [generator.choice(LETTERS, nt).tobytes() for nt in (12, 17, 23, 23, 30, 30)]
    longer = [changed(generator, row, 2, deletions=number % 3) for number, row in enumerate(shorter)]
    longer[4] = longer[4][:8] + b"ACG" + longer[4][8:]
    shorter[5] = shorter[5][:4] + b"N" + shorter[5][5:]
    longer[5] = longer[5][:4] + b"N" + longer[5][5:]
    window = np.full((len(shorter), max(map(len, shorter)) + 2 * band), ord("N"), np.uint8)
    for row, text in zip(window, longer, strict=True):
        row[band : band + len(text)] = list(text)
    codes = to_codes(Ragged(window.reshape(-1), np.arange(len(window) + 1) * window.shape[1])).values
    found = align(Batch(to_codes(Ragged.from_rows(shorter)), codes.reshape(window.shape), band))
    assert found.tolist() == [list(local_alignment(*pair)) for pair in zip(shorter, longer, strict=True)]


@pytest.mark.parametrize("identity", [0.8, 0.9, 1.0])
@pytest.mark.parametrize("strand", ["both", "same"])
def test_clusters_are_those_of_aligning_every_pair(families, identity, strand):
    relation = Relation(identity, 0.8, strand)
    assert clusters(Ragged.from_rows(families), relation).tolist() == brute_force(families, relation).tolist()


def test_leakage_is_that_of_aligning_every_pair(families):
    train, held_out = families[::2], families[1::2]
    letters = sum(map(len, train))
    for strand in ("both", "same"):
        found = leakage(Ragged.from_rows(train), Ragged.from_rows(held_out), strand=strand)
        for identity, count in found.relatives.items():
            relation = Relation(identity, 0.8, strand)
            assert count == sum(
                any(are_relatives(row, known, relation, letters) for known in train) for row in held_out
            )
    assert (found.training, found.held_out) == (16, 16)


def test_the_clusters_do_not_depend_on_the_order_of_the_sequences(families):
    order = np.random.default_rng(2).permutation(len(families))
    label = clusters(Ragged.from_rows(families))
    mixed = clusters(Ragged.from_rows([families[at] for at in order]))
    assert {frozenset(np.flatnonzero(label == each).tolist()) for each in label} == {
        frozenset(order[mixed == each].tolist()) for each in mixed
    }


def test_letters_in_any_case_and_of_dna_are_the_same_sequence():
    row = np.random.default_rng(3).choice(LETTERS, 40).tobytes()
    found = clusters(Ragged.from_rows([row, row.lower(), row.replace(b"U", b"T"), turned(row)]))
    assert found.tolist() == [0, 0, 0, 0]
    assert clusters(Ragged.from_rows([row, turned(row)]), Relation(strand="same")).tolist() == [0, 1]


def test_unknown_letters_are_no_relatives():
    assert clusters(Ragged.from_rows([b"N" * 50, b"N" * 60, b""])).tolist() == [0, 1, 2]


def test_a_word_and_that_of_the_other_strand_are_one_seed():
    rows = [np.random.default_rng(seed).choice(LETTERS, 60).tobytes() for seed in range(3)]
    for pattern in patterns_for(1000):
        ours, turned_ours = words(to_codes(Ragged.from_rows(rows)), pattern, True)
        theirs, turned_theirs = words(to_codes(Ragged.from_rows([turned(row) for row in rows])), pattern, True)
        count = 60 - int(pattern[-1])
        for row in range(3):
            here = slice(60 * row, 60 * row + count)
            assert ours[here].tolist() == theirs[here][::-1].tolist()
            assert (turned_ours[here] != turned_theirs[here][::-1]).mean() > 0.9  # palindromes have no strand


def test_minimizers_are_the_smallest_word_of_every_window():
    found = np.random.default_rng(4).integers(0, 50, 200).astype(np.uint32)
    for window in (1, 2, 8):
        smallest = {
            first + int(at)
            for first in range(len(found) - window + 1)
            for at in np.flatnonzero(found[first : first + window] == found[first : first + window].min())
        }
        inside = minimizers(found, window)[window - 1 : len(found) - window + 1]
        expected = [at in smallest for at in range(window - 1, len(found) - window + 1)]
        assert inside.tolist() == expected
    assert (window_for(10**6), window_for(10**12) > 1000) == (1, True)


def test_many_parts_on_the_disk_give_the_clusters_of_one(families, monkeypatch):
    expected = clusters(Ragged.from_rows(families))
    monkeypatch.setattr("data_prep.filters.similarity.spool.FEW_LETTERS", 0)
    monkeypatch.setattr("data_prep.filters.similarity.cluster.MOST_PAIRS", 3)
    assert clusters(Ragged.from_rows(families)).tolist() == expected.tolist()


@pytest.mark.parametrize("wrong", [{"identity": 0.49}, {"identity": 1.01}, {"coverage": 0}, {"strand": "minus"}])
def test_a_wrong_relation_names_its_key_and_value(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(DataPrepError, match=f"{name}: expected .*, got '?{value}"):
        Relation(**wrong)


def test_leakage_of_nothing_is_an_error():
    some, none = Ragged.from_rows([b"ACGU" * 10]), Ragged.from_rows([])
    for train, held_out, name in ((none, some, "training"), (some, none, "held-out")):
        with pytest.raises(DataPrepError, match=f"leakage: expected {name} sequences, got none"):
            leakage(train, held_out)


@pytest.fixture
def corpus(families, tmp_path):
    with SequenceWriter(tmp_path / "in", stage="test", parameters={}) as writer:
        writer.append("train", [f"r{row}" for row in range(len(families))], families)
        writer.finish(Tally())
    return tmp_path / "in"


def rows_of(folder, name):
    opened = open_corpus(folder, verify=True)
    tables = [opened.split(split) for split in opened.splits]
    return [[text.decode() for text in t.gather_text(name, np.arange(len(t))).rows()] for t in tables]


def flat(parts):
    return [value for part in parts for value in part]


SPLIT = ("--by", "similarity", "--identity", "0.8", "--validation", "0.4")


def test_clusters_never_straddle_and_are_a_column_and_counted(corpus, families, tmp_path, capsys):
    assert main(["split", str(corpus), "--out", str(tmp_path / "out"), *SPLIT]) == 0
    ids, stored = rows_of(tmp_path / "out", "id"), rows_of(tmp_path / "out", "cluster")
    assert not set(stored[0]) & set(stored[1])
    expected = brute_force(families, Relation())
    cluster = dict(zip(flat(ids), flat(stored), strict=True))
    one_to_one = {(cluster[f"r{row}"], label) for row, label in enumerate(expected.tolist())}
    assert len(one_to_one) == len(set(cluster.values())) == len(set(expected.tolist()))
    groups = open_corpus(tmp_path / "out").manifest["stages"][-1]["groups"]
    assert (groups["all"], groups["train"]) == (len(set(cluster.values())), len(set(stored[0])))
    assert groups["validation"] == len(set(stored[1])) > 0
    assert f"groups, all: {groups['all']}" in capsys.readouterr().out
    leak = leakage(
        *(Ragged.from_rows([row.encode() for row in rows]) for rows in rows_of(tmp_path / "out", "sequence"))
    )
    assert set(leak.relatives.values()) == {0}


def test_the_column_splits_again_the_same_way(corpus, tmp_path):
    assert main(["split", str(corpus), "--out", str(tmp_path / "a"), *SPLIT]) == 0
    assert (
        main(["split", str(tmp_path / "a"), "--out", str(tmp_path / "b"), "--by", "cluster", "--validation", ".4"]) == 0
    )
    stored = rows_of(tmp_path / "b", "cluster")
    assert not set(stored[0]) & set(stored[1])


def test_processes_change_no_byte(corpus, tmp_path):
    for name, more in (("a", ()), ("b", ("--executor", "local:2"))):
        assert main(["split", str(corpus), "--out", str(tmp_path / name), *SPLIT, *more]) == 0
    manifests = [open_corpus(tmp_path / name).manifest for name in "ab"]
    assert manifests[0]["files"] == manifests[1]["files"]
    assert manifests[0]["fingerprint"] == manifests[1]["fingerprint"]


def test_a_cluster_larger_than_the_share_stays_in_training(families, tmp_path):
    generator = np.random.default_rng(6)
    rows = [changed(generator, families[28], 2) for _ in range(30)] + list(families[::4])
    for number in range(8):  # whatever its hash says
        rows = [row[number:] for row in rows]
        with SequenceWriter(tmp_path / f"in{number}", stage="test", parameters={}) as writer:
            writer.append("train", [f"r{row}" for row in range(len(rows))], rows)
            writer.finish(Tally())
        out = tmp_path / f"out{number}"
        status = main(
            ["split", str(tmp_path / f"in{number}"), "--out", str(out), "--by", "similarity", "--validation", ".3"]
        )
        if status == 0:
            assert {f"r{row}" for row in range(30)} <= set(rows_of(out, "id")[0])
            assert open_corpus(out).manifest["stages"][-1]["groups"]["too_large_to_be_held_out"] == 1
    assert list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "similarity", "--identity", "0.4"], "--identity: expected a share from 0.5 to 1, got 0.4"),
        (["--by", "similarity", "--coverage", "2"], "--coverage: expected a share above 0 and up to 1, got 2"),
        (["--by", "similarity", "--strand", "minus"], "--strand: invalid choice: 'minus'"),
        (["--by", "length", "--identity", "0.9"], "--identity has no effect without --by similarity"),
        (["--by", "clan"], "no column 'clan'; it has id, sequence, length; give one of them, similarity, or a file"),
        (["--by", "all.tsv"], "by all.tsv all 32 records are one group, expected at least two; give another --by"),
        (["--by", "similarity", "--executor", "cloud:3"], "--executor cloud:3: unknown kind 'cloud'"),
    ],
)
def test_wrong_use_of_similarity_is_one_line_and_leaves_nothing(
    corpus, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all.tsv").write_text("".join(f"r{row}\tone\n" for row in range(32)))
    assert main(["split", str(corpus), "--out", "out", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_groups_of_a_file_are_kept_together_and_stored(corpus, tmp_path):
    groups = {f"r{row}": f"gene{row % 11}" for row in range(32)}
    (tmp_path / "groups.tsv").write_text("".join(f"{name}\t{group}\n" for name, group in groups.items()))
    assert (
        main(
            [
                "split",
                str(corpus),
                "--out",
                str(tmp_path / "o"),
                "--by",
                str(tmp_path / "groups.tsv"),
                "--validation",
                ".4",
            ]
        )
        == 0
    )
    ids, stored = rows_of(tmp_path / "o", "id"), rows_of(tmp_path / "o", "cluster")
    assert not {groups[name] for name in ids[0]} & {groups[name] for name in ids[1]}
    assert len(set(zip(flat(stored), (groups[name] for name in flat(ids)), strict=True))) == 11


def test_inspect_tells_the_leakage_of_a_corpus_and_of_labeled_sets(corpus, families, tmp_path, capsys):
    assert main(["split", str(corpus), "--out", str(tmp_path / "out"), "--validation", "0.4"]) == 0
    train, held_out = ([row.encode() for row in rows] for rows in rows_of(tmp_path / "out", "sequence"))
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "out"), "--leakage", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["leakage"]
    expected = leakage(Ragged.from_rows(train), Ragged.from_rows(held_out)).to_json()
    assert found == expected
    assert expected["relatives"]["80"] >= expected["relatives"]["90"] >= expected["relatives"]["100"] >= 1
    texts = [row.decode() for row in held_out]
    (tmp_path / "set.csv").write_text("label,sequence\n" + "".join(f'1,"{text}"\n' for text in texts))
    (tmp_path / "set.tsv").write_text("Sequence\tlabel\n" + "".join(f"{text.lower()}\t1\n" for text in texts))
    (tmp_path / "set.fa").write_text("".join(f">{at}\n{text}\n" for at, text in enumerate(texts)))
    for name in ("set.csv", "set.tsv", "set.fa"):
        assert main(["inspect", str(tmp_path / "out"), "--leakage-against", str(tmp_path / name), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["leakage"] == expected, name
    assert main(["inspect", str(tmp_path / "out"), "--leakage-against", str(corpus)]) == 0
    assert "Of 32 held-out sequences " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (
            "label,text\n1,2\n",
            "no column of sequences: expected one of sequence, seq, utr5, utr3, utr, got label, text",
        ),
        ("sequence,label\n", "no sequence"),
        ("label,sequence\n1,ACGU\n2\n", "line 3: expected 2 fields, got 1"),
        ("label,sequence\n1,MEFL\n", "line 2: expected letters of nucleotides, got 'MEFL'"),
    ],
)
def test_a_broken_labeled_set_is_one_line(corpus, tmp_path, capsys, text, message):
    (tmp_path / "set.csv").write_text(text)
    assert main(["inspect", str(corpus), "--leakage-against", str(tmp_path / "set.csv")]) == 2
    error = capsys.readouterr().err
    assert f"set.csv: {message}" in error
    assert error.count("\n") == 1


def test_leakage_of_a_corpus_without_held_out_rows_is_one_line(corpus, capsys):
    assert main(["inspect", str(corpus), "--leakage"]) == 2
    assert "leakage: expected held-out sequences, got none" in capsys.readouterr().err
