"""Soft-masked letters of sequences, and coding sequences that are checked."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.__main__ import main
from data_prep.corpus import Ragged, open_corpus
from data_prep.corpus.spans import soft_mask_column

RECORDS = {"a": "ACGTacgtACGT", "b": "acgtn", "c": "GGGGGG", "d": "TTuuTT", "e": "AAAAaaaaAAAAaaaaCC"}


def build(folder, records=RECORDS, *options):
    (folder / "s.fa").write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    arguments = ["fasta", str(folder / "s.fa"), "--out", str(folder / "c"), "--validation", "0", "--alphabet", "dna"]
    assert main([*arguments, "--max-ambiguous", "1", "--overwrite", *options]) == 0
    return open_corpus(folder / "c", verify=True)


def with_case(corpus, split="train"):
    """Id -> letters with the case that was kept."""
    table = corpus.split(split)
    everything = np.arange(len(table))
    found = {}
    masks = table.gather_text("soft_mask", everything).rows()
    for name, letters, bounds in zip(table.ids(everything), table.gather(everything).rows(), masks, strict=True):
        text = list(letters.decode())
        for start, end in np.frombuffer(bounds, "<u4").reshape(-1, 2).tolist():
            text[start:end] = [letter.lower() for letter in text[start:end]]
        found[name] = "".join(text)
    return found


@given(rows=st.lists(st.lists(st.booleans(), max_size=9), max_size=6))
@settings(max_examples=60, deadline=None)
def test_intervals_are_those_of_each_row(rows):
    column = soft_mask_column(Ragged.from_rows([bytes(row) for row in rows]))
    assert len(column) == len(rows)
    for row, bounds in zip(rows, column, strict=True):
        again = np.zeros(len(row), bool)
        pairs = np.frombuffer(bounds, "<u4").reshape(-1, 2).tolist()
        for start, end in pairs:
            again[start:end] = True
        assert again.tolist() == row
        assert all(b[0] > a[1] for a, b in pairwise(pairs))


def test_the_case_of_the_source_comes_back(tmp_path, capsys):
    corpus = build(tmp_path, RECORDS, "--keep-case")
    assert with_case(corpus) == {name: text.replace("u", "t").replace("U", "T") for name, text in RECORDS.items()}
    assert "soft_masked_nucleotides" in str(corpus.manifest["stages"][-1]["filters"])
    plain = build(tmp_path)
    assert "soft_mask" not in plain.manifest["columns"]


def test_the_case_follows_pieces_crops_and_gaps(tmp_path):
    pieces = with_case(
        build(tmp_path, RECORDS, "--keep-case", "--max-length", "6", "--long", "pieces", "--duplicates", "keep")
    )
    assert "".join(pieces[f"e:{start + 1}-{min(start + 6, 18)}"] for start in (0, 6, 12)) == RECORDS["e"]
    cropped = with_case(build(tmp_path, RECORDS, "--keep-case", "--max-length", "6", "--long", "crop"))
    assert cropped["a"] == "ACGTac"
    gapped = with_case(build(tmp_path, {"g": "AC--gt-AC"}, "--keep-case", "--gaps", "remove"))
    assert gapped["g"] == "ACgtAC"


def test_case_makes_no_new_sequence(tmp_path):
    corpus = build(tmp_path, {"a": "ACGTACGT", "b": "acgtacgt"}, "--keep-case")
    assert len(corpus.split("train")) == 1


def test_other_stages_and_datasets_carry_the_column(tmp_path):
    datasets = pytest.importorskip("datasets")
    corpus = build(tmp_path, RECORDS, "--keep-case")
    assert main(["split", str(corpus.folder), "--out", str(tmp_path / "again"), "--validation", "0.4"]) == 0
    again = open_corpus(tmp_path / "again")
    assert with_case(again) | with_case(again, "validation") == with_case(corpus)
    assert set(datasets.load_from_disk(str(corpus.folder))["train"].features) >= {"id", "sequence", "soft_mask"}


CODING = {"whole": "ATGAAATAA", "partial": "ATGAAAT", "stopped": "ATGTAAAAATAG", "shifted": "ATAATGA"}


def test_coding_sequences_out_of_frame_are_dropped_or_cropped_and_counted(tmp_path):
    corpus = build(tmp_path, CODING, "--codons", "drop")
    table = corpus.split("train")
    assert table.ids(np.arange(len(table))) == ["whole"]
    (entry,) = [f for f in corpus.manifest["stages"][-1]["filters"] if f["filter"] == "codons"]
    assert entry["dropped"] == {"partial_codon": 2, "stop_codon_inside": 1}
    corpus = build(tmp_path, CODING, "--codons", "crop", "--keep-case")
    table = corpus.split("train")
    found = dict(zip(table.ids(np.arange(len(table))), table.gather(np.arange(len(table))).rows(), strict=True))
    assert found == {"whole": b"ATGAAATAA", "partial": b"ATGAAA", "shifted": b"ATAATG"}
    (entry,) = [f for f in corpus.manifest["stages"][-1]["filters"] if f["filter"] == "codons"]
    assert (entry["dropped"], entry["changed"]) == ({"stop_codon_inside": 1}, {"partial_codon_cropped": 2})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"partial": "ATGAAAT"}, "s.fa: record partial: 7 nt are not a whole number of codons"),
        ({"stopped": "AUGUAAAAAUAG"}, "s.fa: record stopped: has a stop codon before its last codon"),
    ],
)
def test_coding_sequences_out_of_frame_are_one_line(tmp_path, capsys, records, message):
    (tmp_path / "s.fa").write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    assert main(["fasta", str(tmp_path / "s.fa"), "--out", str(tmp_path / "c"), "--codons", "error"]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("strand", ["+", "-"])
def test_untranslated_regions_keep_the_case_of_the_genome(tmp_path, strand):
    draw = np.random.default_rng(4)
    body = "".join(draw.choice(list("ACGTacgt"), 60))
    spliced = f"{body[:30]}ATGAAAAAATAA{body[30:]}"
    partner = str.maketrans("ACGTacgt", "TGCAtgca")
    contig = spliced if strand == "+" else spliced[::-1].translate(partner)
    (tmp_path / "g.fa").write_text(f">c\n{contig}\n")
    low, high = (31, 42) if strand == "+" else (len(spliced) - 41, len(spliced) - 30)
    attributes = 'gene_id "g"; transcript_id "t"; gene_type "protein_coding"; transcript_type "protein_coding";'
    rows = (("exon", 1, len(spliced)), ("CDS", low, high))
    (tmp_path / "a.gtf").write_text(
        "".join(f"c\tx\t{kind}\t{start}\t{end}\t.\t{strand}\t.\t{attributes}\n" for kind, start, end in rows)
    )
    arguments = ["utr3", "--genome", str(tmp_path / "g.fa"), "--annotation", str(tmp_path / "a.gtf")]
    assert (
        main([*arguments, "--out", str(tmp_path / "c"), "--validation", "0", "--alphabet", "dna", "--keep-case"]) == 0
    )
    assert list(with_case(open_corpus(tmp_path / "c")).values()) == [body[30:]]
