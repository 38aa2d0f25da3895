"""Rows of an annotation file: nine tab-separated columns, 1-based closed coordinates."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from data_prep.errors import DataPrepError
from data_prep.formats.annotation.transcript import TranscriptRows

# What a feature type tells of its transcript. Start codons and phases are never needed (recipes/utrs.md#coordinates).
ROLES = {
    b"exon": "exons",
    b"CDS": "coding",
    b"stop_codon": "coding",
    b"UTR": "utr",
    b"five_prime_utr": "utr",
    b"three_prime_utr": "utr",
    b"five_prime_UTR": "utr",
    b"three_prime_UTR": "utr",
}

MAX_POSITION = 1 << 40


class Row(NamedTuple):
    number: int  # line, from 1
    contig: bytes
    type: bytes
    start: int  # 0-based
    end: int  # half-open
    strand: bytes
    attributes: bytes


def annotation_rows(path: str, lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
    """Feature rows; comments and empty lines are skipped, and a `##FASTA` section ends the annotation.

    Raises DataPrepError for fewer than nine columns and for coordinates that are no interval.
    """
    for number, line in lines:
        if line.startswith(b"#") or not line.strip():
            if line.startswith(b"##FASTA"):
                return
            continue
        columns = line.rstrip(b"\r\n").split(b"\t")
        if len(columns) != 9:
            raise DataPrepError(
                f"{path} line {number}: {len(columns)} tab-separated columns where GTF and GFF3 have 9; "
                "is it another format, or are tabs turned into spaces?"
            )
        try:
            start, end = int(columns[3]), int(columns[4])
        except ValueError:
            raise DataPrepError(
                f"{path} line {number}: start and end must be whole numbers, not "
                f"{columns[3].decode('utf-8', 'replace')!r} and {columns[4].decode('utf-8', 'replace')!r}"
            ) from None
        if not 1 <= start <= end < MAX_POSITION:
            raise DataPrepError(
                f"{path} line {number}: {start}-{end} is no interval (positions count from 1, start <= end on both "
                "strands, no contig is longer than 2^40); correct or remove the row"
            )
        yield Row(number, columns[0], columns[2], start - 1, end, columns[6], columns[8])


def add_row(rows: TranscriptRows, row: Row) -> None:
    """Book an exon-like row with its transcript."""
    rows.places.add((row.contig, row.strand))
    getattr(rows, ROLES[row.type]).extend((row.start, row.end))


def text(path: str, number: int, value: bytes) -> str:
    """Attribute text; annotation files are UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise DataPrepError(f"{path} line {number}: not UTF-8 text; convert the file (iconv -t utf-8)") from None
