"""What holds for every genome and annotation, on generated ones."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.formats.annotation import Transcript, read_annotation
from data_prep.formats.genome import reverse_complement
from data_prep.utr.regions import coding_hull, splice, transcript_parts
from tests.data_prep.utr_support import build, folder_bytes, rows

LENGTH = 400


@st.composite
def transcripts(draw):
    """A coding transcript with 1 to 6 exons on a contig of LENGTH nt; the stop codon may be split over exons."""
    cuts = draw(
        st.lists(st.integers(1, LENGTH), min_size=2, max_size=12, unique=True).filter(lambda c: len(c) % 2 == 0)
    )
    cuts.sort()
    exons = tuple(zip(cuts[::2], cuts[1::2], strict=True))
    spliced = [position for start, end in exons for position in range(start, end)]
    first = draw(st.integers(0, len(spliced) - 1))
    last = draw(st.integers(first, len(spliced) - 1))
    low, high = spliced[first], spliced[last] + 1
    coding = tuple((max(s, low), min(e, high)) for s, e in exons if max(s, low) < min(e, high))
    return Transcript("t", "g", "", "protein_coding", frozenset(), "c", draw(st.sampled_from("+-")), exons, coding)


def contig_of(seed):
    return bytes(random.Random(seed).choices(b"ACGTNacgtnRY", k=LENGTH))


def utrs(contig, transcript):
    return [splice(contig, part, transcript.strand) for part in transcript_parts(transcript)]


@given(transcripts(), st.integers(0, 9))
def test_utrs_and_coding_part_together_are_the_spliced_transcript(transcript, seed):
    contig = contig_of(seed)
    five, coding, three = utrs(contig, transcript)
    assert five + coding + three == splice(contig, list(transcript.exons), transcript.strand)
    assert len(five + coding + three) == transcript.spliced_length


@given(transcripts(), st.integers(0, 9))
def test_the_mirror_image_has_the_same_utrs(transcript, seed):
    contig = contig_of(seed)
    mirrored = Transcript(
        "t", "g", "", "", frozenset(), "c", "-" if transcript.strand == "+" else "+",
        tuple((LENGTH - end, LENGTH - start) for start, end in reversed(transcript.exons)),
        tuple((LENGTH - end, LENGTH - start) for start, end in reversed(transcript.coding)),
    )  # fmt: skip
    assert utrs(reverse_complement(contig), mirrored) == utrs(contig, transcript)


def lines_of(transcript, dialect):
    """The transcript as GENCODE GTF (stop codon apart, split where the exon ends), Ensembl GTF or GFF3 writes it."""
    low, high = coding_hull(transcript)
    inside = [p for start, end in transcript.exons for p in range(max(start, low), min(end, high))]
    stop = set(inside[-3:] if transcript.strand == "+" else inside[:3])
    gff3 = dialect == "gff3"
    parts = [("exon", start, end) for start, end in transcript.exons]
    parts += [("CDS", *run) for run in runs(inside if gff3 else [p for p in inside if p not in stop], transcript.exons)]
    parts += [] if gff3 else [("stop_codon", *run) for run in runs(sorted(stop), transcript.exons)]
    keys = 'gene_id "g"; transcript_id "t";' if not gff3 else "Parent=transcript:t"
    lines = [f"c\t.\t{kind}\t{start + 1}\t{end}\t.\t{transcript.strand}\t.\t{keys}\n" for kind, start, end in parts]
    if gff3:
        lines.append(f"c\t.\tmRNA\t1\t9\t.\t{transcript.strand}\t.\tID=transcript:t;Parent=gene:g\n")
    return lines


def runs(positions, exons):
    """Intervals of positions, broken at exon borders."""
    for start, end in exons:
        inside = [p for p in positions if start <= p < end]
        if inside:
            yield inside[0], inside[-1] + 1


@settings(max_examples=60)
@given(transcripts().filter(lambda t: sum(e - s for s, e in t.coding) > 3), st.randoms(use_true_random=False))
def test_dialects_agree_and_lines_come_in_any_order(tmp_path_factory, transcript, shuffler):
    folder = tmp_path_factory.mktemp("dialects")
    found = []
    for dialect in ("gtf", "gff3"):
        lines = lines_of(transcript, dialect)
        shuffler.shuffle(lines)
        path = folder / f"a.{dialect}"
        path.write_text("".join(lines))
        found += read_annotation(path).transcripts
    contig = contig_of(0)
    assert [t.id for t in found] == ["t", "t"]
    assert utrs(contig, found[0]) == utrs(contig, found[1]) == utrs(contig, transcript)


@pytest.fixture
def toy(golden):
    return golden / "utrbert" / "utr_toy"


def test_the_mirrored_genome_gives_the_same_corpus(toy, tmp_path):
    contigs, current = {}, ""
    for line in (toy / "genome.fa").read_text().splitlines():
        if line.startswith(">"):
            current = line[1:].split()[0]
            contigs[current] = ""
        else:
            contigs[current] += line
    mirrored = {name: reverse_complement(text.encode()).decode() for name, text in contigs.items()}
    (tmp_path / "g.fa").write_text("".join(f">{name}\n{text}\n" for name, text in mirrored.items()))
    flipped = []
    for line in (toy / "gencode.gtf").read_text().splitlines():
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        size = len(contigs[columns[0]])
        columns[3], columns[4] = str(size + 1 - int(columns[4])), str(size + 1 - int(columns[3]))
        columns[6] = {"+": "-", "-": "+"}[columns[6]]
        flipped.append("\t".join(columns))
    (tmp_path / "a.gtf").write_text("\n".join(flipped))
    one = build(tmp_path / "one", "--genome", toy / "genome.fa", "--annotation", toy / "gencode.gtf")
    two = build(tmp_path / "two", "--genome", tmp_path / "g.fa", "--annotation", tmp_path / "a.gtf")
    assert rows(one) == rows(two)


def test_same_input_same_bytes(toy, tmp_path):
    for name in ("one", "two"):
        build(tmp_path / name, "--genome", toy / "genome.fa", "--annotation", toy / "gencode.gtf")
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")
