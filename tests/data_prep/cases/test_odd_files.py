"""Files as people have them, written by hand: each ends in one line that says what is meant, or in the right corpus."""

import codecs
import gzip
import lzma
import re
import sqlite3
import struct
from pathlib import Path

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.errors import DataPrepError
from data_prep.variants.snvs import read_snvs
from tests.data_prep.variants_support import bgzip, dense_contig

BASES = ["".join(row) for row in np.random.default_rng(7).choice(list("ACGT"), (3, 900))]
GENOME = "".join(f">{name}\n{bases}\n" for name, bases in zip(("chr1", "chr2", "chrM"), BASES, strict=True))
CODING = "ATG" + "GCT" * 40 + "TAA"
WITH_GENE = BASES[0][:300] + CODING + BASES[0][300 + len(CODING) :]
GTF = "".join(
    f'chr1\tx\t{kind}\t{start}\t{end}\t.\t+\t.\tgene_id "g"; transcript_id "t"; gene_biotype "protein_coding";\n'
    for kind, start, end in (("transcript", 200, 800), ("exon", 200, 800), ("CDS", 301, 426))
)
DIGITS = "9" * 5000
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t1\t.\tA\tC\t.\t.\tAF=0.2\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Write files, run a command among them; returns its status and what it said on standard error."""

    def run_stage(command, **files):
        monkeypatch.chdir(tmp_path)
        for name, content in files.items():
            Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        status = main(command.split())
        return status, capsys.readouterr().err

    return run_stage


def genomes(bed):
    return "genomes g --window 50 --intervals b --out out", {"g": GENOME, "b": bed}


def utr(annotation):
    return "utr3 --genome g --annotation a --validation 0 --out out", {"g": f">chr1\n{WITH_GENE}\n", "a": annotation}


def variants(vcf):
    return "allele-frequencies --genome g --vcf v --window 50 --out out", {"g": GENOME, "v": vcf}


def fasta(content):
    return "fasta x --validation 0 --out out", {"x": content}


def transcripts(length):
    return "utr3 --transcripts t --validation 0 --out out", {"t": f">t|g|-|-|n|g|{length}|CDS:1-4|\nACGT\n"}


def motifs(content):
    return "motifs x --out out", {"x": content}


def clusters(table):
    """Of a corpus of the records a and b."""
    return "split corpus --by table --out out", {"table": table}


REFUSED = {
    # Python reads these as numbers; no other program does.
    "BED with 1_0": (genomes("chr1\t1_0\t300\n"), "expected contig, start and end (BED)"),
    "BED with +10": (genomes("chr1\t+10\t300\n"), "expected contig, start and end (BED)"),
    "GTF with 2_00": (utr(GTF.replace("\t200\t", "\t2_00\t")), "start and end must be whole numbers, not '2_00'"),
    "GTF with +200": (utr(GTF.replace("\t200\t", "\t+200\t")), "start and end must be whole numbers, not '+200'"),
    "JASPAR with 1_0": (motifs(">x\nA [ 1_0 0 ]\nC [ 0 9 ]\nG [ 0 0 ]\nT [ 0 0 ]\n"), "expected numbers, got '1_0 0'"),
    "MEME with 0_1": (
        motifs("MEME version 4\n\nletter-probability matrix:\n1 0 0 0\n0_1 0 0 0\n"),
        "x line 5: expected four probabilities that sum to 1, got '0_1 0 0 0'",
    ),
    "MEME with a row more than w= tells of": (
        motifs("MEME version 4\n\nletter-probability matrix: w= 2\n1 0 0 0\n0 1 0 0\n0 0 1 0\n"),
        "x line 6: a row more than the 2 that w= of the matrix in line 3 tells of",
    ),
    "BEEML energies": (
        motifs("A -0.1 0.2\nC 0.1 0.2\nG 0.2 0.3\nT 0.1 0.2\n"), "log-odds scores (PSSM) tell no consensus"
    ),
    # Python refuses to read these as numbers.
    "GTF with 5,000 digits": (utr(GTF.replace("\t200\t", f"\t{DIGITS}\t")), "must be whole numbers, not '999"),
    "GenBank with 5,000 digits": (
        fasta(f"LOCUS       x {DIGITS} bp\nORIGIN\n 1 acgt\n//\n"), "where a first line with a length was expected"
    ),
    "MEME with 5,000 digits": (
        motifs(f"MEME version 4\n\nletter-probability matrix: w= {DIGITS}\n1 0 0 0\n"), "the matrix is cut off (1 rows)"
    ),
    "transcripts with 5,000 digits": (transcripts(DIGITS), "record t: not a GENCODE transcript header"),
    "transcripts with a digit of another kind": (transcripts("²"), "record t: not a GENCODE transcript header"),
    # Splits of a BED file.
    "BED with a split that is none": (
        genomes("chr1\t0\t300\ttrain\nchr2\t0\t300\tvalid\nchrM\t0\t300\tdev\n"),
        "b line 3: 'dev' is not a split, though other rows name one",
    ),
    "BED with a base in two splits": (
        genomes("chr1\t0\t300\ttrain\nchr1\t299\t400\tvalid\n"),
        "b line 2: chr1:299-400 is validation and overlaps line 1, which is train",
    ),
    "BED with an interval in two splits": (
        genomes("chr1\t0\t300\ttrain\nchr1\t10\t20\ttrain\nchr1\t200\t210\ttest\n"), "overlaps line 1, which is train"
    ),
    # Other formats where an annotation is expected.
    "BED as annotation": (utr("chr1\t200\t800\tt\t0\t+\n"), "a: this is BED, expected GTF or GFF3"),
    "genePred as annotation": (
        utr("t\tchr1\t+\t199\t800\t300\t426\t1\t199,\t800,\n"), "a: this is genePred, expected GTF or GFF3"
    ),
    "genePred with bins as annotation": (
        utr("585\tt\tchr1\t+\t199\t800\t300\t426\t1\t199,\t800,\t0\tg\n"), "a: this is genePred, expected GTF or GFF3"
    ),
    "FASTA as annotation": (utr(GENOME), "a: this is FASTA, expected GTF or GFF3"),
    "GenBank as annotation": (utr("LOCUS       x 5 bp\n"), "a: this is GenBank, expected GTF or GFF3"),
    "a web page as annotation": (utr("\n<html>404</html>\n"), "a: this is a web page, expected GTF or GFF3"),
    "an annotation without tabs": (utr(GTF.replace("\t", " ")), "are tabs turned into spaces?"),
    "an annotation of ten columns": (
        utr(GTF.replace("; transcript_id", ";\ttranscript_id")),
        "a line 1: 10 tab-separated columns where GTF and GFF3 have 9; take out the columns that a program added",
    ),
    # Files that lie beside the right one.
    "an index of tabix": (variants(gzip.compress(b"TBI\1" + bytes(60))), "v: this is an index of tabix"),
    "a FASTA index": (
        ("genomes g --window 50 --out out", {"g": "chr1\t900\t6\t60\t61\n"}), "g: this is a FASTA index (.fai)"
    ),
    "the old format of xz": (fasta(lzma.compress(b">a\nAC\n", lzma.FORMAT_ALONE)), "x: this is compressed with lzma"),
    "dot-bracket below the sequences": (
        fasta(">a\nGGGAAACCC\n(((...))) (-1.20)\n>b\nACGU\n(..)\n"),
        "x: 2 of the first 2 records have a structure below the letters: take its lines out",
    ),
    "clusters with commas": (clusters("a,a\na,b\n"), "not id<TAB>cluster: 'a,a'; put one tab between the two"),
    "clusters of VSEARCH": (
        clusters("S\t0\t10\t*\t*\t*\t*\t*\ta\t*\nH\t0\t10\t99\t+\t0\t0\t10M\tb\ta\n"),
        r"""of a .uc take columns 9 and 2 (awk '$1 != "C" {print $9 "\t" $2}' FILE)""",
    ),
    # Tabs turned into spaces.
    "VCF without tabs": (variants(VCF.replace("\t", " ")), "line 2: #CHROM and what follows are not divided by tabs"),
    "VCF records without tabs": (
        variants(VCF.rpartition("chr1")[0] + "chr1 1 . A C . . AF=0.2\n"), "tabs were turned into spaces"
    ),
    # Letters that are missing.
    "a ragged alignment": (
        fasta("# STOCKHOLM 1.0\na ACGU-\nb AC\n//\n"), "b has 2 letters and gaps, expected 5 as another row has"
    ),
    "an alignment cut in its second block": (
        fasta("# STOCKHOLM 1.0\na ACGU-\nb ACGUA\n\na ACGU\n//\n"), "b has 5 letters and gaps, expected 9"
    ),
    "contigs that are not there": (
        ("genomes g --window 50 --contigs chr1,chrZZ --out out", {"g": GENOME}),
        "--contigs: chrZZ is not among the contigs (chr1, chr2, chrM)",
    ),
    "contigs to exclude that are not there": (
        ("genomes g --window 50 --exclude-contigs chr9 --out out", {"g": GENOME}),
        "--exclude-contigs: chr9 is not among the contigs (chr1, chr2, chrM)",
    ),
    "a contig that could be two": (
        ("genomes g --window 50 --contigs M --out out", {"g": GENOME + f">chrMT\n{BASES[0]}\n"}),
        "contig M could be chrM and chrMT among the contigs of g",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_file_is_refused_in_one_line_that_names_it(run, name):
    (command, files), message = REFUSED[name]
    if command.startswith("split"):
        assert run("fasta x --validation 0 --out corpus", x=">a\nACGT\n>b\nGGCC\n")[0] == 0
    status, said = run(command, **files)
    assert status == 2
    assert message in said
    assert said.count("\n") == 1
    assert not Path("out").exists()


GFF3 = "".join(
    f"chr1\tx\t{kind}\t{start}\t{end}\t.\t+\t.\t{keys}\n"
    for kind, start, end, keys in (
        ("mRNA", 200, 800, "ID=t;biotype=protein_coding"), ("exon", 200, 800, "Parent=t"), ("CDS", 301, 426, "Parent=t")
    )
)  # fmt: skip
SKIPPED = struct.pack("<II", 0x184D2A50, 4) + b"size"  # a frame as pzstd writes it in front of every other


def zstd(text):
    return pytest.importorskip("zstandard").ZstdCompressor().compress(text)


READ = {
    "GTF in UTF-16 with CRLF": lambda: GTF.replace("\n", "\r\n").encode("utf-16"),
    "GTF without blanks": lambda: GTF.replace("; ", ";"),
    "GTF with feature types in upper case": lambda: GTF.replace("exon", "EXON"),
    "GTF with single quotes": lambda: GTF.replace('"', "'"),
    "GTF with quotes inside a value": lambda: GTF.replace("; gene_b", '; note "say \\"x; transcript_id \\"q"; gene_b'),
    "GFF3 with quotes": lambda: re.sub(r"=(\w+)", r'="\1"', GFF3),
    "GFF3 with FASTA behind ##FASTA": lambda: f"{GFF3}##FASTA\n>chr1\nACGT\n",
    "GFF3 with FASTA behind nothing": lambda: f"{GFF3}>chr1\nACGT\n",
    "gzip with an empty part, line ends of two kinds, zeros behind": lambda: (
        gzip.compress(GTF[:150].encode())
        + gzip.compress(b"")
        + gzip.compress(GTF[150:].replace("\n", "\r\n").encode())
        + bytes(512)
    ),
    "zstd in several frames": lambda: zstd(GTF[:90].encode()) + SKIPPED + zstd(GTF[90:].encode()) + SKIPPED,
    "zstd that begins with a frame to skip": lambda: SKIPPED + zstd(GTF.encode()),
}


@pytest.mark.parametrize("name", READ)
def test_an_odd_annotation_is_read_as_the_plain_one(run, name):
    command, files = utr(READ[name]())
    assert run(command, **files) == (0, "")
    table = open_corpus("out", verify=True).split("train")
    (row,) = table.gather(np.arange(len(table))).rows()
    assert (table.ids([0]), row.decode()) == (["t:1"], WITH_GENE[426:800].replace("T", "U"))


def record(at, more, alternative, frequency):
    """A line of a VCF: base `at` becomes `alternative`, and REF has `more` bases before it."""
    reference = BASES[0][at - 1 - more : at]
    return f"chr1\t{at - more}\t.\t{reference}\t{reference[:-1]}{alternative}\t.\t.\tAF={frequency}\n"


@pytest.mark.parametrize("packed", [bgzip, gzip.compress])
def test_records_that_become_one_site_after_normalization_are_one_site(run, packed):
    """From parts of a file that were compressed apart, with line ends of two kinds; the last of two alike counts."""
    one, two, _ = sorted(set("ACGT") - {BASES[0][99]})
    parts = [
        VCF.partition("chr1")[0] + record(100, 1, one, 0.1),
        "",
        (record(100, 0, two, 0.3) + record(100, 2, two, 0.2)).replace("\n", "\r\n"),
    ]
    command, files = variants(b"".join(packed(part.encode()) for part in parts))
    assert run(f"{command} --validation 0", **files) == (0, "")
    corpus = open_corpus("out", verify=True)
    expected = {BASES[0][99]: 0.7, one: 0.1, two: 0.2}
    assert dense_contig(corpus, "chr1")[99] == pytest.approx([expected.get(letter, 0) for letter in "ACGT"])
    counts = {entry["filter"]: entry for entry in corpus.manifest["stages"][-1]["filters"]}
    assert counts["allele"]["changed"] == {"snv_of_a_longer_allele": 2}
    assert counts["site"]["dropped"] == {"duplicate": 1}


@pytest.mark.parametrize(
    ("option", "kept"),
    [("--contigs chr1", 1), ("--contigs 2", 1), ("--contigs chr1,1,M", 3), ("--exclude-contigs 1", 3)],
)
def test_the_exact_name_of_a_contig_wins_over_a_similar_one(run, option, kept):
    genome = GENOME + f">1\n{BASES[1]}\n"
    assert run(f"genomes g --window 50 {option} --validation 0 --out out", g=genome) == (0, "")
    filters = {entry["filter"]: entry for entry in open_corpus("out").manifest["stages"][-1]["filters"]}
    assert filters["contigs"]["kept"] == kept
    assert kept + sum(filters["contigs"]["dropped"].values()) == 4


@pytest.mark.parametrize(
    ("option", "genes"), [("chrM", ["chrM"]), ("chrMT", ["chrMT"]), ("chrM,chrMT", ["chrM", "chrMT"])]
)
def test_the_exact_name_of_a_contig_of_an_annotation_wins_too(run, option, genes):
    both = "".join(GTF.replace("chr1", name).replace('"g"', f'"{name}"') for name in ("chrM", "chrMT"))
    both = both.replace('"t"', '"tM"', 3).replace('"t"', '"tMT"')
    genome = f">chrM\n{WITH_GENE}\n>chrMT\n{WITH_GENE[:500]}{BASES[1][500:]}\n"
    command = f"utr3 --genome g --annotation a --validation 0 --out out --contigs {option}"
    assert run(command, g=genome, a=both) == (0, "")
    table = open_corpus("out", verify=True).split("train")
    assert [gene.decode() for gene in table.gather_text("gene", np.arange(len(table))).rows()] == genes


def test_a_biotype_that_no_transcript_has_is_said(run):
    command, files = utr(GTF)
    status, said = run(f"{command} --biotypes protein_coding,lncRN", **files)
    assert status == 0
    assert said == "warning: --biotypes: no coding transcript is lncRN; the annotation has protein_coding\n"


def test_a_fold_cache_of_another_program_is_one_line(run):
    assert run("fasta x --validation 0 --out corpus", x=">a\nGGGGAAAACCCC\n")[0] == 0
    with sqlite3.connect("cache") as database:
        database.execute("CREATE TABLE fold (something TEXT)")
    status, said = run("fold corpus --out out --executor local:1 --cache cache")
    assert status == 2
    assert said == "error: cache: cannot be used as fold cache (no such column: mfe); give another --cache or 'none'\n"


def test_a_position_of_5000_digits_is_one_line_for_the_reader_of_single_variants_too(tmp_path):
    (tmp_path / "v").write_text(VCF.replace("chr1\t1\t", f"chr1\t{DIGITS}\t"))
    with pytest.raises(DataPrepError, match="v: line 3: not a VCF record"):
        read_snvs(tmp_path / "v")


LISTS = {
    "byte-order mark": codecs.BOM_UTF8 + b"tRNA\r\nrRNA  # of the small subunit\r\n",
    "UTF-16": "tRNA\nrRNA\n".encode("utf-16"),
    "gzip": gzip.compress(b"tRNA\nrRNA"),
    "old Mac": b"tRNA\rrRNA\r",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_values_is_text_of_any_kind(run, name):
    kinds = ["tRNA", "rRNA", "snRNA"]
    records = "".join(f">r{n} {kind}\n{BASES[n]}\n" for n, kind in enumerate(kinds))
    assert run("fasta x --type-field 2 --validation 0 --out corpus", x=records)[0] == 0
    assert run("select corpus --keep rna_type=@list --out out", list=LISTS[name])[0] == 0
    table = open_corpus("out", verify=True).split("train")
    assert table.rna_type(np.arange(len(table))) == ["tRNA", "rRNA"]
