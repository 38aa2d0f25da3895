"""MEME motif files (minimal format): matrices of letter probabilities, read as IUPAC consensus."""

import re
from collections.abc import Iterator

from data_prep.errors import DataPrepError

MATRIX = re.compile(r"letter-probability matrix:(.*)")
CODES = {
    frozenset(letters): code
    for code, letters in {
        **{"A": "A", "C": "C", "G": "G", "U": "U", "R": "AG", "Y": "CU", "S": "CG", "W": "AU", "K": "GU", "M": "AC"},
        **{"B": "CGU", "D": "AGU", "H": "ACU", "V": "ACG", "N": "ACGU"},
    }.items()
}


def read_meme(path: str, lines: list[tuple[int, str]], min_probability: float) -> Iterator[tuple[int, str]]:
    """(line of the matrix, consensus) for each motif.

    A position stands for every letter of at least `min_probability`; where none reaches it, for the likeliest one.
    Raises DataPrepError for an alphabet other than the four nucleotides and for a broken matrix.
    """
    alphabet = "ACGU"
    found = False
    rest = iter(lines)
    for number, line in rest:
        if line.startswith("ALPHABET"):
            alphabet = line.partition("=")[2].strip().upper().replace("T", "U")
            if alphabet != "ACGU":
                raise DataPrepError(
                    f"{path} line {number}: alphabet {alphabet!r}; only nucleotides (ACGU or ACGT) are read"
                )
        matrix = MATRIX.search(line)
        if matrix is None:
            continue
        found = True
        width = re.search(r"\bw=\s*(\d+)", matrix[1])
        if width is None:
            raise DataPrepError(f"{path} line {number}: a matrix without its width (w= N)")
        rows = [_row(path, next(rest, (number, ""))) for _ in range(int(width[1]))]
        yield number, "".join(_code(row, alphabet, min_probability) for row in rows)
    if not found:
        raise DataPrepError(f"{path}: a MEME file without any letter-probability matrix")


def _row(path: str, numbered: tuple[int, str]) -> list[float]:
    number, line = numbered
    try:
        row = [float(cell) for cell in line.split()]
    except ValueError:
        row = []
    if len(row) != 4 or not abs(sum(row) - 1) < 0.05:
        raise DataPrepError(f"{path} line {number}: expected four probabilities that sum to 1, got {line.strip()!r}")
    return row


def _code(row: list[float], alphabet: str, min_probability: float) -> str:
    letters = {letter for letter, p in zip(alphabet, row, strict=True) if p >= min_probability}
    return CODES[frozenset(letters or alphabet[row.index(max(row))])]
