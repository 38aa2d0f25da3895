"""Broken input to `allele-frequencies`: one clear line, exit status 2, nothing left behind."""

import gzip
import os

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.errors import DataPrepError
from tests.data_prep.variants_support import (
    COLUMNS,
    HEADER,
    arguments,
    bgzip,
    build,
    filters,
    record,
    write_fasta,
    write_vcf,
)

SEQUENCE = "ACGT" * 200
GOOD = record(1, "A", "C") + record(5, "A", "G")
TEXT = (HEADER + GOOD).encode()
PACKED = bgzip(TEXT, 60)
DAMAGED = PACKED[:40] + bytes([PACKED[40] ^ 0xFF]) + PACKED[41:]
OPTIONS = ("--window", 100, "--validation", 0)


@pytest.fixture
def genome(tmp_path):
    return write_fasta(tmp_path / "genome.fa", chr1=SEQUENCE, chr2=SEQUENCE)


@pytest.fixture
def refused(genome, tmp_path, capsys):
    """Run the stage on one VCF; it must fail with one line, which is returned, and leave nothing."""

    def run(content=TEXT, *options, genome=genome):
        (tmp_path / "in.vcf").write_bytes(content.encode() if isinstance(content, str) else content)
        before = sorted(os.listdir(tmp_path))
        assert main(arguments(genome, tmp_path / "in.vcf", tmp_path / "out", *OPTIONS, *options)) == 2
        assert sorted(os.listdir(tmp_path)) == before
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return run


VCFS = {
    "empty file": (b"", "empty file"),
    "empty bgzip": (bgzip(b""), "empty file"),
    "no header": (GOOD, "expected VCF (a file that begins with ##fileformat=VCF)"),
    "header without #CHROM": ("##fileformat=VCFv4.2\n" + GOOD, "line 2: expected a header line or #CHROM"),
    "header cut off": ("##fileformat=VCFv4.2\n##source=x\n", "no #CHROM line"),
    "no records": (HEADER, "has a header but no records"),
    "seven columns": (TEXT + b"chr1\t9\t.\tA\tC\t.\tPASS\n", "line 5: 7 tab-separated columns"),
    "cut in a line": (TEXT + b"chr1\t9\t.\tA", "line 5: 4 tab-separated columns"),
    "blanks for tabs": (TEXT.replace(b"chr1\t", b"chr1 "), "line 3: 7 tab-separated columns"),
    "POS a word": (TEXT + record("ten", "A", "C").encode(), "line 5: POS 'ten' is not a position"),
    "POS negative": (TEXT + record(-3, "A", "C").encode(), "POS '-3' is not a position"),
    "POS huge": (TEXT + record(10**30, "A", "C").encode(), "is not a position"),
    "AF above 1": (HEADER + record(1, "A", "C", "AF=30"), "line 3: AF 30 is not a frequency; is --af-field right?"),
    "AF a word": (HEADER + record(1, "A", "C", "AF=x"), "line 3: AF 'x' is not a number"),
    "UTF-16 cut off": (TEXT.decode().encode("utf-16")[:-1], "damaged UTF-16 text"),
    "POS fractional": (TEXT + record("1.5", "A", "C").encode(), "line 5: POS '1.5' is not a position"),
    "POS empty": (TEXT + record("", "A", "C").encode(), "line 5: POS '' is not a position"),
    "AF with an underscore": (HEADER + record(1, "A", "C", "AF=0_1"), "line 3: AF '0_1' is not a number"),
    "AF in percent": (HEADER + record(1, "A", "C", "AF=30%"), "line 3: AF '30%' is not a number"),
    "AF infinite": (HEADER + record(1, "A", "C", "AF=1e400"), "line 3: AF inf is not a frequency"),
    "AC above AN": (HEADER + record(1, "A", "C", "AC=5;AN=4"), "line 3: AF 1.25 is not a frequency"),
    "AF with the reference": (HEADER + record(1, "A", "C", "AF=0.7,0.3"), "header line must say Number=R"),
    "AF of samples only": (
        HEADER.replace("INFO\n", "INFO\tFORMAT\tS1\n") + record(1, "A", "C", "DP=3").replace("\n", "\tGT\t0/1\n"),
        "bcftools +fill-tags",
    ),
    "AF of another name": (HEADER + record(1, "A", "C", "AF_joint=0.3;DP=3"), "it has AF_joint: give the right one"),
    "AF for one of two": (HEADER + record(1, "A", "C,G", "AF=0.1"), "AF has 1 values for 2 alleles"),
    "AF absent": (
        HEADER + record(1, "A", "C", "DP=3"),
        "no substitution has a frequency under AF; take a file",
    ),
    "binary": (bytes(range(256)) * 40, "binary data"),
    "BCF": (bgzip(b"BCF\2\2" + bytes(99)), "damaged BCF"),
    "FASTA": (b">chr1\nACGT\n", "this is FASTA, expected VCF"),
    "one long line": (HEADER + "A" * 99999, "line 3: 1 tab-separated columns"),
    "not UTF-8": (HEADER.encode() + b"chr\xff\t1\t.\tA\tC\t.\t.\tAF=0.5\n", r"none of its contigs (chr\xff)"),
    "bgzip without end block": (PACKED[:-28], "no end block"),
    "bgzip cut in a block": (PACKED[:-40], "no end block"),
    "bgzip with a hole": (PACKED[:50] + PACKED[60:], "damaged bgzip file"),
    "bgzip damaged": (DAMAGED, "damaged bgzip file"),
    "gzip cut off": (gzip.compress(TEXT * 50)[:-30], "cut off"),
    "gzip damaged": (gzip.compress(TEXT)[:-8] + bytes(8), "damaged gzip"),
    "other names": (HEADER + record(1, "A", "C", contig="7"), "none of its contigs (7) is in the genome (chr1, chr2)"),
    "names without chr": (
        HEADER + record(1, "A", "C", contig="2"),
        "contig 2 is called chr2 in the genome; give --match",
    ),
    "every REF differs": (
        HEADER + record(2, "A", "C"),
        "1 of 1 SNVs disagree with the genome (POS 2: REF A, genome C)",
    ),
    "two of many REF differ": (
        TEXT + (record(2, "A", "C") + record(3, "A", "C")).encode(),
        "contig chr1: 2 of 4 SNVs disagree",
    ),
    "beyond the contig": (HEADER + record(900, "A", "C"), "(POS 900: REF A, genome nothing); give the FASTA"),
    "contig of another length, all REF agree": (
        HEADER.replace(COLUMNS, "##contig=<ID=chr1,assembly=x,length=999>\n" + COLUMNS) + GOOD,
        "in.vcf: contig chr1: its header says 999 bases, the genome has 800: another assembly, whose positions are "
        "other bases; give the FASTA the variants were called on (where only the header is wrong: bcftools reheader",
    ),
}


@pytest.mark.parametrize(("content", "message"), VCFS.values(), ids=VCFS.keys())
def test_broken_vcf(refused, content, message):
    error = refused(content)
    assert error.startswith("error: ")
    assert message in error
    assert "in.vcf" in error or "no variant is left" in error


GENOMES = {
    "empty": ("", "no FASTA record"),
    "not FASTA": ("ACGT\n", "expected FASTA"),
    "amino acids": (">chr1\nMKLE" + SEQUENCE, "contig chr1: 'L' at base 3 is not a nucleotide"),
    "twice the same name": (f">chr1\n{SEQUENCE}\n>chr1\n{SEQUENCE}\n", "occurs twice"),
    "only N": (">chr1\n" + "N" * 500, "no chosen contig has 100 bases in a row without N"),
}


@pytest.mark.parametrize(("text", "message"), GENOMES.values(), ids=GENOMES.keys())
def test_broken_genome(refused, tmp_path, text, message):
    path = tmp_path / "broken.fa"
    path.write_text(text)
    error = refused(genome=path)
    assert message in error
    assert "broken.fa" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--validation-contigs", "chr9"), "chr9 is not among the contigs used (chr1, chr2)"),
        (("--validation-contigs", "chr1,chr2"), "names every contig"),
        (("--validation-contigs", "chr1,chr2,"), "names every contig"),
        (("--contigs", "chr9"), "--contigs: chr9 is not among the contigs of"),
        (("--contigs", "chr2"), "no variant is left (dropped: contig_not_chosen 2)"),
        (("--window", 801), "no chosen contig"),
        (("--window", 0), "--window must be 1 or more"),
        (("--min-af", 1.5), "--min-af must lie between 0 and 1"),
        (("--min-af", "nan"), "--min-af must lie between 0 and 1"),
        (("--af-field", "AF_EUR"), "no substitution has a frequency under AF_EUR; it has AF: give"),
        (("--multiallelic", "split"), "invalid choice"),
    ],
)
def test_wrong_option(refused, options, message):
    assert message in refused(TEXT, *options)


def test_missing_files_are_named(genome, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "in.vcf", GOOD)
    for arguments_ in (
        arguments(tmp_path / "absent", vcf, tmp_path / "out"),
        arguments(genome, [vcf, tmp_path / "absent"], tmp_path / "out"),
        arguments(genome, tmp_path, tmp_path / "out"),
    ):
        assert main(arguments_) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert str(arguments_[2]) in error or "absent" in error or str(tmp_path) in error
    assert not (tmp_path / "out").exists()


def test_a_stray_mismatch_is_dropped_and_a_limit_can_be_raised(genome, tmp_path):
    stray = write_vcf(tmp_path / "stray.vcf", GOOD, record(2, "A", "C"))
    assert filters(build(genome, stray, tmp_path / "a", *OPTIONS))["allele"]["reference_mismatch"] == 1
    many = write_vcf(tmp_path / "many.vcf", GOOD, record(2, "A", "C"), record(3, "A", "C"))
    corpus = build(genome, many, tmp_path / "b", *OPTIONS, "--max-ref-mismatch", 0.5)
    assert filters(corpus)["allele"]["reference_mismatch"] == 2


def test_the_same_command_again_does_nothing_and_another_one_replaces_only_when_told(genome, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "in.vcf", GOOD)
    out = tmp_path / "out"
    manifest = build(genome, vcf, out, *OPTIONS).manifest
    assert build(genome, vcf, out, *OPTIONS).manifest == manifest
    assert "already complete" in capsys.readouterr().out
    assert main(arguments(genome, vcf, out, *OPTIONS, "--min-af", 0.1)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert open_corpus(out).manifest == manifest
    build(genome, vcf, out, *OPTIONS, "--min-af", 0.1, "--overwrite")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    assert main(arguments(genome, vcf, tmp_path / "notes", *OPTIONS, "--overwrite")) == 2
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"


def test_output_below_a_file_is_refused(genome, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "in.vcf", GOOD)
    assert main(arguments(genome, vcf, vcf / "out", *OPTIONS)) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["missing", "cut", "NaN"])
def test_a_damaged_corpus_is_not_opened(genome, tmp_path, damage):
    corpus = build(genome, write_vcf(tmp_path / "in.vcf", GOOD), tmp_path / "out", *OPTIONS)
    (path,) = corpus.folder.glob("contigs/*_chr1/frequencies.npy")
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    else:
        np.save(path, np.full_like(np.load(path), np.nan))
    with pytest.raises(DataPrepError, match=r"frequencies\.npy"):
        open_corpus(tmp_path / "out", verify=True)
