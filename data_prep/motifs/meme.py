"""MEME motif files of every dialect: minimal format, full output of MEME, STREME, DREME; with or without `w=`."""

import re
from collections.abc import Iterator
from itertools import takewhile

from data_prep.errors import DataPrepError, shown
from data_prep.formats.numbers import decimal_number
from data_prep.motifs.matrix import LETTERS, Matrix, NumberedLine

MATRIX = re.compile(r"letter-probability matrix:?(.*)")
VERSION = re.compile(r"MEME version\b")
MARKUP = re.compile(r"\s*<(\?xml|!DOCTYPE|html|MEME|STREME|dreme)", re.IGNORECASE)


def is_meme(lines: list[NumberedLine]) -> bool:
    """Whether these lines are a MEME file."""
    return any(VERSION.match(line) or MATRIX.match(line) for _, line in lines)


def read_meme(path: str, lines: list[NumberedLine]) -> Iterator[tuple[int, Matrix]]:
    """(line of the matrix, its positions) for each motif.

    Raises DataPrepError for an alphabet other than the four nucleotides and for a broken matrix.
    """
    found = False
    at = 0
    while at < len(lines):
        number, line = lines[at]
        at += 1
        if line.startswith("ALPHABET"):
            _require_nucleotides(path, number, line, lines[at:])
        matrix = MATRIX.match(line)
        if matrix is None:
            continue
        found = True
        size = re.search(r"\balength\s*=\s*(\d+)", matrix[1])
        if size and size[1] != "4":
            raise DataPrepError(f"{path} line {number}: alength= {size[1]}; only nucleotides (four letters) are read")
        width = re.search(r"\bw\s*=\s*(\d{1,9})", matrix[1])
        rows = lines[at : at + int(width[1])] if width else list(takewhile(_begins_with_a_number, lines[at:]))
        if not rows or (width and len(rows) < int(width[1])):
            raise DataPrepError(
                f"{path} line {number}: the matrix is cut off ({len(rows)} rows); fetch the file again, or correct w="
            )
        at += len(rows)
        if any(map(_begins_with_a_number, lines[at : at + 1])):
            raise DataPrepError(
                f"{path} line {lines[at][0]}: a row more than the {len(rows)} that w= of the matrix in line {number} "
                "tells of; correct w= or remove the row"
            )
        yield number, [_row(path, row) for row in rows]
    if not found:
        raise DataPrepError(
            f"{path}: a MEME file without any letter-probability matrix; give the text output, e.g. meme.txt"
        )


def _require_nucleotides(path: str, number: int, line: str, following: list[NumberedLine]) -> None:
    if "=" in line:
        alphabet = line.partition("=")[2].strip()
    else:  # defined letter by letter: `A "Adenine" CC0000 ~ T "Thymine" 008000`; `R = AG` is an ambiguity code
        core: set[str] = set()
        for _, entry in takewhile(lambda numbered: not numbered[1].startswith("END ALPHABET"), following):
            if "=" not in entry:
                core.update(symbol.strip()[:1] for symbol in re.sub(r'"[^"]*"', "", entry).split("~"))
        alphabet = "".join(sorted(core))
    if alphabet.upper().replace("T", "U") != LETTERS:
        raise DataPrepError(
            f"{path} line {number}: alphabet {shown(alphabet)}; only nucleotides (ACGU or ACGT) are read"
        )


def _begins_with_a_number(numbered: NumberedLine) -> bool:
    return re.match(r"\s*[+-]?\.?\d", numbered[1]) is not None


def _row(path: str, numbered: NumberedLine) -> list[float]:
    number, line = numbered
    try:
        row = [decimal_number(cell) for cell in line.split()]
    except ValueError:
        row = []
    if len(row) != 4 or min(row) < 0 or not abs(sum(row) - 1) < 0.05:
        raise DataPrepError(
            f"{path} line {number}: expected four probabilities that sum to 1, got {shown(line.strip())}"
        )
    return row
