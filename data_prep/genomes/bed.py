"""BED files: intervals of contigs, and the split or label that a fourth column names."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data_prep.errors import DataPrepError, shown, shown_name
from data_prep.formats.numbers import whole_number
from data_prep.formats.text import numbered_lines

NOT_ROWS = (b"#", b"track", b"browser")


class BedRow(NamedTuple):
    """A line of a BED file."""

    number: int  # line, from 1
    contig: str
    start: int  # 0-based
    end: int  # half-open
    label: str  # the fourth column, "" if there is none


def read_bed(path: str | Path) -> Iterator[BedRow]:
    """Rows of a BED file, plain or compressed; headers and empty lines are skipped.

    DataPrepError naming the line for fewer than three columns, and for what is no interval.
    """
    found = False
    for number, line in numbered_lines(path):
        if not line.strip() or line.startswith(NOT_ROWS):
            continue
        columns = line.rstrip(b"\r\n").split(b"\t")
        if len(columns) < 3:
            columns = line.split()
        try:
            start, end = whole_number(columns[1]), whole_number(columns[2])
        except (IndexError, ValueError):
            raise DataPrepError(
                f"{path} line {number}: expected contig, start and end (BED), got {shown(line)}; is it another format?"
            ) from None
        if not 0 <= start < end:
            raise DataPrepError(
                f"{path} line {number}: {start}-{end} is not an interval (0-based start below end); correct the row"
            )
        found = True
        label = columns[3].strip().decode("utf-8", "replace") if len(columns) > 3 else ""
        yield BedRow(number, columns[0].decode("utf-8", "replace"), start, end, label)
    if not found:
        raise DataPrepError(f"{path}: no interval in it; expected a BED file")


def refuse_outside(path: str | Path, row: BedRow, bases: int) -> None:
    """DataPrepError for an interval that reaches beyond its contig."""
    if row.end > bases:
        raise DataPrepError(
            f"{path} line {row.number}: {shown_name(row.contig)}:{row.start}-{row.end} reaches beyond its contig of "
            f"{bases:,} bases; take BED and genome of one release"
        )
