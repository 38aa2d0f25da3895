"""Structures in dot-bracket notation: pairs of positions, and the agreement of two sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pretrain.errors import PolymeraseError

Pairs = set[tuple[int, int]]  # 0-based (i, j), i < j

_OPEN, _CLOSE, _UNPAIRED = "([{<ABCD", ")]}>abcd", ".,_:-~"


@dataclass(frozen=True)
class StructureRecord:
    """A sequence (upper-case RNA letters) with its base pairs."""

    name: str
    sequence: str
    pairs: Pairs


def read_structures(path: Path) -> list[StructureRecord]:
    """Read records ``>name``, sequence, dot-bracket (as RNAfold writes them; an energy at the end is ignored).

    Raises:
        PolymeraseError: names the record at fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolymeraseError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PolymeraseError(
            f"{path}: not a text file; expected records of three lines: >name, sequence, dot-bracket"
        ) from None
    if not text.strip():
        raise PolymeraseError(f"{path}: empty; expected records of three lines: >name, sequence, dot-bracket")
    records = []
    for number, record in enumerate(text.lstrip().removeprefix(">").split("\n>"), 1):
        lines = [line.strip() for line in record.splitlines() if line.strip()]
        if len(lines) != 3:
            raise PolymeraseError(
                f"{path}: record {number}: {len(lines)} lines, expected three: >name, sequence, dot-bracket"
            )
        sequence, bracket = lines[1].upper().replace("T", "U"), lines[2].split()[0]
        where = f"{path}: record {number} ({lines[0].split()[0]})"
        if len(sequence) != len(bracket):
            raise PolymeraseError(f"{where}: {len(sequence)} letters and {len(bracket)} symbols of structure")
        records.append(StructureRecord(lines[0].split()[0], sequence, parse_dot_bracket(bracket, where)))
    return records


def parse_dot_bracket(text: str, where: str = "structure") -> Pairs:
    """Parse a dot-bracket string into pairs.

    Pseudoknots are written in further brackets or in letters (``A`` opens, ``a`` closes).
    """
    waiting: dict[str, list[int]] = {opening: [] for opening in _OPEN}
    pairs: Pairs = set()
    for position, symbol in enumerate(text):
        if symbol in _OPEN:
            waiting[symbol].append(position)
        elif symbol in _CLOSE:
            stack = waiting[_OPEN[_CLOSE.index(symbol)]]
            if not stack:
                raise PolymeraseError(f"{where}: {symbol!r} at {position + 1} has no opening symbol")
            pairs.add((stack.pop(), position))
        elif symbol not in _UNPAIRED:
            raise PolymeraseError(f"{where}: {symbol!r} at {position + 1} is not a dot-bracket symbol")
    for opening, stack in waiting.items():
        if stack:
            raise PolymeraseError(f"{where}: {opening!r} at {stack[-1] + 1} has no closing symbol")
    return pairs


def f1(predicted: Pairs, true: Pairs) -> float:
    """Return the harmonic mean of precision and recall; 1 if both sets are empty."""
    if not predicted and not true:
        return 1.0
    return 2 * len(predicted & true) / (len(predicted) + len(true))
