"""Genome FASTA in every form users have it; damaged files are one clear line."""

import gzip
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import DataPrepError
from data_prep.formats import compression
from data_prep.formats.compression import BGZF_END
from data_prep.formats.contig_names import missing_contigs_message, parse_contigs
from data_prep.formats.genome import read_contigs, reverse_complement

TEXT = b">one first contig\nACGT\nacgtN\n\n>two\n>three\nTT\n"
CONTIGS = [("one", b"ACGTacgtN"), ("two", b""), ("three", b"TT")]


def bgzip(data, block=7):
    """Blocked gzip as bgzip writes it: one member a block, with its size, and the end block."""
    out = b""
    for start in range(0, len(data), block):
        part = data[start : start + block]
        squeezer = zlib.compressobj(wbits=-15)
        body = squeezer.compress(part) + squeezer.flush()
        head = bytes.fromhex("1f8b08040000000000ff0600424302 00") + struct.pack("<H", len(body) + 25)
        out += head + body + struct.pack("<II", zlib.crc32(part), len(part))
    return out + BGZF_END


FORMS = {"plain": lambda text: text, "gzip": gzip.compress, "bgzip": bgzip, "crlf": lambda t: t.replace(b"\n", b"\r\n")}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk", [1, 2, 5, 1 << 22])
def test_contigs_do_not_depend_on_compression_line_ends_or_chunks(tmp_path, monkeypatch, form, chunk):
    monkeypatch.setattr(compression, "CHUNK", chunk)
    (tmp_path / "g").write_bytes(FORMS[form](TEXT))
    assert list(read_contigs(tmp_path / "g")) == CONTIGS
    (tmp_path / "g").write_bytes(FORMS[form](TEXT.rstrip(b"\n")))
    assert list(read_contigs(tmp_path / "g")) == CONTIGS
    assert list(read_contigs(tmp_path / "g", {"three"}.__contains__)) == CONTIGS[2:]


DAMAGED = {
    "no FASTA record": b"\n",
    "this is a sequence without header, expected FASTA": b"ACGT\n>one\nAC\n",
    "FASTA name 'one' occurs twice": b">one\nA\n>two\nC\n>one\nG\n",
    "FASTA header without a name": b">  \nACGT\n",
    "contig two: '-' at base 3 is not a nucleotide; remove the gaps": b">one\nA\n>two\nAC-T\n",
    "contig one: '6' at base 5 is not a nucleotide": b">one\nACGT 60\n",
    "contig one: 'L' at base 2": b">one\nMLK\n",
    "Stockholm": b"# STOCKHOLM 1.0\na ACGT\n//\n",
    "cut off": gzip.compress(TEXT)[:-9],
    "damaged gzip data": gzip.compress(TEXT)[:14] + b"????" + gzip.compress(TEXT)[18:],
    "without its end block": bgzip(TEXT)[: -len(BGZF_END)],
}


@pytest.mark.parametrize("message", DAMAGED)
def test_damaged_fasta_is_one_clear_line(tmp_path, message):
    path = tmp_path / "genome.fa"
    path.write_bytes(DAMAGED[message])
    with pytest.raises(DataPrepError, match=message) as caught:
        list(read_contigs(path))
    assert str(caught.value).startswith(str(path))


def test_missing_file_and_folder_are_one_clear_line(tmp_path):
    with pytest.raises(DataPrepError, match="no such file"):
        list(read_contigs(tmp_path / "absent.fa"))
    with pytest.raises(DataPrepError, match="is a folder"):
        list(read_contigs(tmp_path))


@given(st.text("ACGTUNRYSWKMBDHVacgtn"))
def test_reverse_complement_twice_is_the_dna(text):
    dna = text.replace("U", "T").encode()
    assert reverse_complement(reverse_complement(dna)) == dna


def test_reverse_complement_of_ambiguity_letters():
    assert reverse_complement(b"AACGRYSWKMBDHVN") == b"NBDHVKMWSRYCGTT"


def test_missing_contigs_are_named_with_what_would_match():
    message = missing_contigs_message("a.gtf", "g.fa", {"1", "2", "MT"}, ["chr1", "chr2", "chrM"])
    assert "3 contig(s) missing in g.fa: 1, 2, MT" in message
    assert "begins with chr1, chr2, chrM" in message
    assert "adding 'chr' in the annotation would match 3" in message
    message = missing_contigs_message("a.gtf", "g.fa", {"chr1", "chrUn"}, ["1", "2"])
    assert "removing 'chr' in the annotation would match 1" in message
    message = missing_contigs_message("a.gtf", "g.fa", {"scaffold_9"}, ["1", "2"])
    assert "would match" not in message
    assert "--on-missing-contig skip" in message


def test_contig_lists_ignore_chr():
    assert parse_contigs("chr1, 2,MT") == {"1", "2", "M"}
    assert len(parse_contigs("human")) == 25
    assert parse_contigs("all") is None
