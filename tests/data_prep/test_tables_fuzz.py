"""Alignments and tables of RNA types: what they hold is what the words of the documentation say, row by row."""

import re
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_prep.formats.fasta import read_fasta
from data_prep.rnacentral.type_table import TypeTable
from tests.data_prep.fuzz_support import fuzz, outcome, slow_text, soup


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tables") / "x"


ALIGNMENT_SOUP = soup(
    b"a", b"b/1-9", b" ", b"\t", b"  ", b"ACGU", b"ac-.u", b"~", b">", b"\n", b"\n", b"\r\n", b"//", b"//\n", b"#",
    b"#=GF AC RF1\n", b"#=GC SS_cons <..>\n", b"# STOCKHOLM 1.0\n", b"a ACGU\n", b"b AC-U\n",
)  # fmt: skip


def slow_alignments(data):
    """[(name, letters)] of all alignments; None where rows differ in length, a line is no row or an end is missing."""
    lines = slow_text(data)
    if lines is None:
        return None
    found, rows = [], {}
    for line in lines:
        if line.strip() == b"//" or line.startswith(b"//# STOCKHOLM"):
            if len({len(row) for row in rows.values()}) > 1:
                return None
            found += [(name, re.sub(rb"[-.~]", b"", row).upper()) for name, row in rows.items()]
            rows = {}
        elif line.strip() and not line.startswith(b"#"):
            words = line.split()
            if len(words) != 2 or b">" in words[1]:
                return None
            rows[words[0]] = rows.get(words[0], b"") + words[1]
    return None if rows else found


@given(ALIGNMENT_SOUP)
@example(b"a ACGU ACGU\n//\n")
@example(b"//\na ACGU\n//\n")
@fuzz(60)
def test_an_alignment_is_what_a_slow_reader_finds(place, data):
    data = b"# STOCKHOLM 1.0\n" + data
    place.write_bytes(data)
    blocks, refused = outcome(lambda: list(read_fasta(place)))
    expected = slow_alignments(data)
    if blocks is None:
        assert refused
        assert not expected
        return
    assert [row for block in blocks for row in zip(block.ids, block.sequences.rows(), strict=True)] == expected


SEQUENCES = ["URS0000000001", "URS00000000FF"]
TAXA = ["", "9606", "10090"]
NAMES = ["x", "URS1", "a b"]
TYPES = ["tRNA", "rRNA", "SRP_RNA", "SRP RNA", "miRNA", " "]
ROWS = st.lists(
    st.tuples(st.sampled_from([*SEQUENCES, *NAMES]), st.sampled_from(TAXA), st.sampled_from(TYPES)),
    min_size=1, max_size=12,
)  # fmt: skip


def most(votes):
    """The commonest; of equally common ones the first in the alphabet."""
    return min(votes, key=lambda name: (-votes[name], name)) if votes else None


@given(ROWS, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))
@fuzz(60)
def test_a_type_is_that_of_most_rows_of_the_sequence_in_its_species(place, rows, mapping, end):
    """`mapping`: the columns of RNAcentral's id_mapping.tsv, taxon apart; else two, taxon behind the id."""
    lines = [
        f"{name}\tDB\tx\t{taxon or '-'}\t{kind}\tgene" if mapping else f"{name}{taxon and '_' + taxon}\t{kind}"
        for name, taxon, kind in rows
    ]
    place.write_bytes((end.join(lines) + end).encode())
    table, refused = outcome(lambda: TypeTable(place))
    kinds = [(name, taxon, re.sub(r"[\s_]", "", kind)) for name, taxon, kind in rows if kind.strip()]
    if table is None:
        assert "no row with an id and a type" in refused
        assert not kinds
        return

    def told(sequence, *taxa):
        return most(Counter(kind for name, taxon, kind in kinds if name == sequence and taxon in taxa))

    for sequence in SEQUENCES:
        for taxon in filter(None, TAXA):
            expected = told(sequence, taxon) or told(sequence, "")
            assert table.look_up([f"{sequence}_{taxon}".encode()]) == [expected]
        assert table.look_up([sequence.encode()]) == [told(sequence, *TAXA)]
    for name in NAMES:
        if mapping:
            assert table.look_up([name.encode()]) == [told(name, *TAXA)]
        else:
            for taxon in TAXA:
                assert table.look_up([f"{name}{taxon and '_' + taxon}".encode()]) == [told(name, taxon)]
