"""The fasta stage: every form of FASTA, every policy, every drop counted."""

import bz2
import gzip
import io
import lzma
import random
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.formats import fasta, fasta_text
from data_prep.formats import text as text_layer
from data_prep.formats.fasta import read_fasta
from tests.data_prep.sequence_files import two_bit


def build(out, *arguments):
    assert main(["fasta", *map(str, arguments), "--out", str(out)]) == 0
    return open_corpus(out, verify=True)


def records(corpus):
    """{id: sequence} of both splits."""
    found = {}
    for split in corpus.splits:
        table = corpus.split(split)
        everything = np.arange(len(table))
        found |= dict(zip(table.ids(everything), table.gather(everything).rows(), strict=True))
    return found


def dropped(corpus):
    return {r: n for entry in corpus.manifest["stages"][-1]["filters"] for r, n in entry["dropped"].items()}


def random_fasta(count, seed=0):
    generator = random.Random(seed)
    text = []
    for number in range(count):
        sequence = "".join(generator.choices("ACGT", k=generator.randint(30, 90)))
        text.append(f">r{number} some text\n" + "\n".join(sequence[at : at + 60] for at in range(0, len(sequence), 60)))
    return "\n".join(text).encode() + b"\n"


def naive(text):
    """What FASTA means, one record at a time."""
    parsed = []
    for record in (b"\n" + re.sub(rb"\r+(\n|\Z)", b"\n", text)).split(b"\n>")[1:]:
        header, _, body = record.partition(b"\n")
        parsed.append(([*header.split(None, 1), b""][0], header, body.translate(None, b" \t\n").upper()))
    return parsed


def test_blocks_equal_a_naive_reading_wherever_they_are_cut(tmp_path, monkeypatch):
    generator = random.Random(1)
    for case in range(300):
        text = b""
        for _ in range(generator.randint(1, 6)):
            header = generator.choice(
                [b"", b"a", b"ab c", b"x\ty z", b" lead x", b"a > b", b"l" * 31, b"l" * 40 + b" x"]
            )
            letters = [b"ACg", b"U", b"\n", b"A"] + ([b" ", b"\t", b"n>", b"\r\n"] if generator.random() < 0.4 else [])
            body = b"".join(generator.choices(letters, k=generator.randint(0, 10)))
            text += b">" + header + b"\n" + body + generator.choice([b"\n", b"\n\n"])
        if generator.random() < 0.3:
            text = text.rstrip(b"\n")
        (tmp_path / "x.fa").write_bytes(text)
        monkeypatch.setattr(fasta, "BLOCK_BYTES", generator.randint(2, 40))
        monkeypatch.setattr(fasta_text, "HEAD_BYTES", generator.randint(2, 40))
        monkeypatch.setattr(text_layer, "HEAD_BYTES", generator.randint(2, 40))
        read = [
            row
            for b in read_fasta(tmp_path / "x.fa")
            for row in zip(b.ids, b.headers.rows(), b.sequences.rows(), strict=True)
        ]
        assert read == naive(text), (case, text)


def bgzip(text):
    """Two bgzip blocks and the end block (SAM specification, section 4.1)."""
    blocks = []
    for part in (text[: len(text) // 2], text[len(text) // 2 :], b""):
        packed = gzip.compress(part, mtime=0)
        header = bytearray(packed[:10])
        header[3] = 4  # an extra field follows
        size = len(packed) + 8 - 1
        extra = b"\x06\x00BC\x02\x00" + size.to_bytes(2, "little")
        blocks.append(bytes(header) + extra + packed[10:])
    blocks[-1] = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    return b"".join(blocks)


def test_plain_gzip_bgzip_and_stdin_give_the_same_corpus(tmp_path, monkeypatch):
    text = random_fasta(500)
    (tmp_path / "a.fa").write_bytes(text)
    (tmp_path / "a.fa.gz").write_bytes(gzip.compress(text))
    (tmp_path / "a.fa.bgz").write_bytes(bgzip(text))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(text))))
    corpora = [build(tmp_path / name, tmp_path / name) for name in ()]
    for number, source in enumerate([tmp_path / "a.fa", tmp_path / "a.fa.gz", tmp_path / "a.fa.bgz", "-"]):
        corpora.append(build(tmp_path / f"c{number}", source))
    assert len({corpus.fingerprint for corpus in corpora}) == 1
    assert records(corpora[0]) == {name.decode(): seq.replace(b"T", b"U") for name, _, seq in naive(text)}


def test_several_files_note_their_source_and_share_one_duplicate_filter(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGT\n>b\nGGGG\n")
    (tmp_path / "b.fa").write_text(">c\nacgu\n>d\nCCCC\n")
    corpus = build(tmp_path / "c", tmp_path / "a.fa", tmp_path / "b.fa", "--validation", 0)
    assert records(corpus) == {"a": b"ACGU", "b": b"GGGG", "d": b"CCCC"}
    sources = corpus.split("train").gather_text("source", np.arange(3)).rows()
    assert sources == [b"a.fa", b"a.fa", b"b.fa"]
    assert dropped(corpus) == {"same_sequence": 1}
    assert [source["name"] for source in corpus.manifest["sources"]] == ["a.fa", "b.fa"]


def test_letters_are_spelled_as_asked_and_odd_records_counted(tmp_path):
    (tmp_path / "a.fa").write_text(
        ">plain\nacgtACGU\n>few_n\nACGTACGTACGTACGTACGN\n>many_n\nACNN\n>gap\nAC-GT\n>protein\nMKVLEF\n>more\nGGCC\n>iupac\n"
        "RACGTACGTACGTACGTACGTACGT\n"
    )
    rna = build(tmp_path / "rna", tmp_path / "a.fa", "--validation", 0)
    assert records(rna) == {
        "plain": b"ACGUACGU", "few_n": b"ACGUACGUACGUACGUACGN", "more": b"GGCC", "iupac": b"RACGUACGUACGUACGUACGUACGU",
    }  # fmt: skip
    assert dropped(rna) == {
        "too_many_ambiguous_letters": 1, "gaps_of_an_alignment": 1, "letters_of_proteins": 1,
    }  # fmt: skip
    dna = build(tmp_path / "dna", tmp_path / "a.fa", "--alphabet", "dna", "--max-ambiguous", 0.5, "--validation", 0)
    assert records(dna)["plain"] == b"ACGTACGT"
    assert records(dna)["many_n"] == b"ACNN"
    assert dna.manifest["alphabet"] == "dna"


@pytest.mark.parametrize(
    ("arguments", "expected", "counted"),
    [
        (["--max-length", 10], {"s": b"ACGU"}, {"too_long": 1}),
        (["--min-length", 5], {"l": b"ACGUACGUACGUA"}, {"too_short": 1}),
        (["--max-length", 10, "--long", "crop"], {"s": b"ACGU", "l": b"ACGUACGUAC"}, {}),
        (
            ["--max-length", 5, "--long", "pieces", "--min-length", 4, "--duplicates", "keep"],
            {"s": b"ACGU", "l:1-5": b"ACGUA", "l:6-10": b"CGUAC"},
            {"too_short": 1},
        ),
    ],
)
def test_length_policies(tmp_path, arguments, expected, counted):
    (tmp_path / "a.fa").write_text(">s\nACGT\n>l\nACGTACGTACGTA\n")
    corpus = build(tmp_path / "c", tmp_path / "a.fa", *arguments, "--validation", 0)
    assert records(corpus) == expected
    assert dropped(corpus) == counted


def test_types_come_from_the_header(tmp_path):
    (tmp_path / "a.fa").write_text(">a tRNA x\nACGT\n>b\nGGGG\n")
    table = build(tmp_path / "c", tmp_path / "a.fa", "--type-field", 2, "--validation", 0).split("train")
    assert table.rna_type(np.arange(2)) == ["tRNA", None]


def test_labels_of_utr_lm_are_read_from_its_headers(tmp_path):
    (tmp_path / "a.fa").write_text(
        ">-27.2|((((...))))|FiveSpecies|human|0.7463667688294459\nGGGGTT\nTCCCC\n>0.0|....|Cao|human|1e-9\nACGT\n"
    )
    corpus = build(tmp_path / "c", tmp_path / "a.fa", "--header-labels", "utr_lm", "--validation", 0)
    table, both = corpus.split("train"), np.arange(2)
    assert records(corpus) == {"1": b"GGGGUUUCCCC", "2": b"ACGU"}
    assert table.gather_text("structure", both).rows() == [b"((((...))))", b"...."]
    assert table.gather_text("source", both).rows() == [b"FiveSpecies|human", b"Cao|human"]
    np.testing.assert_array_equal(table.mfe_kcal_per_mol(both), np.array([-27.2, np.nan], np.float32))


WRONG_LABELS = {
    "without_the_labels": ["-27.2", "-1|....|a|b", "low|....|a|b|1", "inf|....|a|b|1"],
    "structure_is_not": ["-1|...|a|b|1", "-1|.)(.|a|b|1", "-1|(...|a|b|1", "-1|.x..|a|b|1"],
}


@pytest.mark.parametrize(
    ("header", "message"), [(header, message) for message, headers in WRONG_LABELS.items() for header in headers]
)
def test_wrong_labels_in_a_header_are_one_line_or_a_counted_drop(tmp_path, capsys, header, message):
    (tmp_path / "a.fa").write_text(f">-1|....|a|b|0.5\nACGG\n>{header}\nACGT\n")
    options = ["--header-labels", "utr_lm", "--validation", "0"]
    assert main(["fasta", str(tmp_path / "a.fa"), "--out", str(tmp_path / "c"), *options]) == 2
    error = capsys.readouterr().err
    assert "record 2" in error
    assert message.replace("_", " ") in error
    assert error.count("\n") == 1
    corpus = build(tmp_path / "c", tmp_path / "a.fa", *options, "--bad-records", "drop")
    ((reason, count),) = dropped(corpus).items()
    assert message in reason
    assert count == 1


def test_duplicates_never_straddle_the_splits(tmp_path):
    text = random_fasta(300) * 3
    (tmp_path / "a.fa").write_bytes(text)
    corpus = build(tmp_path / "c", tmp_path / "a.fa", "--duplicates", "keep", "--validation", 0.3)
    splits = [set(corpus.split(s).gather(np.arange(len(corpus.split(s)))).rows()) for s in corpus.splits]
    assert len(corpus.split("train")) + len(corpus.split("validation")) == 900
    assert not splits[0] & splits[1]
    assert 40 < len(splits[1]) < 140


def test_the_real_file_keeps_every_record(shared, tmp_path):
    corpus = build(tmp_path / "c", shared / "data/ncrna/nRC_test.fa", "--max-ambiguous", 1, "--type-field", 2)
    train, held_out = (corpus.manifest["splits"][split] for split in corpus.splits)
    assert train["sequences"] + held_out["sequences"] == 2600
    assert train["nucleotides"] + held_out["nucleotides"] == 387_780
    assert train["composition"]["A"] + held_out["composition"]["A"] == 102_919
    assert train["rna_type"]["tRNA"] + held_out["rna_type"]["tRNA"] == 200


def gzip_cut(path):
    path.write_bytes(gzip.compress(random_fasta(2000))[:5000])


def gzip_damaged(path):
    content = bytearray(gzip.compress(random_fasta(2000)))
    content[3000] ^= 0xFF
    path.write_bytes(content)


def bgzip_cut(path):
    path.write_bytes(bgzip(random_fasta(200))[:-28])


# name of the broken input -> (its bytes or what writes it, arguments, what the one line must say)
BROKEN = {
    "empty": (b"", [], "empty, no FASTA record"),
    "blank lines": (b"\n\n  \n", [], "empty, no FASTA record"),
    "empty gzip": (gzip.compress(b""), [], "empty, no FASTA record"),
    "binary": (bytes(range(256)) * 20, [], "x.fa: "),
    "binary after records": (b">a\nACGT\n>b\nAC\0GT\n", [], "binary data"),
    "UTF-16 cut off": (">a\nACGT\n".encode("utf-16")[:-1], [], "damaged UTF-16 text"),
    "truncated gzip": (gzip_cut, [], "cut off"),
    "damaged gzip": (gzip_damaged, [], "damaged"),
    "truncated bgzip": (bgzip_cut, [], "cut off"),
    "sequence without header": (b"ACGT\nACGT\n", [], "sequence without header"),
    "FASTQ cut off": (b"@r\nACGT\n+\nIIII\n@s\nAC\n", [], "line 5: expected a FASTQ record of four lines"),
    "FASTQ of two lines of letters": (b"@r\nAC\nGT\n+\nII\nII\n", [], "got '@r'; fetch it again"),
    "FASTQ with fewer qualities": (b"@r\nACGT\n+\nIII\n", [], "as many qualities"),
    "record without sequence": (b">a\nACGT\n>b\n>c\nACGT\n", [], "record 2 (b): record without sequence"),
    "last record without sequence": (b">a\nACGT\n>b\n", [], "record 2 (b): record without sequence"),
    "record without name": (b">a\nACGT\n>\nACGT\n", [], "record 2 (without name): record without name"),
    "name not UTF-8": (b">a\nACGT\n>caf\xe9\nACGT\n", [], "record 2 (caf\\xe9): name is not UTF-8"),
    "protein": (b">p\nMKVLEFQW\n>q\nMEEPQSDPSV\n", [], "protein"),
    "nothing left": (b">a\nNNNN\n", [], "no training sequence is left"),
    "all too short": (b">a\nACGT\n", ["--min-length", "10"], "too_short 1"),
    "lengths crossed": (b">a\nACGT\n", ["--min-length", "10", "--max-length", "5"], "--max-length 5 is below"),
    "crop to what": (b">a\nACGT\n", ["--long", "crop"], "needs --max-length"),
    "fraction above 1": (b">a\nACGT\n", ["--validation", "5"], "--validation must lie between 0 and 1"),
    "type not UTF-8": (b">a x\xff\nACGT\n", ["--type-field", "2"], "record 1 (a): type is not UTF-8"),
    "shortest length 0": (b">a\nACGT\n", ["--min-length", "0", "--max-length", "0"], "--min-length must be 1 or more"),
    "gzip in gzip": (gzip.compress(gzip.compress(b">a\nACGT\n")), [], "compressed twice"),
    "bzip2 cut off": (bz2.compress(random_fasta(200))[:-9], [], "cut off"),
    "bzip2 damaged": (b"BZh9" + bytes(99), [], "damaged bzip2 data"),
    "xz cut off": (lzma.compress(random_fasta(200))[:-99], [], "cut off"),
    "xz damaged": (lzma.compress(b">a")[:7] + bytes(99), [], "damaged xz data"),
    "2bit without contigs": (b"\x43\x27\x41\x1a" + bytes(99), [], "empty, no FASTA record"),
    "2bit cut off": (two_bit({"a": "ACGTN"})[:-1], [], "damaged 2bit, or cut off"),
    "2bit of counts beyond its end": (b"\x43\x27\x41\x1a" + bytes(4) + b"\xff" * 99, [], "damaged 2bit"),
    "2bit of another version": (b"\x43\x27\x41\x1a\2" + bytes(99), [], "2bit of version 2, expected 0 or 1"),
    "2bit in gzip": (gzip.compress(two_bit({"a": "ACGT"})), [], "this is 2bit; give the file itself, unpacked"),
    "BAM": (gzip.compress(b"BAM\1" + bytes(99)), [], "this is BAM; convert it"),
    "GenBank cut off": (b"LOCUS       X 20 bp DNA\nORIGIN\n", [], "record X has no end (//)"),
    "GenBank without letters": (
        b"LOCUS  X 20 bp DNA\nVERSION  X.2\nCONTIG  j\n//\n",
        [],
        "this is GenBank, expected whole records: record X.2: 0 letters where it tells of 20",
    ),
    "EMBL without a length": (
        b"ID   X; SV 1;\nSQ   Sequence 10 BP;\n",
        [],
        "this is EMBL, expected whole records: line 1: ",
    ),
    "EMBL with a header inside": (
        b"ID   X; SV 1; 2 BP.\nSQ   S\n>a\n//\n",
        [],
        "line 3: '>a' where letters of a sequence were expected",
    ),
    "Clustal": (b"CLUSTAL W (1.83)\n\na ACGT\n", [], "this is Clustal, expected FASTA"),
    "VCF": (b"##fileformat=VCFv4.2\n#CHROM\n", [], "this is VCF, expected FASTA"),
    "GFF3": (b"##gff-version 3\n", [], "this is GFF3, expected FASTA"),
    "GTF": (b'1\tx\texon\t1\t9\t.\t+\t.\tgene_id "g";\n', [], "this is GFF or GTF, expected FASTA"),
    "BED": (b"chr1\t1\t9\n", [], "this is BED, expected FASTA"),
    "PIR": (b">RL;a\nwords\nACGU*\n", [], "this is PIR, expected FASTA"),
    "GFA": (b"H\tVN:Z:1.0\nS\t1\tACGU\n", [], "this is GFA, expected FASTA"),
    "BPSEQ": (b"1 G 9\n2 G 8\n", [], "this is a table of base pairs (BPSEQ), expected FASTA"),
    "CT": (b"9 ENERGY = -1.2 a\n1 G 0 2 9 1\n", [], "this is a table of base pairs (CT), expected FASTA"),
    "PDB": (b"HEADER    RNA\nSEQRES   1 A    3    G\n", [], "this is PDB, expected FASTA"),
    "mmCIF": (b"data_1ABC\n_entry.id 1ABC\n", [], "this is mmCIF, expected FASTA"),
    "SAM": (b"@HD\tVN:1.6\n", [], "this is SAM, expected FASTA"),
    "alignment": (b">a\nAC-T\n>b\nA..T\n", [], "give --gaps remove"),
    "Stockholm cut off": (b"# STOCKHOLM 1.0\na ACGT\n", [], "has no end (//)"),
    "Stockholm of three columns": (b"# STOCKHOLM 1.0\na ACGT x\n//\n", [], "line 2: expected a name and aligned"),
    "CR in a header": (b">a b\rc\nACGT\n", [], "carriage return inside a line ('>a b\\rc"),
    "CR in a sequence": (b">a b\nAC\rGT\n", [], "carriage return inside a line"),
    "LF in a file with CR": (b">a\rACGT\r>b\nAC\r", [], "carriage return inside a line"),
    "one long line": (b"ACGT, " * 9999, [], "begins with 'ACGT, ACGT, ACGT, ACGT, ACGT, ACGT, ACGT…', expected FASTA"),
    "bytes after the gzip": (gzip.compress(b">a\nACGT\n") + b"more", [], "x.fa: "),
    "zip archive": (b"PK\x03\x04" + bytes(50), [], "a zip archive; unpack it"),
    "header without a line end": (b">a", [], "record without sequence"),
    "k-mers between blanks": (
        b">a\nACGU\n>b\nACG CGU GUA\nUAC\n",
        [],
        "record 2 (b): overlapping 3-mers between blanks",
    ),
    "web page": (b"<!DOCTYPE html>\n404\n", [], "this is a web page"),
    "labels of cropped records": (
        b">a\nACGT\n",
        ["--header-labels", "utr_lm", "--max-length", "2", "--long", "crop"],
        "structure in the header is that of the whole sequence",
    ),
    "type field 1": (b">a\nACGT\n", ["--type-field", "1"], "--type-field"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_input_is_one_line_and_leaves_nothing(name, tmp_path, capsys):
    content, arguments, message = BROKEN[name]
    source = tmp_path / "in" / "x.fa"
    source.parent.mkdir()
    content(source) if callable(content) else source.write_bytes(content)
    assert main(["fasta", str(source), "--out", str(tmp_path / "out" / "c"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


# name -> (content, what is kept, what is counted) with --bad-records drop
MENDED = {
    "bad records": (
        b">a\nACGT\n>b\n>caf\xe9\nACGA\n>\nGGGG\n",
        {"a": b"ACGU"},
        {"record_without_sequence": 1, "name_is_not_UTF-8": 1, "record_without_name": 1},
    ),
    "CRLF": (b">a x\r\nAC\r\nGT\r\n>b\r\nGGGG\r\n", {"a": b"ACGU", "b": b"GGGG"}, {}),
    "lower case": (b">a\nacgt\n", {"a": b"ACGU"}, {}),
    "byte-order mark": (b"\xef\xbb\xbf>a\nACGT\n", {"a": b"ACGU"}, {}),
    "blanks in lines": (b">a\nAC GT\n A\t\n", {"a": b"ACGUA"}, {}),
    "no last line end": (b">a\nACGT\n>b\nGG", {"a": b"ACGU", "b": b"GG"}, {}),
    "blank lines": (b"\n>a\n\nAC\n\nGT\n\n", {"a": b"ACGU"}, {}),
    "name in Unicode": (">naïve\nACGT\n".encode(), {"naïve": b"ACGU"}, {}),
    "blank before name": (b"> a b\nACGT\n", {"a": b"ACGU"}, {}),
    "digits": (b">a\nACGT\n>b\n1 ACGT 60\n", {"a": b"ACGU"}, {"letters_not_nucleotides": 1}),
    "gaps": (b">a\nACGT\n>b\nAC--GT\n", {"a": b"ACGU"}, {"gaps_of_an_alignment": 1}),
    "line ends of old Macs": (b">a x\rAC\rGT\r\r>b\rGG", {"a": b"ACGU", "b": b"GG"}, {}),
    "CRLF twice": (b">a\r\r\nACGT\r\r\n", {"a": b"ACGU"}, {}),
    "UTF-16": (">a\nACGT\n>é\nGG".encode("utf-16"), {"a": b"ACGU", "é": b"GG"}, {}),
    "UTF-16 without mark": (">a\nACGT\n".encode("utf-16-be"), {"a": b"ACGU"}, {}),
    "UTF-32": (">a\nACGT\n".encode("utf-32"), {"a": b"ACGU"}, {}),
    "two files with marks": (b"\xef\xbb\xbf>a\nACGT\n\xef\xbb\xbf>b\nGG\n", {"a": b"ACGU", "b": b"GG"}, {}),
    "comments": (b"; x\n#y\n\n>a\n;ACG\nACGT\n#GG\n>b;c\nGG\n;T", {"a": b"ACGU", "b;c": b"GG"}, {}),
    "bzip2": (bz2.compress(b">a\nAC") + bz2.compress(b"GT\n"), {"a": b"ACGU"}, {}),
    "xz": (lzma.compress(b">a\nACGT\n"), {"a": b"ACGU"}, {}),
    "Stockholm": (
        b"# STOCKHOLM 1.0\n#=GF ID x\na AC.U\nb GG~-\n\na GG-G\nb -..C\n#=GC SS_cons ....\n//\n",
        {"a": b"ACUGGG", "b": b"GGC"},
        {},
    ),
    "Stockholm files joined without a line end": (
        b"# STOCKHOLM 1.0\na ACGU\n//# STOCKHOLM 1.0\nb GG\n//\n",
        {"a": b"ACGU", "b": b"GG"},
        {},
    ),
    "control characters": (b">a\nACGT\n>b\nAC\x07GT\n", {"a": b"ACGU"}, {"letters_not_nucleotides": 1}),
    "a star at the end": (b">a\nACGT\n>b\nACGT*\n", {"a": b"ACGU"}, {"letters_of_proteins": 1}),
    "letters not UTF-8": (b">a\nACGT\n>b\nAC\xe9T\n", {"a": b"ACGU"}, {"letters_not_nucleotides": 1}),
}


@pytest.mark.parametrize("name", MENDED)
def test_odd_input_has_its_documented_outcome(name, tmp_path):
    content, kept, counted = MENDED[name]
    (tmp_path / "x.fa").write_bytes(content)
    corpus = build(tmp_path / "c", tmp_path / "x.fa", "--bad-records", "drop", "--validation", 0)
    assert records(corpus) == kept
    assert dropped(corpus) == counted


@pytest.mark.parametrize(("long", "kept"), [("pieces", 12), ("crop", 1)])
def test_the_limit_of_ambiguous_letters_holds_for_what_is_stored(tmp_path, long, kept):
    # 20 % N in one gap: the record as a whole is above the limit, most of its pieces are not.
    unique = "".join(random.Random(0).choices("ACGT", k=1200))
    (tmp_path / "x.fa").write_text(f">a\n{unique}{'N' * 300}\n>b\n{'N' * 300}{unique}\n")
    options = ["--max-length", 100, "--long", long, "--validation", 0, "--duplicates", "keep"]
    corpus = build(tmp_path / "c", tmp_path / "x.fa", *options)
    stored = records(corpus)
    assert len(stored) == (2 * kept if long == "pieces" else kept)
    assert not any(b"N" in sequence for sequence in stored.values())
    assert dropped(corpus) == {"too_many_ambiguous_letters": 6 if long == "pieces" else 1}


def test_gaps_are_taken_out_when_asked_and_families_are_kept(tmp_path):
    (tmp_path / "x.fa").write_text(">a\nAC--GT\n>b\n..GG\n>c\n---\n")
    corpus = build(tmp_path / "c", tmp_path / "x.fa", "--gaps", "remove", "--validation", 0)
    assert records(corpus) == {"a": b"ACGU", "b": b"GG"}
    assert dropped(corpus) == {"only_gaps": 1}
    one = "# STOCKHOLM 1.0\n#=GF ID tRNA\n#=GF AC RF00005\nx/1-4 AC.U\n//\n"
    (tmp_path / "x.sto").write_text(one + one.replace("tRNA", "5S rRNA").replace("00005", "00001").replace("x/", "y/"))
    table = build(tmp_path / "s", tmp_path / "x.sto", "--validation", 0, "--duplicates", "keep").split("train")
    assert table.gather_text("source", np.arange(2)).rows() == [b"RF00005|tRNA", b"RF00001|5S_rRNA"]


def test_files_of_one_name_are_told_apart_and_repeated_ids_are_said(tmp_path, capsys):
    for folder, letters in (("a", "ACGT"), ("b", "GGGG")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.fa").write_text(f">r\n{letters}\n")
    corpus = build(tmp_path / "c", tmp_path / "a/x.fa", tmp_path / "b/x.fa", "--validation", 0)
    assert corpus.split("train").gather_text("source", np.arange(2)).rows() == [b"a/x.fa", b"b/x.fa"]
    assert "1 records have an id that an earlier one has (the first: r)" in capsys.readouterr().err
    assert main(["fasta", *[str(tmp_path / "a/x.fa")] * 2, "--out", str(tmp_path / "d")]) == 2
    assert "given twice" in capsys.readouterr().err


def test_what_is_cropped_is_said(tmp_path, capsys):
    (tmp_path / "x.fa").write_text(">a\nACGTACGT\n")
    build(tmp_path / "c", tmp_path / "x.fa", "--max-length", 4, "--long", "crop", "--validation", 0)
    assert "filter length: kept 1, changed cropped 1\n" in capsys.readouterr().out


def test_an_empty_validation_split_is_an_error_unless_it_was_asked_for(tmp_path, capsys):
    (tmp_path / "x.fa").write_text(">a\nACGTACGT\n")
    assert main(["fasta", str(tmp_path / "x.fa"), "--out", str(tmp_path / "c"), "--validation", "1e-9"]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert "the validation split is empty" in error
    assert "--validation 0" in error
    assert not (tmp_path / "c").exists()
    asked = build(tmp_path / "c", tmp_path / "x.fa", "--validation", 0)
    assert "warning" not in capsys.readouterr().err
    assert len(asked.split("validation")) == 0


def test_zstd_is_read_and_a_cut_one_is_said(tmp_path, capsys):
    zstandard = pytest.importorskip("zstandard")
    text = random_fasta(500)
    packed = [zstandard.ZstdCompressor().compress(part) for part in (text[:9999], text[9999:])]
    (tmp_path / "x.fa.zst").write_bytes(b"".join(packed))
    (tmp_path / "x.fa").write_bytes(text)
    assert len({build(tmp_path / f"c{name}", tmp_path / name).fingerprint for name in ("x.fa.zst", "x.fa")}) == 1
    for content, message in ((b"".join(packed)[:-9], "cut off"), (packed[0][:9] + b"\xff" * 99, "damaged zstd data")):
        (tmp_path / "x.fa.zst").write_bytes(content)
        assert main(["fasta", str(tmp_path / "x.fa.zst"), "--out", str(tmp_path / "d")]) == 2
        assert message in capsys.readouterr().err


def test_missing_files_folders_and_places_are_one_line(tmp_path, capsys):
    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    (tmp_path / "file").write_text("x")
    for source, out, message in [
        ("missing.fa", "c", "missing.fa"),
        (".", "c", "folder"),
        ("a.fa", "file", "not a folder"),
        ("a.fa", "file/c", "cannot be written"),
    ]:
        assert main(["fasta", str(tmp_path / source), "--out", str(tmp_path / out)]) == 2
        error = capsys.readouterr().err
        assert message in error.lower()
        assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fa", "file"]


def test_a_finished_corpus_is_not_built_again_nor_replaced_unasked(tmp_path, capsys):
    source = tmp_path / "a.fa"
    source.write_text(">a\nACGT\n")
    first = build(tmp_path / "c", source, "--validation", 0)
    stamp = (tmp_path / "c" / "manifest.json").stat().st_mtime_ns
    build(tmp_path / "c", source, "--validation", 0)
    assert (tmp_path / "c" / "manifest.json").stat().st_mtime_ns == stamp
    source.write_text(">a\nACGTA\n")
    assert main(["fasta", str(source), "--out", str(tmp_path / "c"), "--validation", "0"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert build(tmp_path / "c", source, "--overwrite", "--validation", 0).fingerprint != first.fingerprint


def test_a_full_disk_is_one_line(small_disk, tmp_path, capsys):
    (tmp_path / "a.fa").write_bytes(random_fasta(40_000))
    assert main(["fasta", str(tmp_path / "a.fa"), "--out", str(small_disk / "c")]) == 2
    error = capsys.readouterr().err
    assert "No space left" in error
    assert error.startswith(f"error: {small_disk}")  # which disk
    assert error.count("\n") == 1
    assert not (small_disk / "c").exists()


def test_a_read_only_place_is_one_line(small_disk, tmp_path, capsys, remount):
    (tmp_path / "a.fa").write_text(">a\nACGT\n")
    remount("ro")
    assert main(["fasta", str(tmp_path / "a.fa"), "--out", str(small_disk / "c")]) == 2
    assert "Read-only" in capsys.readouterr().err


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, where the machine lets us mount one."""
    import subprocess

    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def remount(small_disk):
    import subprocess

    return lambda mode: subprocess.run(["mount", "-o", f"remount,{mode}", str(small_disk)], check=True)


def test_the_path_in_errors_is_the_one_given(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.fa").write_bytes(b">a\nACGT\n>b\n")
    assert main(["fasta", "x.fa", "--out", "c"]) == 2
    assert "error: x.fa: record 2" in capsys.readouterr().err
