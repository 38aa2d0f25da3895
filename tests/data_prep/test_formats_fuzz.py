"""Whatever a file holds: one clear line, or what an independent slow reader finds in it."""

import bz2
import gzip
import lzma
import re
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.formats.cluster_table import ClusterTable
from data_prep.formats.contig_aliases import read_aliases
from data_prep.formats.fasta import read_fasta
from data_prep.formats.genome import read_contigs
from data_prep.formats.text import as_text, numbered_lines
from data_prep.genomes.bed import read_bed
from data_prep.motifs.read import read_motifs
from data_prep.variants.vcf import VcfReader
from tests.data_prep.fuzz_support import fuzz, outcome, slow_text, soup
from tests.data_prep.variants_support import COLUMNS, bgzip, dense_contig

SETTINGS = fuzz(60)
PACKERS = {
    "plain": lambda data: data, "gzip": gzip.compress, "bgzip": bgzip, "bzip2": bz2.compress, "xz": lzma.compress,
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "x"


LINE = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), max_size=12)


@given(
    st.lists(LINE, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]), st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.lists(st.integers(0, 400), max_size=5),
    st.sampled_from(sorted(PACKERS)),
)  # fmt: skip
@SETTINGS
def test_lines_do_not_depend_on_encoding_line_ends_compression_or_cuts(place, lines, end, closed, codec, cuts, packer):
    lines[0] = "x" + lines[0]
    data = (end.join(lines) + (end if closed else "")).encode(codec)
    expected = "\n".join(lines).encode() + (b"\n" if closed else b"")
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:stop] for start, stop in pairwise(bounds)]
    assert b"".join(as_text(pieces, "x")).removesuffix(b"\n") == expected.removesuffix(b"\n")
    place.write_bytes(PACKERS[packer](data))
    numbered = list(numbered_lines(place))
    wanted = expected.split(b"\n")
    wanted = wanted[:-1] if wanted[-1] == b"" else wanted
    assert numbered == list(enumerate(wanted, 1))


def slow_fasta(data):
    """[(id, letters)] of plain FASTA text; None where it is something else."""
    lines = slow_text(data)
    if lines is None or b"\0" in data:
        return None
    records = []
    for line in lines:
        if line[:1] in (b";", b"#"):
            continue
        if line.startswith(b">"):
            words = line[1:].replace(b"\t", b" ").split(b" ")
            records.append(([*filter(None, words), b""][0], []))
        elif records:
            records[-1][1].append(line.replace(b" ", b"").replace(b"\t", b""))
        elif line.strip():
            return None
    return [(name, b"".join(letters)) for name, letters in records] or None


FASTA_SOUP = soup(
    b">", b">a x", b">b", b"\n>c\n", b"ACGT", b"acgu", b"NNN", b"-", b".", b"7", b"*", b"L", b";", b"#", b" ", b"\t",
    b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\xe9", b"X", b"GATTACA",
)  # fmt: skip


@given(FASTA_SOUP, st.booleans())
@example(b"\xef\xbb\xbf\xef\xbb\xbf>", False)
@example(b"\n\xef\xbb\xbf\xef\xbb\xbf>a\nAC\n", True)
@SETTINGS
def test_a_fasta_is_what_a_slow_reader_finds(place, data, proper):
    data = b">first\nACGT\n" * proper + data
    place.write_bytes(data)
    blocks, refused = outcome(lambda: list(read_fasta(place)))
    expected = slow_fasta(data)
    if blocks is not None:
        found = [row for block in blocks for row in zip(block.ids, block.sequences.rows(), strict=True)]
        assert found == [(name, letters.upper()) for name, letters in expected]
    else:
        assert expected is None or "this is" in refused or "binary" in refused
    contigs, _ = outcome(lambda: list(read_contigs(place)))
    if contigs is not None:
        assert [(one.name.encode(), one.sequence) for one in contigs] == [
            (name.decode("utf-8", "replace").encode(), letters) for name, letters in expected
        ]
        assert not any(one.sequence.upper().strip(b"ACGTUNRYSWKMBDHVX") for one in contigs)


@given(FASTA_SOUP, st.sampled_from([(), ("--long", "pieces"), ("--long", "crop")]), st.sampled_from(["0", "0.3", "1"]))
@fuzz(30)
def test_what_a_corpus_stores_is_in_its_file_and_all_else_is_counted(data, long, ambiguous):
    data = b">first\nACGTACGTAC\n" + data
    with TemporaryDirectory() as folder:
        source, out = Path(folder) / "x.fa", Path(folder) / "out"
        source.write_bytes(data)
        options = ["--max-length", "6", *long, "--max-ambiguous", ambiguous, "--bad-records", "drop"]
        status = main(["fasta", str(source), "--out", str(out), "--validation", "0", "--duplicates", "keep", *options])
        assert status in (0, 2)
        if status:
            return
        corpus = open_corpus(out, verify=True)
        table = corpus.split("train")
        every = np.arange(len(table))
        stored = list(zip(table.ids(every), table.gather(every).rows(), strict=True))
        filters = {entry["filter"]: entry for entry in corpus.manifest["stages"][-1]["filters"]}
    expected = slow_fasta(data)
    spelled = [(name.decode("utf-8", "replace"), letters.upper().replace(b"T", b"U")) for name, letters in expected]
    for name, sequence in stored:
        assert 1 <= len(sequence) <= 6
        assert not sequence.translate(None, b"ACGUNRYSWKMBDHVX")
        assert len(sequence.translate(None, b"ACGU")) <= float(ambiguous) * len(sequence)
        place = re.fullmatch(r"(.*):(\d+)-(\d+)", name)
        if place and long == ("--long", "pieces"):
            first, last = int(place[2]) - 1, int(place[3])
            assert any(whole == place[1] and letters[first:last] == sequence for whole, letters in spelled)
        else:
            assert any(whole == name and letters.startswith(sequence) for whole, letters in spelled)
    records = filters["records"]
    assert records["kept"] + sum(records["dropped"].values()) == len(expected)
    assert filters["ambiguity"]["kept"] == len(stored)


GENOME = "ACGTTGCAAC" * 12
INFOS = ["AF={}", "AF=.", "DP=3", "AC=3;AN=10", "AF=nan", "X;AF={};Y=1", "AF=1.5", "AF=x", "", "AF={},0.1",
         "AF={};AF=0.1", "AF=.;AC=3;AN=10;AN=12"]  # fmt: skip


@st.composite
def vcf_line(draw):
    """A record that may be anything, most often one whose REF is the genome's."""
    pos = draw(st.integers(1, 110))
    reference = GENOME[pos - 1 : pos - 1 + draw(st.integers(1, 3))]
    if draw(st.integers(0, 9)) == 0:
        reference = draw(st.sampled_from(["", "N", "n", "A" * 3, "<X>"]))
    same_length = st.text("ACGTacgt", min_size=len(reference), max_size=len(reference))
    other = st.sampled_from(["*", "<DEL>", ".", "A[chr1:3[", "AC", "", "N", reference.lower()])
    alternatives = draw(st.lists(st.one_of(same_length, same_length, other), min_size=1, max_size=3))
    values = ",".join(str(draw(st.sampled_from([0.1, 0.25, 0.3, 0, 1e-3]))) for _ in alternatives)
    rare = draw(st.integers(0, 5)) == 0
    info = draw(st.sampled_from(INFOS if rare else INFOS[:1])).format(values)
    place = draw(st.sampled_from([str(pos)] * 12 + ["x", "", "0", "1e3"]))
    filters = draw(st.sampled_from(["PASS", ".", "q10"]))
    line = "\t".join([draw(st.sampled_from(["c", "c", "c", "other"])), place, ".", reference])
    line += "\t" + ",".join(alternatives) + f"\t.\t{filters}\t{info}"
    return draw(st.sampled_from([line] * 12 + ["", "# x", line[:-3], "c\t1"]))


def slow_frequencies(lines, mnps):
    """{(pos, alt): frequency} by the words of the help: the last of equal alleles that are not rare counts.

    At a base of MNPs all that differ add up before they are judged: the last SNV, and of each MNP the last.
    """
    singles, parts = {}, {}  # by base: frequencies of each SNV, in order; {MNP: frequency}
    for line in lines:
        fields = line.split("\t")
        if len(fields) < 8 or fields[0] != "c":
            continue
        reference, alternatives = fields[3].upper(), fields[4].upper().split(",")
        # a key without a value (`AN` of a line that is cut off) tells nothing
        info = dict(entry.partition("=")[::2] for entry in fields[7].split(";") if "=" in entry)
        twice = {key for key in ("AF", "AC", "AN") if fields[7].startswith(f"{key}=") + fields[7].count(f";{key}=") > 1}
        values = info.get("AF", ".").split(",") if info.get("AF") != "nan" else ["."]
        for number, alternative in enumerate(alternatives):
            if len(alternative) != len(reference) or set(reference + alternative) - set("ACGT"):
                continue
            differing = [i for i in range(len(reference)) if reference[i] != alternative[i]]
            if not differing or (len(differing) > 1 and mnps == "drop"):
                continue
            assert "AF" not in twice
            text = values[number] if len(values) == len(alternatives) else "."
            if text != ".":
                value = float(text)
            elif "AC" in info and len(alternatives) == 1:
                assert not twice
                value = int(info["AC"]) / int(info["AN"])
            else:
                continue
            for i in differing:
                if not 0 <= int(fields[1]) + i - 1 < len(GENOME) or GENOME[int(fields[1]) + i - 1] != reference[i]:
                    continue
                key = (int(fields[1]) + i, alternative[i])
                if len(differing) > 1:
                    whole = frozenset((int(fields[1]) + j, alternative[j]) for j in differing)
                    parts.setdefault(key, {})[whole] = value
                else:
                    singles.setdefault(key, []).append(value)
    found = {}
    for key in singles.keys() | parts.keys():
        values = singles.get(key, [0])
        common = [value for value in values if value > 0.02]
        found[key] = (common or values)[-1] + sum(parts.get(key, {}).values())
    return {key: value for key, value in found.items() if value > 0.02}


@given(
    st.lists(vcf_line(), min_size=1, max_size=6), st.sampled_from(["drop", "split"]), st.sampled_from(sorted(PACKERS))
)
@example(["c\t1\t.\tAC\tAA,AA\t.\tPASS\tAF=0.1,0"], "drop", "plain")
@example(["c\t1\t.\tAC\tAA,AA,CA\t.\tPASS\tAF=0.1,0,0.2"], "split", "plain")
@example(["c\t1\t.\tAC\tAA\t.\tPASS\tAF=.;AC=3;AN=10;AN"], "drop", "plain")
@example(["c\t1\t.\tAC\tGT\t.\tPASS\tAF=0.2", "c\t1\t.\tA\tG\t.\tPASS\tAF=0.1"], "split", "plain")
@example(["c\t1\t.\tAC\tGT,GA\t.\tPASS\tAF=0.01,0.001", "c\t1\t.\tA\tG\t.\tPASS\tAF=0.01"], "split", "plain")
@SETTINGS
def test_frequencies_are_those_a_slow_reader_finds(lines, mnps, packer):
    with TemporaryDirectory() as folder:
        genome, vcf, out = Path(folder) / "g.fa", Path(folder) / "v.vcf", Path(folder) / "out"
        genome.write_text(f">c\n{GENOME}\n")
        vcf.write_bytes(PACKERS[packer](("##fileformat=VCFv4.2\n" + COLUMNS + "\n" + "\n".join(lines) + "\n").encode()))
        options = ["--window", "50", "--validation", "0", "--min-af", "0.02", "--max-ref-mismatch", "0.9"]
        status = main(["allele-frequencies", "--genome", str(genome), "--vcf", str(vcf), "--out", str(out),
                       "--mnps", mnps, *options])  # fmt: skip
        assert status in (0, 2)
        if status:
            return
        dense = dense_contig(open_corpus(out, verify=True), "c")
    expected = np.eye(4, dtype=np.float32)[["ACGT".index(letter) for letter in GENOME]]
    sites = {}
    for (pos, alternative), value in slow_frequencies(lines, mnps).items():
        sites.setdefault(pos, {})[alternative] = value
    for pos, site in sites.items():
        if sum(site.values()) <= 1.01:
            row = np.array([site.get(letter, 0.0) for letter in "ACGT"])
            row["ACGT".index(GENOME[pos - 1])] = max(0.0, 1 - row.sum())
            expected[pos - 1] = row / row.sum()
    np.testing.assert_allclose(dense, expected, atol=1e-6)


VCF_SOUP = soup(
    b"##fileformat=VCFv4.2\n", b"#CHROM\tPOS\n", b"c\t5\t.\tA\tC\t.\t.\tAF=0.5\n", b"\t", b"\n", b"c", b"\0", b"\r",
    b"AF=", b"##INFO=<ID=AF,Number=R>\n", b"BCF\2\2", b"\xff\xfe", b"\x1f\x8b\x08\x04",
)  # fmt: skip


@given(VCF_SOUP)
@SETTINGS
def test_any_bytes_as_vcf_are_read_or_one_line(place, data):
    place.write_bytes(data)
    outcome(lambda: list(VcfReader(place)))


CODES = {(7, 1, 1, 1): "A", (0, 10, 0, 0): "C", (1, 4, 4, 1): "S", (5, 0, 0, 5): "W", (9, 0, 1, 0): "A"}
MATRICES = st.lists(st.sampled_from(sorted(CODES)), min_size=1, max_size=12)


@given(MATRICES, st.sampled_from(["meme", "jaspar", "cispbp", "homer", "transfac", "uniprobe"]))
@SETTINGS
def test_a_matrix_has_one_consensus_in_every_format(place, columns, kind):
    rows = [" ".join(str(count / 10) for count in column) for column in columns]
    by_letter = [" ".join(str(column[i]) for column in columns) for i in range(4)]
    text = {
        "meme": "MEME version 4\n\nMOTIF x\nletter-probability matrix:\n" + "\n".join(rows) + "\n\nURL y\n",
        "jaspar": ">x\n" + "".join(f"{a} [ {r} ]\n" for a, r in zip("ACGT", by_letter, strict=True)),
        "cispbp": "Pos\tA\tC\tG\tU\n" + "".join(f"{i}\t{r.replace(' ', chr(9))}\n" for i, r in enumerate(rows, 1)),
        "homer": ">x\tx\t5\nA C G T\n" + "\n".join(rows) + "\n",
        "transfac": "ID x\nP0 A C G T\n" + "".join(f"{i:02d} {r} N\n" for i, r in enumerate(rows, 1)) + "XX\n//\n",
        "uniprobe": "".join(f"{a}:\t{r}\n" for a, r in zip("ACGU", by_letter, strict=True)),
    }[kind]
    place.write_text(text)
    assert [motif.text for motif in read_motifs(place, 0.25)] == ["".join(CODES[column] for column in columns)]


MOTIF_SOUP = soup(
    b"MEME version 4\n", b"ALPHABET= ACGT\n", b'ALPHABET "RNA" RNA-LIKE\n', b"letter-probability matrix: w= 2\n",
    b"letter-probability matrix:\n", b" 0.25 0.25 0.5 0\n", b"1 2 3 4\n", b">x\n", b"A [ 1 2 ]\n", b"ACGU\n", b"NNNN\n",
    b"P0 A C G T\n", b"01 1 2 3 4 N\n", b"Pos\tA\tC\tG\tU\n", b"Motif\tx\n", b"ACGU\ty\n", b"\t", b"\n", b"AC ", b"-1 ",
    b"nan inf 1 1\n", b"# source: z\n", b"ID x\n", b"XX\n", b"//\n", b"\xff", b"<?xml\n",
)  # fmt: skip


@given(MOTIF_SOUP)
@SETTINGS
def test_any_bytes_as_motifs_are_read_or_one_line(data):
    with TemporaryDirectory() as folder:
        source, out = Path(folder) / "m.txt", Path(folder) / "out.txt"
        source.write_bytes(data)
        status = main(["motifs", str(source), "--out", str(out), "--min-length", "1"])
        assert status in (0, 2)
        motifs = [line for line in out.read_text().splitlines() if not line.startswith("#")] if status == 0 else []
        assert all(motif and not motif.strip("ACGU") for motif in motifs)
        assert len(set(motifs)) == len(motifs)
        assert out.exists() == (status == 0)


@given(soup(b"a", b"b", b"c", b"\t", b"\t", b"\n", b"\n", b"\r\n", b"#x\n", b"chr1", b" "))
@example(b"aa\ta\n a\t#x\nb\ta")
@SETTINGS
def test_tables_of_clusters_and_names_are_what_a_slow_reader_finds(place, data):
    place.write_bytes(data)
    lines = [line for line in data.replace(b"\r\n", b"\n").decode().split("\n") if line.strip() and line[0] != "#"]
    table, refused = outcome(lambda: ClusterTable(place, ["a", "b"]))
    pairs = [[cell.strip() for cell in line.split("\t")] for line in lines]  # blanks around a name are not part of it
    if table is not None:
        assert all(len(pair) == 2 and all(pair) for pair in pairs)
        members = 0 if {"a", "b"} <= {pair[0] for pair in pairs} else 1
        clusters = {name: {pair[1 - members] for pair in pairs if pair[members] == name} for name in "ab"}
        assert [len(found) for found in clusters.values()] == [1, 1]
        same = clusters["a"] == clusters["b"]
        assert (len(set(table.look_up(["a", "b"]))) == 1) == same
    else:
        assert refused
    names, refused = outcome(lambda: read_aliases(place))
    if names is not None:
        for line in lines:
            cells = {cell.strip() for cell in line.split("\t")} - {"", "na", "-", "."}
            assert all(cells <= names[cell] for cell in cells)


BED_SOUP = soup(
    b"c", b"chr1", b"\t", b"\t", b"\t", b"0", b"7", b"12", b"+3", b"1_0", b"-1", b"1e2", b" ", b"\n", b"\n", b"\r\n",
    b"#", b"track name=x\n", b"c\t1\t9\ttrain\n", b"c\t3\t4\n", b"x 1 2\n", b"\xef\xbb\xbf", b"\xe9",
)  # fmt: skip


@given(BED_SOUP)
@example(b"c\t1_0\t20\n")
@example(b"c\t+3\t20\n")
@SETTINGS
def test_rows_of_a_bed_are_what_a_slow_reader_finds(place, data):
    place.write_bytes(data)
    rows, refused = outcome(lambda: list(read_bed(place)))
    if rows is None:
        assert refused
        return
    expected = []
    for line in slow_text(data):
        text = line.decode("utf-8", "replace")
        if not line.strip() or text.startswith(("#", "track", "browser")):
            continue
        cells = text.split("\t") if text.count("\t") > 1 else text.split()
        assert re.fullmatch("[0-9]+", cells[1])
        assert re.fullmatch("[0-9]+", cells[2])
        expected.append((cells[0], int(cells[1]), int(cells[2]), cells[3].strip() if len(cells) > 3 else ""))
    assert [(row.contig, row.start, row.end, row.label) for row in rows] == expected
    assert all(start < end for _, start, end, _ in expected)
