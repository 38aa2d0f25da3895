"""Rows of an annotation file: nine tab-separated columns, 1-based closed coordinates."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from data_prep.errors import DataPrepError, shown
from data_prep.formats.annotation.transcript import TranscriptRows
from data_prep.formats.known import known_text

MAX_POSITION = 1 << 40
Places = dict[tuple[bytes, bytes], TranscriptRows]  # by contig and strand

# `UTR`, `five_prime_utr`, `three_prime_UTR`, `5UTR`, `3'-UTR`, `5'UTR`, `UTR3`, `3_prime_utr`, …
_END = rb"(?:[53]|five|three)(?:['\s_-]|prime|\xe2\x80\xb2)*"
UTR_TYPE = re.compile(rb"(?:%b)?(?:utr|untranslated[\s_-]?region)[\s_-]*(?:%b)?" % (_END, _END), re.IGNORECASE)


class _Roles(dict[bytes, str]):
    """Feature type -> the field of `TranscriptRows` it fills, or "" for types that tell nothing of exons.

    Start codons and phases are never needed (recipes/utrs.md#coordinates).
    """

    def __missing__(self, kind: bytes) -> str:
        plain = unquote_to_bytes(kind).strip()
        self[kind] = self.get(plain.lower(), "utr" if UTR_TYPE.fullmatch(plain) else "")
        return self[kind]


ROLES = _Roles({b"exon": "exons", b"cds": "coding", b"CDS": "coding", b"stop_codon": "stop"})


class Row(NamedTuple):
    """A line of an annotation."""

    number: int  # line, from 1
    contig: bytes
    source: bytes  # the program or database; old Ensembl files have the biotype there
    type: bytes
    start: int  # 0-based
    end: int  # half-open
    strand: bytes
    attributes: bytes


_row = partial(tuple.__new__, Row)  # without the Python function of a NamedTuple, a tenth of the time of a line


def annotation_rows(path: str, lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
    """Feature rows; comments and empty lines are skipped, and FASTA behind the rows ends the annotation.

    The FASTA begins with `##FASTA`, or with its first header (GFF3 specification, "for backward compatibility").

    Raises DataPrepError for fewer than nine columns and for coordinates that are no interval.
    """
    found = False
    for number, line in lines:
        columns = line.split(b"\t")
        if len(columns) != 9 or line[:1] == b"#":
            if line.startswith(b"##FASTA") or (found and line.startswith(b">")):
                return
            if line.startswith(b"#") or not line.strip():
                continue
            raise _no_row(path, number, line, len(columns), is_first=not found)
        found = True
        contig, source, kind, first, last, _, strand, _, attributes = columns
        try:
            if not (first.isdigit() and last.isdigit()):  # int() takes 1_000 and +5 too
                raise ValueError(line)
            start, end = int(first), int(last)
        except ValueError:  # int() refuses thousands of digits
            raise DataPrepError(
                f"{path} line {number}: start and end must be whole numbers, not "
                f"{shown(first)} and {shown(last)}; correct or remove the row"
            ) from None
        if not 1 <= start <= end < MAX_POSITION:
            raise DataPrepError(
                f"{path} line {number}: {start}-{end} is not an interval (positions count from 1, start <= end on both "
                "strands, no contig is longer than 2^40); correct or remove the row"
            )
        yield _row((number, contig, source, kind, start - 1, end, strand, attributes))


def _no_row(path: str, number: int, line: bytes, columns: int, *, is_first: bool) -> DataPrepError:
    """What to say of a line that has not nine columns."""
    known = known_text(line.lstrip() + b"\n") if is_first else None
    if known and not known.name.startswith("GFF"):
        return DataPrepError(f"{path}: this is {known.name}, expected GTF or GFF3; {known.advice}")
    advice = "is it another format, or are tabs turned into spaces?"
    if columns > 9:
        advice = "take out the columns that a program added (cut -f 1-9), or the tabs inside the ninth"
    return DataPrepError(f"{path} line {number}: {columns} tab-separated columns where GTF and GFF3 have 9; {advice}")


def rows_at(places: Places, row: Row) -> TranscriptRows:
    """The rows of a transcript where this row lies, for most transcripts always the same ones."""
    place = (row.contig, row.strand)
    rows = places.get(place)
    if rows is None:
        rows = places[place] = TranscriptRows(*place)
    return rows


def text(path: str, number: int, value: bytes) -> str:
    """Attribute text; annotation files are UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        place = f"{path} line {number}" if number else path
        raise DataPrepError(f"{place}: not UTF-8 text; convert the file (iconv -t utf-8)") from None
