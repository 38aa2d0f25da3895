"""Folding equals ViennaRNA, loses nothing to a dying worker, and folds nothing twice."""

import csv
import os
import signal
import threading

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.corpus import writer as writer_module
from data_prep.corpus.tally import Tally
from data_prep.folding import shards, vienna
from data_prep.folding.cache import FoldCache
from data_prep.runtime.executor import Workers

RNA = pytest.importorskip("RNA")


def write_corpus(out, sequences, split="train", alphabet="rna"):
    with SequenceWriter(out, stage="test", parameters={}, alphabet=alphabet, columns=["rna_type"]) as writer:
        writer.append(split, [f"r{row}" for row in range(len(sequences))], sequences, rna_type=["x"] * len(sequences))
        writer.append("validation", ["held"], [b"GGGGAAAACCCC"], rna_type=[None])
        writer.finish(Tally())
    return str(out)


def fold(*arguments):
    assert main(["fold", *map(str, arguments), "--executor", "local:2"]) == 0


def read(out):
    table = open_corpus(out, verify=True).split("train")
    everything = np.arange(len(table))
    structures = [row.decode() for row in table.gather_text("structure", everything).rows()]
    return structures, table.mfe_kcal_per_mol(everything).tolist()


def golden_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_energies_and_structures_are_the_golden_ones(golden, tmp_path):
    rows = golden_rows(golden / "viennarna" / "fold.tsv")
    corpus = write_corpus(tmp_path / "in", [row["sequence"].encode() for row in rows])
    fold(corpus, "--out", tmp_path / "out")
    structures, energies = read(tmp_path / "out")
    assert [round(energy, 2) for energy in energies] == [float(row["mfe_kcal_mol"]) for row in rows]
    same_version = RNA.__version__ in ("2.7.2", "2.8.0")  # they fold all of these alike
    for row, structure in zip(rows, structures, strict=True):
        if same_version or row["cooptimal"] == "1":
            assert structure == row["structure"], row["id"]


def test_the_public_label_of_the_utr_lm_corpus_is_reproduced(shared):
    (row,) = [row for row in golden_rows(shared / "golden" / "viennarna" / "fold_200.tsv") if row["id"] == "000"]
    (result,) = vienna.fold_chunk([vienna.normalize(row["sequence"].encode())])
    assert result == vienna.Fold(-2720, row["structure"])


def test_columns_splits_and_energy_statistics_are_kept(tmp_path):
    sequences = [b"GGGGCGAAAGCCCC", b"ACGUACGUAGCUAGCUAGCU", b"AAAAAAAA", b"ACGU"]
    fold(write_corpus(tmp_path / "in", sequences), "--out", tmp_path / "out")
    corpus = open_corpus(tmp_path / "out")
    table = corpus.split("train")
    assert table.rna_type(np.arange(4)) == ["x"] * 4
    assert len(corpus.split("validation")) == 1
    energies = table.mfe_kcal_per_mol(np.arange(4))
    summary = corpus.manifest["splits"]["train"]["mfe_kcal_per_mol"]
    assert summary["mean"] == pytest.approx(float(energies.mean()), abs=1e-4)
    assert summary["std"] == pytest.approx(float(energies.std()), abs=1e-4)
    last = corpus.manifest["stages"][-1]
    assert last["parameters"]["version"] == RNA.__version__
    assert last["filters"] == [{"filter": "fold", "kept": 5, "dropped": {}}]
    assert [stage["stage"] for stage in corpus.manifest["stages"]] == ["test", "fold"]


@pytest.mark.parametrize(
    ("long", "lengths", "labeled"), [("unlabeled", [30, 8], 1), ("keep-5p", [10, 8], 2), ("keep-3p", [10, 8], 2)]
)
def test_long_rows_follow_the_policy(tmp_path, long, lengths, labeled):
    corpus = write_corpus(tmp_path / "in", [b"GGGGGAAAAACCCCCUUUUUGGGGGAAACC", b"GGAAAACC"])
    fold(corpus, "--out", tmp_path / "out", "--max-length", 10, "--long", long)
    opened = open_corpus(tmp_path / "out")
    assert opened.split("train").lengths.tolist() == lengths
    structures, energies = read(tmp_path / "out")
    assert sum(np.isfinite(energies)) == labeled
    if long != "unlabeled":
        text = opened.split("train").gather(np.array([0])).rows()[0]
        assert text == (b"GGGGGAAAAA" if long == "keep-5p" else b"GGGGGAAACC")
        assert len(structures[0]) == 10
    (counted,) = opened.manifest["stages"][-1]["filters"]
    assert (counted["kept"], counted["dropped"]) == (opened.manifest["splits"]["train"]["sequences"] + 1, {})
    assert counted["changed"] == ({"without_labels_too_long": 2} if long == "unlabeled" else {"cropped": 2})


def test_rows_with_other_characters_stay_without_labels(tmp_path):
    fold(write_corpus(tmp_path / "in", [b"GGGG&CCCC", b"GGGGAAAACCCC"]), "--out", tmp_path / "out")
    structures, energies = read(tmp_path / "out")
    assert structures[0] == ""
    assert np.isnan(energies[0])
    assert energies[1] < 0
    (counted,) = open_corpus(tmp_path / "out").manifest["stages"][-1]["filters"]
    assert (counted["kept"], counted["dropped"]) == (3, {})
    assert counted["changed"] == {"without_labels_not_letters": 1}


def die_of_poison(items):
    """Stands for ViennaRNA: a real process dies by a real signal."""
    if b"POISON" in items:
        os.kill(os.getpid(), signal.SIGSEGV)
    return [len(item) for item in items]


def test_a_dying_worker_costs_its_record_only():
    chunks = [[b"A" * (10 * chunk + row) for row in range(10)] for chunk in range(12)]
    chunks[5][7] = b"POISON"
    chunks[6][0] = b"POISON"
    with Workers("local:2") as workers:
        results = dict(workers.map_chunks(die_of_poison, chunks))
    expected = [[None if item == b"POISON" else len(item) for item in chunk] for chunk in chunks]
    assert [results[number] for number in range(12)] == expected


def test_a_record_that_kills_keeps_its_row_without_labels(monkeypatch, tmp_path):
    monkeypatch.setattr(shards, "fold_chunk", fold_or_die)
    corpus = write_corpus(tmp_path / "in", [b"GGGGAAAACCCC", b"POISON", b"ACGUACGU"])
    fold(corpus, "--out", tmp_path / "out")
    _, energies = read(tmp_path / "out")
    assert np.isnan(energies).tolist() == [False, True, False]
    (counted,) = open_corpus(tmp_path / "out").manifest["stages"][-1]["filters"]
    assert counted["changed"] == {"without_labels_worker_died": 1}


def test_workers_that_all_die_are_an_error_and_no_corpus(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(shards, "fold_chunk", die)
    corpus = write_corpus(tmp_path / "in", [b"GGGGAAAACCCC", b"ACGUACGU"])
    assert main(["fold", str(corpus), "--out", str(tmp_path / "out")]) == 2
    assert "every worker died" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    fold(corpus, "--out", tmp_path / "out")
    assert not np.isnan(read(tmp_path / "out")[1]).any()


def die(sequences):
    os.kill(os.getpid(), signal.SIGKILL)


def fold_or_die(sequences):
    if b"POISON" in sequences:
        os.kill(os.getpid(), signal.SIGKILL)
    return vienna.fold_chunk(sequences)


def test_nothing_is_folded_twice(monkeypatch, tmp_path):
    corpus = write_corpus(tmp_path / "in", [b"GGGGAAAACCCC", b"ACGUACGU", b"GGGGAAAACCCC"])
    fold(corpus, "--out", tmp_path / "a")
    monkeypatch.setattr(shards, "fold_chunk", never)
    fold(corpus, "--out", tmp_path / "b")
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()
    monkeypatch.undo()
    with FoldCache(tmp_path / ".fold-cache.sqlite", {**vienna.parameters(), "dangles": 0}) as other_model:
        assert other_model.get([b"GGGGAAAACCCC"]) == [None]


def never(sequences):
    raise AssertionError(f"folded again: {sequences}")


def test_finished_shards_are_kept_and_the_result_is_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(writer_module, "SHARD_ROWS", 2)
    generator = np.random.default_rng(0)
    sequences = [bytes(generator.choice(list(b"ACGU"), 40).tolist()) for _ in range(8)]
    corpus = write_corpus(tmp_path / "in", sequences)
    fold(corpus, "--out", tmp_path / "straight", "--cache", "none")

    monkeypatch.setattr(shards, "fold_chunk", interrupt_at(sequences[5]))
    assert main(["fold", corpus, "--out", str(tmp_path / "out"), "--executor", "local:1", "--cache", "none"]) == 130
    assert not (tmp_path / "out").exists()
    assert len(list((tmp_path / ".out.partial" / "train").glob("*.arrow"))) == 2
    monkeypatch.setattr(shards, "fold_chunk", refuse(sequences[:4]))
    fold(corpus, "--out", tmp_path / "out", "--cache", "none")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == (tmp_path / "straight" / "manifest.json").read_bytes()


class interrupt_at:  # noqa: N801  (a function that travels to the worker)
    def __init__(self, sequence):
        self.sequence = sequence

    def __call__(self, sequences):
        if self.sequence in sequences:
            raise KeyboardInterrupt
        return vienna.fold_chunk(sequences)


class refuse:  # noqa: N801
    def __init__(self, known):
        self.known = known

    def __call__(self, sequences):
        assert not set(self.known) & set(sequences), "a finished shard was folded again"
        return vienna.fold_chunk(sequences)


@pytest.mark.parametrize(
    ("address", "message"),
    [("slurm:4", "unknown kind 'slurm'"), ("local:many", "local:N"), ("local:0", "local:N")],
)
def test_a_wrong_executor_is_one_line(tmp_path, capsys, address, message):
    corpus = write_corpus(tmp_path / "in", [b"ACGU"])
    assert main(["fold", corpus, "--out", str(tmp_path / "out"), "--executor", address]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_file_that_is_no_cache_is_one_line(tmp_path, capsys):
    (tmp_path / "notes").write_text("not a database, but long enough to be read as one " * 50)
    corpus = write_corpus(tmp_path / "in", [b"ACGU"])
    assert main(["fold", corpus, "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "notes")]) == 2
    assert "cannot be used as fold cache" in capsys.readouterr().err


def test_a_dask_cluster_whose_worker_is_killed_gives_the_same_bytes(tmp_path):
    distributed = pytest.importorskip("distributed")
    generator = np.random.default_rng(0)
    corpus = write_corpus(tmp_path / "in", [bytes(generator.choice(list(b"ACGU"), 200).tolist()) for _ in range(150)])
    fold(corpus, "--out", tmp_path / "local", "--cache", "none")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        victim = cluster.workers[0].pid
        killer = threading.Timer(1.0, os.kill, (victim, signal.SIGKILL))
        killer.start()
        assert main(["fold", corpus, "--out", str(tmp_path / "dask"), "--executor", address, "--cache", "none"]) == 0
        killer.cancel()
        with pytest.raises(ProcessLookupError):
            os.kill(victim, 0)  # it really died before the end
    assert (tmp_path / "local" / "manifest.json").read_bytes() == (tmp_path / "dask" / "manifest.json").read_bytes()
