"""Any annotation ends in what an independent slow reader finds in it, or in one clear line."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.errors import DataPrepError
from data_prep.formats.annotation import gff3, read_annotation
from tests.data_prep.fuzz_support import damaged, fuzz

SETTINGS = fuzz(150)
UTR_NAMES = ("UTR", "5UTR", "3UTR", "five_prime_utr", "three_prime_UTR", "5'-UTR", "3'UTR", "UTR5")
OTHER_NAMES = ("start_codon", "intron", "tss", "match", "five_prime_UTR_intron", "neutral")
IDS = st.sampled_from(["t1", "t2", "x.1", "MSTRG.1.2", "a b", "ü"])


@st.composite
def models(draw):
    """{id: (strand, exons, coding)} of transcripts that do not repeat one another."""
    found = {}
    for name in draw(st.lists(IDS, min_size=1, max_size=4, unique=True)):
        size = draw(st.integers(1, 5))
        cuts = sorted(draw(st.lists(st.integers(1, 3000), min_size=2 * size, max_size=2 * size, unique=True)))
        exons = list(zip(cuts[::2], cuts[1::2], strict=True))
        spliced = [position for start, end in exons for position in range(start, end)]
        low = draw(st.sampled_from(spliced))
        high = draw(st.sampled_from([position for position in spliced if position >= low])) + 1
        coding = [(max(s, low), min(e, high)) for s, e in exons if max(s, low) < min(e, high)]
        found[name] = (draw(st.sampled_from("+-")), exons, coding)
    return found


def rows_of(draw, name, model, dialect):
    """Lines of one transcript; without exon rows, UTR rows say where the exons go on."""
    strand, exons, coding = model
    with_exons = draw(st.booleans())
    low, high = coding[0][0], coding[-1][1]
    outside = [(s, min(e, low)) for s, e in exons if s < low] + [(max(s, high), e) for s, e in exons if e > high]
    features = [("CDS", coding)]
    features += [("exon", exons)] if with_exons or not outside else []
    features += [(draw(st.sampled_from(UTR_NAMES)), outside)]
    features += [(draw(st.sampled_from(OTHER_NAMES)), [(1, 5)])]
    keys = f'gene_id "g {name}"; transcript_id "{name}"; note "a;b";' if dialect == "gtf" else f"Parent={name}"
    span = (exons[0][0], exons[-1][1])
    own = keys if dialect == "gtf" else f"ID={name};Parent=g {name}"
    lines = [f"c\tp\t{'transcript' if dialect == 'gtf' else 'mRNA'}\t{span[0] + 1}\t{span[1]}\t.\t{strand}\t.\t{own}"]
    lines += [
        f"c\tp\t{kind}\t{start + 1}\t{end}\t.\t{strand}\t.\t{keys}" for kind, parts in features for start, end in parts
    ]
    return lines


@st.composite
def files(draw):
    """(dialect, text) of a file that is sound, with its lines in any order."""
    dialect = draw(st.sampled_from(["gtf", "gff3"]))
    lines = [line for name, model in draw(models()).items() for line in rows_of(draw, name, model, dialect)]
    lines = draw(st.permutations(lines))
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n# comment\n"]))
    return dialect, end.join(lines) + draw(st.sampled_from(["", end]))


def slow_reading(dialect, text):
    """{id: (strand, set of exon positions, smallest and largest coding position)}, one position at a time."""
    exons, parts, coding, strands = {}, {}, {}, {}
    for line in re.split(r"[\r\n]+", text):
        columns = line.split("\t")
        if len(columns) != 9:
            continue
        if dialect == "gtf":
            names = re.findall(r'transcript_id "([^"]*)"', columns[8])
        else:
            pairs = dict(pair.partition("=")[::2] for pair in columns[8].split(";"))
            names = [unquote(name) for name in pairs.get("Parent", "").split(",")]
        positions = set(range(int(columns[3]) - 1, int(columns[4])))
        for name in names:
            strands[name] = columns[6]
            if columns[2] == "exon":
                exons.setdefault(name, set()).update(positions)
            if columns[2] == "CDS":
                coding.setdefault(name, set()).update(positions)
            if columns[2] in (*UTR_NAMES, "CDS"):
                parts.setdefault(name, set()).update(positions)
    return {
        name: (strands[name], exons.get(name, set()) | parts[name], min(found), max(found))
        for name, found in coding.items()
    }


@SETTINGS
@given(files())
def test_a_sound_file_is_read_as_the_slow_reader_reads_it(tmp_path, given_file):
    dialect, text = given_file
    (tmp_path / "a").write_text(text)
    read = read_annotation(tmp_path / "a")
    ours = {
        transcript.id: (
            transcript.strand,
            {position for start, end in transcript.exons for position in range(start, end)},
            transcript.coding[0][0],
            transcript.coding[-1][1] - 1,
        )
        for transcript in read.transcripts
    }
    slow = slow_reading(dialect, text)
    assert sum(read.dropped.values()) == len(slow) - len(ours)
    assert ours == {name: slow[name] for name in ours}
    assert read.dropped.keys() <= {"no_exons"}  # a coding part that is the whole transcript, without exon rows


def read_or_refuse(path):
    """(transcripts, "") or ((), message)."""
    try:
        return read_annotation(path).transcripts, ""
    except DataPrepError as error:
        return (), str(error)


@SETTINGS
@given(files(), st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, given_file, data):
    _, text = given_file
    raw = damaged(text.encode(), data, 4, st.binary(min_size=1, max_size=5))
    (tmp_path / "a").write_bytes(raw)
    transcripts, message = read_or_refuse(tmp_path / "a")
    assert "\n" not in message
    assert len(message) < 1000
    for transcript in transcripts:
        assert all(start < end for start, end in transcript.exons + transcript.coding)
        assert transcript.exons == tuple(sorted(transcript.exons))


@given(
    st.lists(
        st.sampled_from(["Parent=", "Parent", "ID=", "xParent=", "a", "t.1", ",", ";", "%2C", '"', " ", "\t", "="])
    )
)
@fuzz(300)
def test_the_short_cut_to_parents_changes_nothing(pieces):
    attributes = "".join(pieces).encode()
    assert gff3.parents_of(attributes) == gff3.parse_attributes(attributes).get(b"Parent", [b""])


@pytest.mark.parametrize("text", ["\t" * 8, "c\t.\tCDS\t1\t2\t.\t+\t.\t", "##gff-version\n", "#\n" * 5])
def test_small_strange_files_are_one_line(tmp_path, text):
    (tmp_path / "a").write_text(text)
    with pytest.raises(DataPrepError):
        read_annotation(tmp_path / "a")
