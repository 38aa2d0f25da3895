"""Every dialect tells the same transcripts."""

import gzip
import json
import random

import pytest

from data_prep.errors import DataPrepError
from data_prep.formats.annotation import read_annotation
from data_prep.formats.annotation.gff3 import parse_attributes as gff3_attributes
from data_prep.formats.annotation.gtf import parse_attributes as gtf_attributes

DIALECTS = ("gencode.gtf", "ensembl.gtf", "ensembl.gff3")


@pytest.fixture
def toy(golden):
    return golden / "utrbert" / "utr_toy"


@pytest.fixture
def expected(toy):
    return json.loads((toy / "expected.json").read_text())["transcripts"]


def bare(identifier):
    return identifier.partition(".")[0]


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_gives_the_golden_transcripts(toy, expected, name):
    annotation = read_annotation(toy / name)
    found = {bare(t.id): t for t in annotation.transcripts}
    coding = {bare(i): e for i, e in expected.items() if e["utr5"] or e["utr3"]}
    assert found.keys() == coding.keys()
    for transcript_id, wanted in coding.items():
        transcript = found[transcript_id]
        assert bare(transcript.gene_id) == bare(wanted["gene_id"])
        assert transcript.contig in (wanted["chrom"], wanted["chrom"].removeprefix("chr"))
        assert transcript.strand == wanted["strand"]
        assert transcript.biotype == wanted["biotype"]
        assert transcript.spliced_length == wanted["spliced_length"]
        assert transcript.gene_name.isupper()
        if name != "ensembl.gff3":  # Ensembl's GFF3 carries no tags
            assert sorted(transcript.tags) == sorted(wanted["tags"])
    assert annotation.dropped == {}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_order_of_lines_does_not_matter(toy, tmp_path, name):
    lines = (toy / name).read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith(("##", "#!")) and not line.startswith("###")]
    rows = [line for line in lines if not line.startswith("#")]
    random.Random(4).shuffle(rows)
    shuffled = tmp_path / name
    shuffled.write_text("".join(head + rows))
    assert read_annotation(shuffled) == read_annotation(toy / name)


@pytest.mark.parametrize("name", DIALECTS)
def test_gzip_windows_line_ends_empty_lines_and_comments_change_nothing(toy, tmp_path, name):
    text = (toy / name).read_bytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(text))
    (tmp_path / "b").write_bytes(text.replace(b"\n", b"\r\n\r\n# a comment\r\n"))
    plain = read_annotation(toy / name)
    assert read_annotation(tmp_path / "a.gz").transcripts == plain.transcripts
    assert read_annotation(tmp_path / "b").transcripts == plain.transcripts


def test_gtf_without_transcript_rows_takes_the_attributes_from_the_exons(toy, tmp_path):
    lines = (toy / "gencode.gtf").read_text().splitlines(keepends=True)
    (tmp_path / "a.gtf").write_text("".join(line for line in lines if "\ttranscript\t" not in line))
    assert read_annotation(tmp_path / "a.gtf").transcripts == read_annotation(toy / "gencode.gtf").transcripts


def test_annotation_without_exon_rows_takes_exons_from_coding_and_utr_rows(toy, tmp_path):
    lines = (toy / "gencode.gtf").read_text().splitlines(keepends=True)
    (tmp_path / "a.gtf").write_text("".join(line for line in lines if "\texon\t" not in line))
    assert read_annotation(tmp_path / "a.gtf").transcripts == read_annotation(toy / "gencode.gtf").transcripts


def test_gtf_attributes_that_are_used():
    found = gtf_attributes(
        b'gene_id "G;1"; level 2; biotype lncRNA; tag "basic"; tag "CCDS"; note "transcript_id \'x\'; gene y"'
    )
    assert found == {b"gene_id": [b"G;1"], b"biotype": [b"lncRNA"], b"tag": [b"basic", b"CCDS"]}


def test_gff3_attributes():
    found = gff3_attributes(b"ID=x;Parent=a,b;note=one%3B two%2C three;tag=basic,CCDS;flag")
    assert found == {
        b"ID": [b"x"],
        b"Parent": [b"a", b"b"],
        b"note": [b"one; two, three"],
        b"tag": [b"basic", b"CCDS"],
    }


GFF3 = """##gff-version 3
c\t.\tgene\t1\t90\t.\t+\t.\tID=g;Name=NAME
c\t.\tmRNA\t1\t90\t.\t+\t.\tID=t1;Parent=g;biotype=protein_coding
c\t.\tmRNA\t1\t90\t.\t+\t.\tID=t2;Parent=g;biotype=protein_coding
c\t.\texon\t1\t90\t.\t+\t.\tParent=t1,t2
c\t.\tCDS\t10\t30\t.\t+\t0\tParent=t1
c\t.\tCDS\t10\t60\t.\t+\t0\tParent=t2
##FASTA
>c
ACGT
"""


def test_gff3_rows_may_have_two_parents_and_a_fasta_section_ends_the_annotation(tmp_path):
    (tmp_path / "a.gff3").write_text(GFF3)
    first, second = read_annotation(tmp_path / "a.gff3").transcripts
    assert (first.id, first.exons, first.coding) == ("t1", ((0, 90),), ((9, 30),))
    assert (second.id, second.exons, second.coding) == ("t2", ((0, 90),), ((9, 60),))
    assert (first.gene_id, first.gene_name) == ("g", "NAME")


def gtf(*rows):
    return "".join(
        f'{contig}\t.\t{kind}\t{start}\t{end}\t.\t{strand}\t.\tgene_id "g"; transcript_id "{transcript}";\n'
        for contig, kind, start, end, strand, transcript in rows
    )


SOUND = [("c", "exon", 1, 90, "+", "ok"), ("c", "CDS", 4, 60, "+", "ok")]
SET_ASIDE = {
    "no_strand": [("c", "exon", 1, 90, ".", "bad"), ("c", "CDS", 4, 60, ".", "bad")],
    "on_two_contigs_or_strands": [("c", "exon", 1, 90, "+", "bad"), ("d", "CDS", 4, 60, "+", "bad")],
    "coding_outside_exons": [("c", "exon", 1, 50, "+", "bad"), ("c", "CDS", 4, 60, "+", "bad")],
    "overlapping_exons": [
        ("c", "exon", 1, 50, "+", "bad"),
        ("c", "exon", 40, 90, "+", "bad"),
        ("c", "CDS", 4, 9, "+", "bad"),
    ],
    "no_exons": [("c", "CDS", 4, 60, "+", "bad")],
}


@pytest.mark.parametrize("reason", SET_ASIDE)
def test_malformed_transcripts_are_counted_and_with_strict_an_error(tmp_path, reason):
    path = tmp_path / "a.gtf"
    path.write_text(gtf(*SOUND, *SET_ASIDE[reason]))
    annotation = read_annotation(path)
    assert [t.id for t in annotation.transcripts] == ["ok"]
    assert annotation.dropped == {reason: 1}
    with pytest.raises(DataPrepError, match=r"a\.gtf: transcript bad: "):
        read_annotation(path, strict=True)


LINE = 'c\t.\texon\t1\t90\t.\t+\t.\tgene_id "g"; transcript_id "t";\n'
BROKEN = {
    "line 2: 8 tab-separated columns": LINE + LINE.rpartition("\t")[0] + "\n",
    "line 1: 1 tab-separated columns .* tabs turned into spaces": LINE.replace("\t", "  "),
    "line 1: start and end must be whole numbers": LINE.replace("\t90\t", "\tninety\t"),
    "line 1: 0-90 is not an interval": LINE.replace("\t1\t", "\t0\t"),
    "line 1: 91-90 is not an interval": LINE.replace("\t1\t", "\t91\t"),
    "this is BED, expected GTF or GFF3": "c\t1\t20\n",
    "this is FASTA, expected GTF or GFF3": ">c\nACGT\n",
    "line 1: start and end must be whole numbers, not '1.5'": LINE.replace("\t1\t", "\t1.5\t"),
    "line 1: 1-90000000000000000000 is not an interval": LINE.replace("\t90\t", "\t90000000000000000000\t"),
    "line 1: start and end must be whole numbers, not '1' and '9999": LINE.replace("\t90\t", f"\t{'9' * 5000}\t"),
    "line 1: exon row without transcript_id": LINE.replace("transcript_id", "other_id"),
    "line 1: the ninth column is neither GTF": LINE.replace('gene_id "g"; transcript_id "t";', "?"),
    "no CDS rows": LINE,
    "neither exon nor UTR rows": LINE.replace("exon", "CDS"),
    "no annotation rows": "##description: empty\n",
    "not UTF-8": LINE.replace('"t"', '"t\xff"') + LINE.replace("exon", "CDS").replace('"t"', '"t\xff"'),
}


@pytest.mark.parametrize("message", BROKEN)
def test_broken_annotation_is_one_clear_line(tmp_path, message):
    path = tmp_path / "a.gtf"
    path.write_text(BROKEN[message], encoding="latin-1")
    with pytest.raises(DataPrepError, match=message) as caught:
        read_annotation(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_gff3_row_without_parent_is_an_error(tmp_path):
    (tmp_path / "a.gff3").write_text(GFF3.replace("Parent=t1\n", "ID=x\n"))
    with pytest.raises(DataPrepError, match="line 6: CDS row without Parent"):
        read_annotation(tmp_path / "a.gff3")


def test_transcript_whose_own_gff3_row_is_missing_is_counted(tmp_path):
    (tmp_path / "a.gff3").write_text(GFF3.replace("ID=t2;", "ID=t3;"))
    annotation = read_annotation(tmp_path / "a.gff3")
    assert [t.id for t in annotation.transcripts] == ["t1"]
    assert annotation.dropped == {"no_transcript_row": 1}
