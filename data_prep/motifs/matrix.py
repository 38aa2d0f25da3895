"""A motif as a matrix, positions by A, C, G, U: read from text, and written as an IUPAC consensus."""

import re
from collections.abc import Sequence

from data_prep.errors import DataPrepError, shown
from data_prep.formats.numbers import decimal_number

LETTERS = "ACGU"
CODES = {
    frozenset(letters): code
    for code, letters in {
        **{"A": "A", "C": "C", "G": "G", "U": "U", "R": "AG", "Y": "CU", "S": "CG", "W": "AU", "K": "GU", "M": "AC"},
        **{"B": "CGU", "D": "AGU", "H": "ACU", "V": "ACG", "N": "ACGU"},
    }.items()
}
NumberedLine = tuple[int, str]
Matrix = list[list[float]]  # positions (w,) of four


def consensus(matrix: Matrix, min_probability: float) -> str:
    """IUPAC codes: a position stands for every letter of at least `min_probability`, or else for the likeliest one.

    Flat positions on both ends are left out: they tell nothing. Empty where all are flat.
    """
    return "".join(_code([cell / sum(row) for cell in row], min_probability) for row in matrix).strip("N")


def _code(row: list[float], min_probability: float) -> str:
    letters = {letter for letter, p in zip(LETTERS, row, strict=True) if p >= min_probability}
    return CODES[frozenset(letters or LETTERS[row.index(max(row))])]


def read_matrix(path: str, lines: Sequence[NumberedLine]) -> Matrix:
    """The matrix on these lines, whichever way it is written; the layout is told by its labels.

    - rows named A, C, G and T or U (JASPAR, UniPROBE), numbers of all positions behind;
    - a first line with the four letters (CISBP, TRANSFAC), then a line for each position;
    - numbers alone: four lines (raw JASPAR), or four columns that sum to the same (HOMER).
    Raises DataPrepError for anything else, negative numbers and numbers that are not finite among it.
    """
    rows = [(number, re.sub(r"[\[\]|:,\"]", " ", line).split()) for number, line in lines]
    if not rows:
        raise DataPrepError(
            f"{path}: a motif without a matrix below its name; remove the name, or fetch the file again"
        )
    number, first = rows[0]
    names = [cell.upper().replace("T", "U") for cell in first]
    if names[-4:] == list(LETTERS):
        if len(rows) == 1:
            raise DataPrepError(
                f"{path} line {number}: no line of four numbers below {shown(' '.join(first))}; one for each position "
                "must follow"
            )
        return [_position(path, at, cells, len(names)) for at, cells in rows[1:]]
    if names[0] in LETTERS:
        named = {cells[0].upper().replace("T", "U"): _numbers(path, at, cells[1:]) for at, cells in rows if cells}
        if len(rows) != 4 or sorted(named) != sorted(LETTERS):
            raise DataPrepError(
                f"{path} line {number}: expected four rows named A, C, G and U or T, got {len(rows)} named "
                f"{shown(' '.join(named))}; correct the matrix"
            )
        return _turned(path, number, [named[letter] for letter in LETTERS])
    plain = [_numbers(path, at, cells) for at, cells in rows]
    by_position = all(len(row) == 4 for row in plain) and _even([sum(row) for row in plain])
    if len(plain) == 4 and all(len(row) == len(plain[0]) for row in plain):
        by_letter = _even([sum(column) for column in zip(*plain, strict=True)])
        if by_letter and by_position:
            raise DataPrepError(f"{path} line {number}: rows could be letters or positions; name them A, C, G, U")
        if not by_position:
            return _turned(path, number, plain)
    if not by_position:
        raise DataPrepError(
            f"{path} line {number}: expected four rows (A, C, G, U), or four columns of one sum; name the rows"
        )
    return plain


def _position(path: str, number: int, cells: list[str], header: int) -> list[float]:
    """Four numbers behind the position; TRANSFAC ends the line with the consensus letter.

    R writes no name above the positions (`write.table`).
    """
    unnamed = len(cells) == header + 1 and not cells[-1].isalpha()
    before = header - 4 + unnamed
    row = _numbers(path, number, cells[before : before + 4])
    if len(row) != 4 or not sum(row):
        raise DataPrepError(f"{path} line {number}: expected four numbers of a position, got {shown(' '.join(cells))}")
    return row


def _turned(path: str, number: int, rows: list[list[float]]) -> Matrix:
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise DataPrepError(f"{path} line {number}: the four rows have different lengths; fetch the file again")
    turned = [list(column) for column in zip(*rows, strict=True)]
    if not all(map(sum, turned)):
        raise DataPrepError(f"{path} line {number}: a position without any count; take the position out")
    return turned


def _numbers(path: str, number: int, cells: list[str]) -> list[float]:
    try:
        values = [decimal_number(cell) for cell in cells]
    except ValueError:
        raise DataPrepError(
            f"{path} line {number}: expected numbers, got {shown(' '.join(cells))}; correct or remove the motif"
        ) from None
    if not all(0 <= value < float("inf") for value in values):
        raise DataPrepError(
            f"{path} line {number}: expected counts or probabilities, got {shown(' '.join(cells))}; log-odds scores "
            "(PSSM) tell no consensus"
        )
    return values


def _even(sums: list[float]) -> bool:
    """Whether all are one sum, but for rounding."""
    return min(sums) > 0 and max(sums) - min(sums) <= 0.02 * max(sums)
