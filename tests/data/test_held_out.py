"""What a corpus of a mixture holds out, no corpus of it trains on; and what is left out is counted and said."""

import shutil

import numpy as np
import pytest

from data_prep.__main__ import main as data_prep
from data_prep.corpus import SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally
from data_prep.nucleotides import complement_table
from pretrain.config import load_config
from pretrain.config.corpus import Corpus as CorpusSettings
from pretrain.data import counted_once
from pretrain.data.held_out import REASONS, held_out_of
from pretrain.data.sources import open_source
from pretrain.errors import PolymeraseError
from pretrain.rng import SampleRng
from pretrain.tokenizers import build_tokenizer
from pretrain.training.compatibility import check_compatible, run_signature, signature_of_today
from pretrain.training.components import build_components
from tests.training.corpora import build_genome, build_labeled, random_sequences, tree, write_yaml
from tests.training.ranks import command_line, records


def write(out, train, validation, alphabet="rna", clusters=None):
    """A corpus of these rows; clusters by sequence."""
    columns = ("cluster",) if clusters is not None else ()
    with SequenceWriter(out, stage="test", parameters={}, alphabet=alphabet, columns=columns) as writer:
        for split, rows in (("train", train), ("validation", validation)):
            own = {"cluster": [clusters.get(row) for row in rows]} if clusters is not None else {}
            writer.append(split, [f"{split}{n}" for n in range(len(rows))], [row.encode() for row in rows], **own)
        writer.finish(Tally())
    return open_corpus(out)


def left_out(*corpora):
    """Training rows of each corpus that are left out."""
    found = held_out_of(corpora)
    return [
        [] if bits is None else np.flatnonzero(np.unpackbits(bits[0] | bits[1])).tolist() for bits in found.rows
    ]  # fmt: skip


def rows_of(corpus, split):
    table = corpus.split(split)
    return table.gather(np.arange(len(table))).rows()


def other_strand(row):
    return row.encode().translate(complement_table("dna").tobytes())[::-1].decode()


def build(folder, name, fasta, *words):
    """A corpus through the command line."""
    arguments = ["fasta", str(fasta), "--out", str(folder / name), "--max-ambiguous", "0.5", *words]
    assert data_prep(arguments) == 0
    return folder / name


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "records.fa"
    rows = random_sequences(300, 8, 60, 1)
    path.write_text("".join(f">s{number}\n{row}\n" for number, row in enumerate(rows)))
    return path


def test_rows_that_any_corpus_holds_out_are_those_of_a_set_of_strings(tmp_path, fasta):
    one = open_corpus(build(tmp_path, "one", fasta, "--validation", "0.4"))
    other = open_corpus(build(tmp_path, "other", fasta, "--validation", "0.05", "--alphabet", "rna"))
    third = write(tmp_path / "third", random_sequences(9, 8, 60, 7), [])
    held_out = {*rows_of(one, "validation"), *rows_of(other, "validation")}
    wanted = [
        [n for n, row in enumerate(rows_of(corpus, "train")) if row in held_out] for corpus in (one, other, third)
    ]
    assert left_out(one, other, third) == wanted
    assert not wanted[0]
    assert len(wanted[1]) > 50


def test_a_source_never_reads_what_is_held_out(tmp_path, fasta):
    one, other = (
        open_corpus(build(tmp_path, name, fasta, "--validation", share))
        for name, share in (("a", "0.4"), ("b", "0.05"))
    )
    found = held_out_of((one, other))
    source = open_source(other, "train", build_tokenizer("ernie_rna"), CorpusSettings(), 64, found.rows[1])
    index = np.arange(source.size)
    read = set(source.read(index, SampleRng(index.astype(np.uint64))).sequences.rows())
    assert read.isdisjoint(rows_of(one, "validation"))
    assert source.size == len(other.split("train")) - found.counts[1]
    assert source.skipped[REASONS[0]] == found.counts[1] > 0


def test_letters_are_compared_whatever_the_alphabet(tmp_path):
    rna = write(tmp_path / "rna", ["ACGUACGUAA"], ["GGUUCCAAGG"])
    dna = write(tmp_path / "dna", ["GGTTCCAAGG", "ACCCCCTTTT"], ["ACGTACGTAA"], "dna")
    assert left_out(rna, dna) == [[0], [0]]


def test_the_other_strand_of_what_is_held_out_is_held_out_where_a_corpus_is_dna(tmp_path):
    row = "GGTTCCAAGA"
    one = write(tmp_path / "one", ["ACCCCCTTTT"], [row], "dna")
    other = write(tmp_path / "other", ["AAAAAAAAAC", other_strand(row)], [], "dna")
    assert left_out(one, other) == [[], [1]]
    rna = [write(tmp_path / name, [train.replace("T", "U")], [held.replace("T", "U")])
           for name, train, held in (("r1", "ACCCCCTTTT", row), ("r2", other_strand(row), "CACACACA"))]  # fmt: skip
    assert left_out(*rna) == [[], []]


def test_corpora_that_were_cut_to_other_lengths_are_compared_by_beginnings(tmp_path, fasta):
    short = open_corpus(build(tmp_path, "short", fasta, "--validation", "0.4", "--max-length", "20", "--long", "crop"))
    whole = open_corpus(build(tmp_path, "whole", fasta, "--validation", "0.4"))
    held_out = [rows_of(corpus, "validation") for corpus in (short, whole)]
    beginnings = {row[:20] for row in held_out[1]}
    wanted = [
        [n for n, row in enumerate(rows_of(short, "train")) if row in held_out[0] or row in beginnings],
        [n for n, row in enumerate(rows_of(whole, "train")) if row in held_out[1] or row[:20] in held_out[0]],
    ]
    assert left_out(short, whole) == wanted
    assert all(len(rows) > 10 for rows in wanted)


def test_long_sequences_that_begin_alike_are_not_taken_for_one_another(tmp_path):
    one = write(tmp_path / "one", ["GGGGCCCC"], ["ACGUACGUUU", "ACGUA"])
    assert left_out(one, write(tmp_path / "other", ["ACGUACGUGG"], []), write(tmp_path / "short", ["CCCC"], [])) == [
        [], [], []
    ]  # fmt: skip


def test_a_cluster_that_one_corpus_holds_out_is_left_out_of_the_others(tmp_path):
    one = write(tmp_path / "one", ["AAAACCCC"], ["GGGGCCCC"], clusters={"AAAACCCC": "x", "GGGGCCCC": "y"})
    labels = {"GGGGCCCA": "y", "UUUUUUUU": "z", "ACACACAC": None, "GGGGCCCC": "y"}
    other = write(tmp_path / "other", list(labels), [], clusters=labels)
    found = held_out_of((one, other))
    assert left_out(one, other) == [[], [0, 3]]
    assert [note.partition(": ")[2] for note in found.notes] == [
        f"1 training sequences are {reason}; they are left out of training" for reason in REASONS
    ]


def test_a_run_of_one_corpus_compares_nothing(tmp_path, fasta, monkeypatch):
    monkeypatch.setattr(counted_once, "write_atomic", lambda *_: pytest.fail("compared"))
    found = held_out_of([open_corpus(build(tmp_path, "one", fasta))])
    assert (found.rows, found.notes, found.counts) == ((None,), (), [])


def test_rows_are_looked_for_once_and_again_when_another_corpus_joins(tmp_path, fasta, monkeypatch):
    one = open_corpus(build(tmp_path, "one", fasta, "--validation", "0.4"))
    other = open_corpus(build(tmp_path, "other", fasta, "--validation", "0.05"))
    before = left_out(one, other)
    written = []
    write_file = counted_once.write_atomic
    monkeypatch.setattr(
        counted_once, "write_atomic", lambda path, write: (written.append(path), write_file(path, write))
    )
    assert left_out(other, one) == before[::-1]
    assert not written
    third = write(tmp_path / "third", ["ACGU"], [])
    assert left_out(one, other, third) == [*before, []]
    assert len(written) == 3


def test_a_folder_that_cannot_be_written_and_a_damaged_file_change_nothing(tmp_path, fasta, monkeypatch):
    one = open_corpus(build(tmp_path, "one", fasta, "--validation", "0.4"))
    other = open_corpus(build(tmp_path, "other", fasta, "--validation", "0.05"))
    before = left_out(one, other)
    (file,) = other.folder.glob("held_out/*/train.npy")
    file.write_bytes(b"not an array")
    assert left_out(one, other) == before
    shutil.rmtree(other.folder / "held_out")
    (other.folder / "held_out").write_text("in the way")
    assert left_out(one, other) == before


@pytest.fixture
def mixture(tmp_path, fasta):
    """A config file of two corpora of the same records, and how many rows the second one must do without."""
    a = build(tmp_path, "a", fasta, "--validation", "0.4")
    b = build(tmp_path, "b", fasta, "--validation", "0.05")
    config = tree(tmp_path / "run", a, corpus__extra=[{"path": str(b)}], train={"steps": 3, "log_every": 1})
    return write_yaml(tmp_path / "run.yaml", config), held_out_of([open_corpus(a), open_corpus(b)]).counts[1]


def test_the_dry_run_says_how_many_rows_are_left_out(mixture, tmp_path):
    config, count = mixture
    done = command_line("--config", str(config), "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'b'}: {count:,} training sequences are {REASONS[0]}; they are left out" in done.stdout
    assert f"skipped {{'{REASONS[0]}': {count}}}" in done.stdout


def test_a_run_says_and_records_what_is_left_out_and_goes_on_with_the_same(mixture, tmp_path):
    config, count = mixture
    done = command_line("--config", str(config), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = f"note: {tmp_path / 'b'}: {count:,} training sequences are {REASONS[0]}; they are left out of training"
    assert said in done.stdout + done.stderr
    assert [record["event"] for record in records(tmp_path / "run") if "event" in record] == [said]
    more = ("train.steps=6", "schedule.total_steps=3")
    assert command_line("--config", str(config), *more, cwd=tmp_path).returncode == 0
    digests = [record["batch_digest"] for record in records(tmp_path / "run") if "loss" in record]
    anew = command_line("--config", str(config), *more, f"run.dir={tmp_path / 'anew'}", cwd=tmp_path)
    assert anew.returncode == 0, anew.stderr
    assert len(digests) == 6
    assert digests == [record["batch_digest"] for record in records(tmp_path / "anew") if "loss" in record]


def test_a_checkpoint_that_has_trained_on_held_out_rows_goes_on_only_when_told_to(mixture):
    components = build_components(load_config(str(mixture[0])))
    now = run_signature(components)
    assert check_compatible(signature_of_today(now, components), now, [], "run") == []
    reading = {name: value for name, value in now["reading"].items() if name != "held_out_by_the_mixture"}
    before = signature_of_today({**now, "reading": reading}, components)  # as it was written before rows were left out
    with pytest.raises(PolymeraseError, match=f"held_out_by_the_mixture.*{mixture[1]}.*--allow-change reading"):
        check_compatible(before, now, [], "run")
    assert len(check_compatible(before, now, ["reading"], "run")) == 1


def test_a_corpus_of_which_nothing_is_left_is_an_error_in_one_line(tmp_path):
    rows = random_sequences(12, 10, 20, 3)
    one, other = write(tmp_path / "one", ["ACGUACGUACG"], rows), write(tmp_path / "other", rows, [])
    config = write_yaml(
        tmp_path / "run.yaml", tree(tmp_path / "run", one.folder, corpus__extra=[{"path": str(other.folder)}])
    )
    done = command_line("--config", str(config), cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{other.folder}: no usable sample to train on" in line
    assert f"12 {REASONS[0]}" in line


def test_windows_of_genomes_are_said_not_to_be_compared(tmp_path):
    labeled, genome = build_labeled(tmp_path), build_genome(tmp_path)
    found = held_out_of([open_corpus(labeled), open_corpus(genome)])
    assert found.rows == (None, None)
    (note,) = found.notes
    assert note.startswith(f"{genome} holds windows of genomes, which are not compared")
