"""FASTQ, 2bit, GenBank and EMBL give what the FASTA of the same letters gives; damage is one line."""

import gzip
import io
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_prep.__main__ import main
from data_prep.corpus import open_corpus
from data_prep.formats import fasta_text
from data_prep.formats.fasta import read_fasta
from data_prep.formats.genome import read_contigs
from tests.data_prep.fuzz_support import damaged, fuzz, outcome
from tests.data_prep.sequence_files import VERSIONED, WRITERS, fastq, two_bit

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,9}", fullmatch=True)
CONTIGS = st.dictionaries(NAMES, st.text("ACGTNacgtn", min_size=1, max_size=150), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("formats") / "x"


def contigs_of(path):
    return {contig.name: contig.sequence.decode() for contig in read_contigs(path)}


def named(contigs, kind):
    return {f"{name}.1" if kind in VERSIONED else name: letters for name, letters in contigs.items()}


@given(CONTIGS, st.sampled_from(sorted(WRITERS)), st.integers(1, 300))
@fuzz(80)
def test_every_format_gives_the_letters_that_were_written(place, contigs, kind, cut):
    text = WRITERS[kind](contigs)
    place.write_bytes(text)
    assert contigs_of(place) == named(contigs, kind)
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    with mock.patch.object(fasta_text, "chunks", return_value=iter(pieces)):  # cut anywhere; not how 2bit is read
        assert contigs_of(place) == named(contigs, kind)
    blocks = list(read_fasta(place))
    rows = [row for block in blocks for row in zip(block.ids, block.sequences.rows(), strict=True)]
    assert rows == [(name.encode(), letters.upper().encode()) for name, letters in named(contigs, kind).items()]


@given(CONTIGS, st.sampled_from("<>"), st.sampled_from([0, 1]))
@fuzz(40)
def test_two_bit_of_either_byte_order_and_width(place, contigs, order, version):
    place.write_bytes(two_bit(contigs, order, version))
    assert contigs_of(place) == contigs


@given(CONTIGS, st.sampled_from(sorted(WRITERS)), st.data())
@fuzz(80)
def test_a_damaged_file_is_one_line_or_keeps_the_letters_of_nucleotides(place, contigs, kind, data):
    raw = damaged(
        WRITERS[kind](contigs),
        data,
        3,
        st.sampled_from([b">", b"\n", b"\n>x\n", b"//\n", b"@", b"+", b" ", b"\xff" * 4]),
    )
    place.write_bytes(raw)
    found, _ = outcome(lambda: contigs_of(place))
    assert not any(re.search("[^ACGTUNRYSWKMBDHVX]", letters.upper()) for letters in (found or {}).values())


@given(st.lists(st.sampled_from([b"@r", b"@", b"+", b"AC", b"GT", b"II", b">", b";#", b"", b"ACGT"]), max_size=16))
@example([b"@r", b"", b"+", b"", b"@s", b"AC", b"+", b"@I"])
@example([b"@r", b">b", b"+", b"II"])
@fuzz(80)
def test_a_fastq_is_what_a_slow_reader_finds(place, lines):
    place.write_bytes(b"\n".join([b"@first", b"ACGT", b"+", b"IIII", *lines]))
    found, _ = outcome(lambda: contigs_of(place))
    if found is None:
        return
    rest, records = [line.decode() for line in lines], {"first": "ACGT"}
    while rest:
        if not rest[0]:
            rest.pop(0)
            continue
        header, letters, plus, quality, *rest = [*rest, "", "", ""] if len(rest) < 4 else rest
        rest = [line for line in rest if line] and rest
        assert (header[0], plus[0], len(quality)) == ("@", "+", len(letters))
        assert header[1:] not in records
        records[header[1:]] = letters
    assert found == records


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_a_genome_of_any_format_is_the_same_corpus(tmp_path, kind):
    generator = np.random.default_rng(3)
    contigs = {f"c{n}": "".join(generator.choice(list("ACGTacgt"), 1500)) + "n" * 9 + "TTGAC" * 50 for n in range(3)}
    (tmp_path / "x").write_bytes(WRITERS[kind](contigs))
    (tmp_path / "x.fa").write_text("".join(f">{n}\n{s}\n" for n, s in named(contigs, kind).items()))
    for source, out in (("x", "one"), ("x.fa", "two")):
        arguments = ["genomes", str(tmp_path / source), "--keep-case", "--window", "64", "--out", str(tmp_path / out)]
        assert main([*arguments, "--validation", "0"]) == 0
    one, two = (open_corpus(tmp_path / out, verify=True) for out in ("one", "two"))
    assert one.fingerprint == two.fingerprint


def test_reads_are_held_against_a_corpus_as_any_sequences_are(tmp_path, capsys):
    letters = "".join(np.random.default_rng(1).choice(list("ACGT"), 200))
    (tmp_path / "x.fa").write_text(f">a\n{letters}\n")
    (tmp_path / "x.fq.gz").write_bytes(gzip.compress(fastq({"r": letters})))
    assert main(["fasta", str(tmp_path / "x.fa"), "--validation", "0", "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    against = ["--leakage", "--leakage-against", str(tmp_path / "x.fq.gz")]
    assert main(["inspect", str(tmp_path / "out"), "--json", *against]) == 0
    assert '"held_out": 1' in capsys.readouterr().out


@given(CONTIGS)
@fuzz(20)
def test_biopython_reads_and_writes_the_same(place, contigs):
    """A reader of 2bit and writers of FASTQ, GenBank and EMBL that we did not write; CI skips it where it is absent."""
    seqio = pytest.importorskip("Bio.SeqIO")
    seq, record = pytest.importorskip("Bio.Seq"), pytest.importorskip("Bio.SeqRecord")
    place.write_bytes(two_bit(contigs))
    with open(place, "rb") as handle:
        assert {one.id: str(one.seq) for one in seqio.parse(handle, "twobit")} == contigs
    made = [
        record.SeqRecord(seq.Seq(letters), id=f"{name}.1", name=name, annotations={"molecule_type": "DNA"})
        for name, letters in contigs.items()
    ]
    for one in made:
        one.letter_annotations["phred_quality"] = [at % 60 for at in range(len(one))]
    for kind in ("fastq", "genbank", "embl"):
        text = io.StringIO()
        seqio.write(made, text, kind)
        place.write_text(text.getvalue())
        found = contigs_of(place)
        assert {name: letters.upper() for name, letters in found.items()} == {
            f"{name}.1": letters.upper() for name, letters in contigs.items()
        }
