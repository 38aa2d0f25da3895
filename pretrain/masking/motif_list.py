"""Motif list files: plain text, one motif per line; blank lines and lines that start with # are passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from math import prod
from pathlib import Path
from typing import Literal

from pretrain.errors import PolymeraseError
from pretrain.tokenizers.batch import Tokenizer

# IUPAC ambiguity codes as the digits of A 0, C 1, G 2, U 3.
_IUPAC = {
    **{"A": (0,), "C": (1,), "G": (2,), "U": (3,), "T": (3,)},
    **{"R": (0, 2), "Y": (1, 3), "S": (1, 2), "W": (0, 3), "K": (2, 3), "M": (0, 1)},
    **{"B": (1, 2, 3), "D": (0, 2, 3), "H": (0, 1, 3), "V": (0, 1, 2), "N": (0, 1, 2, 3)},
}
_IUPAC |= {code.lower(): digits for code, digits in _IUPAC.items()}
UNKNOWN_DIGIT = 4
_MOST_EXPANSIONS = 4096


def load_motifs(
    files: Iterable[str], alphabet: Literal["normalised", "literal"], tokenizer: Tokenizer, min_length: int
) -> set[tuple[int, ...]]:
    """Read all distinct motifs of some files as digits.

    Args:
        files: text files, one motif per line.
        alphabet: ``normalised``: any case, U and T alike, ambiguity codes expanded. ``literal``: a letter is what the
            tokenizer makes of it, so U is unknown to a vocabulary with T; unknown is a digit of its own.
        tokenizer: its vocabulary decides the digits.
        min_length: shorter motifs are left out.

    Raises:
        PolymeraseError: a file that cannot be read or holds no motif, a line that is no motif.
    """
    motifs: set[tuple[int, ...]] = set()
    for file in files:
        before = len(motifs)
        found = False
        for place, text in _lines(Path(file)):
            found = True
            digits = _literal(text, tokenizer, place) if alphabet == "literal" else _normalized(text, place)
            if len(digits) >= min_length:
                motifs.update(product(*digits))
        if not found or (len(motifs) == before == 0):
            raise PolymeraseError(f"{file}: no motif of {min_length} or more letters; one per line is expected")
    return motifs


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """(file and line for messages, motif) of each line that is not empty."""
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise PolymeraseError(f"motif list {file}: {error.strerror}; see masking.databases") from None
    except UnicodeDecodeError:
        raise PolymeraseError(f"motif list {file}: not plain text") from None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield f"{file}, line {number}", line


def _normalized(text: str, place: str) -> list[tuple[int, ...]]:
    """Possible digits of each letter."""
    try:
        digits = [_IUPAC[letter] for letter in text]
    except KeyError as error:
        raise PolymeraseError(f"{place}: {error.args[0]!r} in {text!r} is not a nucleotide or IUPAC code") from None
    if prod(map(len, digits)) > _MOST_EXPANSIONS:
        raise PolymeraseError(
            f"{place}: {text!r} stands for more than {_MOST_EXPANSIONS} motifs; use fewer ambiguity codes"
        )
    return digits


def _literal(text: str, tokenizer: Tokenizer, place: str) -> list[tuple[int, ...]]:
    for letter in text:
        if letter not in "ACGTU":
            raise PolymeraseError(f"{place}: {letter!r} in {text!r} is not A, C, G, T or U; use alphabet: normalised")
    return [_IUPAC[letter] if letter in tokenizer.vocab else (UNKNOWN_DIGIT,) for letter in text]
