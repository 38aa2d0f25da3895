"""Labels in the headers of UTR-LM's training FASTA (recipes/utr_lm.md#headers).

A header is `MFE|dot-bracket|source|species|normalized MFE`.

The normalized energy is not kept: objectives normalize by the statistics of the corpus. Its value 1e-9 says that the
record has no energy.
"""

from dataclasses import dataclass

from data_prep.formats.fasta import FastaBlock
from data_prep.formats.numbers import decimal_number

FIELDS = 5
NO_ENERGY = 1e-9
COLUMNS = ("structure", "mfe_kcal_per_mol", "source")


@dataclass(frozen=True)
class HeaderLabels:
    """Columns (R,) by name, and rows of malformed records by what is wrong with them."""

    columns: dict[str, list[bytes | float | None]]
    defects: dict[str, list[int]]


def utr_lm_labels(block: FastaBlock) -> HeaderLabels:
    """Structure, energy in kcal/mol (None where there is none) and `source|species` of each record."""
    columns: dict[str, list[bytes | float | None]] = {name: [] for name in COLUMNS}
    defects: dict[str, list[int]] = {"header without the labels of UTR-LM": [], "structure is not of this sequence": []}
    lengths = block.sequences.lengths.tolist()
    for row, header in enumerate(block.headers.rows()):
        fields = header.strip().split(b"|")
        energy, normalized = _number(fields[0]), _number(fields[-1])
        if len(fields) != FIELDS or energy is None or normalized is None:
            defects["header without the labels of UTR-LM"].append(row)
            fields = [b""] * FIELDS
        elif not _is_structure(fields[1], lengths[row]):
            defects["structure is not of this sequence"].append(row)
        columns["structure"].append(fields[1])
        columns["mfe_kcal_per_mol"].append(None if normalized == NO_ENERGY else energy)
        columns["source"].append(b"|".join(fields[2:4]))
    return HeaderLabels(columns, {reason: rows for reason, rows in defects.items() if rows})


def _number(text: bytes) -> float | None:
    try:
        number = decimal_number(text.decode())
    except ValueError:  # not decoded text is one too
        return None
    return number if abs(number) < float("inf") else None


def _is_structure(text: bytes, length: int) -> bool:
    """Whether this is dot-bracket of that length whose brackets close."""
    depth = 0
    for symbol in text:
        depth += {ord("("): 1, ord(")"): -1, ord("."): 0}.get(symbol, -length - 1)
        if depth < 0:
            return False
    return depth == 0 and len(text) == length
