"""Names of two files: the exact one comes first, others count when asked for and mean one thing."""

import pytest

from data_prep.__main__ import main
from tests.data_prep.utr_support import build, rows, stage_filters

LETTERS = "ACGTTGCAAC" * 30
UTR = "CCGACCACGAACGGUUACGAUC"


def contig(utr):
    """A gene of one exon from its first base on: ATG, 20 codons, a stop codon, the UTR."""
    return "ATG" + "GCA" * 20 + "TAA" + utr.replace("U", "T")


def gtf(contig_name, gene):
    rows_ = [("transcript", 1, 88), ("exon", 1, 88), ("CDS", 1, 63), ("stop_codon", 64, 66)]
    attributes = f'gene_id "{gene}"; transcript_id "{gene}T"; transcript_biotype "protein_coding";'
    return "".join(f"{contig_name}\tx\t{kind}\t{a}\t{b}\t.\t+\t.\t{attributes}\n" for kind, a, b in rows_)


@pytest.fixture
def genome(tmp_path):
    contigs = {"chrM": UTR, "chrMT": UTR[::-1], "chr1": UTR[2:] + "GG"}
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{name}\n{contig(utr)}\n" for name, utr in contigs.items()))
    return path


OPTIONS = ("--contigs", "all", "--piece-len", 0, "--min-length", 1, "--validation", 0)


def utrs(genome, tmp_path, text, *options):
    (tmp_path / "a.gtf").write_text(text)
    corpus = build(
        tmp_path / "out", "--genome", genome, "--annotation", tmp_path / "a.gtf", *OPTIONS, *options, "--overwrite"
    )
    return {name.partition(":")[0]: sequence for name, sequence in rows(corpus).items()}


def test_the_exact_contig_comes_before_a_similar_one(genome, tmp_path):
    found = utrs(genome, tmp_path, gtf("chrM", "G") + gtf("1", "H"), "--match-chr")
    assert found == {"GT": UTR, "HT": UTR[2:] + "GG"}


def test_a_name_that_means_two_contigs_is_an_error(genome, tmp_path, capsys):
    (tmp_path / "a.gtf").write_text(gtf("MT", "G"))
    inputs = ["--genome", str(genome), "--annotation", str(tmp_path / "a.gtf"), "--out", str(tmp_path / "out")]
    assert main(["utr3", *inputs, *map(str, OPTIONS), "--match-chr"]) == 2
    error = capsys.readouterr().err
    assert "contig MT could be chrM and chrMT among the contigs of" in error
    assert error.count("\n") == 1


def test_a_table_of_names_matches_annotation_and_genome(genome, tmp_path, capsys):
    (tmp_path / "chromAlias.txt").write_text("# ucsc\trefseq\nchr1\tNC_1.11\nchrM\tNC_12920.1\n")
    options = ("--contig-aliases", tmp_path / "chromAlias.txt")
    found = utrs(genome, tmp_path, gtf("NC_1.11", "G") + gtf("NC_12920.1", "H"), *options)
    assert found == {"GT": UTR[2:] + "GG", "HT": UTR}
    assert "changed contig_by_alias 2" in capsys.readouterr().out


def test_a_table_that_no_name_needs_is_said(genome, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("chr1\tNC_1.11\n")
    assert utrs(genome, tmp_path, gtf("chr1", "G"), "--contig-aliases", tmp_path / "names.txt")
    assert f"warning: {tmp_path}/names.txt: no contig was found through this table" in capsys.readouterr().err


@pytest.fixture
def transcripts(tmp_path):
    text = contig(UTR)
    path = tmp_path / "t.fa"
    path.write_text(f">GT.2|G.5|-|-|N|N|{len(text)}|CDS:1-66|UTR3:67-{len(text)}|\n{text}\n")
    return path


def test_versions_of_ids_are_told_and_passed_over_when_asked(transcripts, tmp_path, capsys):
    (tmp_path / "a.gtf").write_text(gtf("1", "G"))
    inputs = ("--transcripts", transcripts, "--annotation", tmp_path / "a.gtf", *OPTIONS)
    assert main(["utr3", *map(str, inputs), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "differ from those of the annotation only by their version (GT.2 here, GT there)" in error
    assert "--ignore-id-versions" in error
    assert list(rows(build(tmp_path / "out", *inputs, "--ignore-id-versions")).values()) == [UTR]


def test_another_version_beside_exact_ids_is_counted(transcripts, tmp_path):
    with open(transcripts, "a") as file:
        file.write(transcripts.read_text().replace("GT.2", "HT.1"))
    (tmp_path / "a.gtf").write_text(gtf("1", "G").replace("GT", "GT.2") + gtf("1", "H"))
    inputs = ("--transcripts", transcripts, "--annotation", tmp_path / "a.gtf", *OPTIONS)
    assert stage_filters(build(tmp_path / "out", *inputs))["transcript_fasta"] == {"id_of_another_version": 1}
