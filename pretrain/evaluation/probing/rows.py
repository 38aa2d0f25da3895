"""Rows of a table with a header line, as spreadsheets, pandas and scripts write them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from data_prep.errors import shown_name
from data_prep.formats.text import numbered_lines
from pretrain.errors import PolymeraseError
from pretrain.evaluation.probing.missing import is_missing, name_rows

_LONGEST_FIELD = 1 << 30  # letters of one sequence; the csv module stops at 131,072
_PARTED_BY = ("\t", ",", ";")  # the first one that the header line has
_FASTA_SUFFIXES = (".fa", ".fasta", ".fna", ".ffn", ".fas")


@dataclass(frozen=True)
class TableRows:
    """Rows of a table.

    Attributes:
        rows: line number -> its columns.
        without_label: the same of rows whose label is empty or says that it is missing (nan, NA, null).
    """

    rows: dict[int, dict[str, str]]
    without_label: dict[int, dict[str, str]]


def is_table(path: Path) -> bool:
    """Tell a table from a FASTA: by its first line, and of an empty file by its name."""
    first = next((line for _, line in numbered_lines(path) if line.strip()), b"")
    if first.startswith((b">", b";")):
        return False
    return not path.name.removesuffix(".gz").endswith(_FASTA_SUFFIXES)


def read_rows(path: Path, needed: tuple[str, ...], label: str) -> TableRows:
    """Read a table with a header line; columns are separated by tabs if it has one, else by commas or semicolons.

    Blank lines are skipped. A column is found by its name without spaces around it; if no name is equal, regardless of
    case.

    Args:
        path: the file.
        needed: columns that every row must fill.
        label: column with the label.

    Raises:
        PolymeraseError: no such column, a row with more fields than the header has, or one without a needed value.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    lines = _Lines(path)
    names, separator = _header(path, lines)
    column = {name: _column(path, names, name) for name in (*needed, label)}
    rows: dict[int, dict[str, str]] = {}
    missing: dict[int, dict[str, str]] = {}
    try:
        for fields in csv.reader(lines, delimiter=separator):
            if not any(field.strip() for field in fields):
                continue
            fields += [""] * (len(names) - len(fields))
            if any(field.strip() for field in fields[len(names) :]):
                raise PolymeraseError(
                    f"{path}: line {lines.number}: expected {len(names)} fields, got {len(fields)}; quote fields that "
                    "hold the separator"
                )
            row = dict(zip(names, fields, strict=False)) | {name: fields[at].strip() for name, at in column.items()}
            if any("\n" in row[name] for name in column):
                raise PolymeraseError(f"{path}: line {lines.number}: a field spans several lines; close its quotes")
            if is_missing(row[label]):
                missing[lines.number] = row
                continue
            for name in needed:
                if not row[name]:
                    raise PolymeraseError(f"{path}: line {lines.number}: no {name}; fill it in or drop the row")
            rows[lines.number] = row
    except csv.Error as error:
        raise PolymeraseError(f"{path}: line {lines.number}: cannot be read as a table: {error}") from None
    if not rows:
        named = name_rows({f"line {line}": row[label] for line, row in missing.items()})
        why = f"{len(missing):,} rows, none with a {label}: {named}" if missing else "no rows below the header"
        raise PolymeraseError(f"{path}: {why}; expected rows with {', '.join(column)}")
    return TableRows(rows, missing)


class _Lines(Iterator[str]):
    """Lines of a file as text; ``number`` is that of the last one given."""

    def __init__(self, path: Path):
        self._path, self._lines, self.number = path, numbered_lines(path), 0

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError:
            raise PolymeraseError(
                f"{self._path}: line {self.number}: not UTF-8 text; save the table as UTF-8"
            ) from None


def _header(path: Path, lines: _Lines) -> tuple[list[str], str]:
    """Names of the columns, and what parts them."""
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise PolymeraseError(f"{path}: empty; expected a header line with the names of columns")
    separator = next((one for one in _PARTED_BY if one in first), ",")
    try:
        names = next(csv.reader(chain([first], lines), delimiter=separator))
    except csv.Error as error:
        raise PolymeraseError(f"{path}: line {lines.number}: cannot be read as a table: {error}") from None
    return [name.strip() for name in names], separator


def _column(path: Path, names: list[str], name: str) -> int:
    found = [at for at, one in enumerate(names) if one == name]
    found = found or [at for at, one in enumerate(names) if one.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    there = ", ".join(shown_name(one) for one in names[:20])
    if found:
        raise PolymeraseError(f"{path}: {len(found)} columns are called {name!r} ({there}); rename one")
    raise PolymeraseError(f"{path}: no column {name!r}; there are {there} (the first line names the columns)")
