"""One spelling for motifs: upper case, U, ambiguity codes written out."""

from itertools import product
from math import prod

from data_prep.errors import DataPrepError, shown
from data_prep.motifs.matrix import CODES
from data_prep.motifs.read import RawMotif

LETTERS = {code: "".join(sorted(letters)) for letters, code in CODES.items()}


def spellings(motif: RawMotif) -> int:
    """How many motifs of A, C, G, U the written one stands for.

    Raises DataPrepError for a letter that is not a nucleotide or IUPAC code.
    """
    strange = sorted(set(_letters(motif)) - LETTERS.keys())
    if strange:
        raise DataPrepError(
            f"{motif.place}: {shown(strange[0])} in {shown(motif.text)} is not a nucleotide or IUPAC code; correct or "
            "remove the line"
        )
    return prod(len(LETTERS[letter]) for letter in _letters(motif))


def expand(motif: RawMotif) -> list[str]:
    """All motifs of A, C, G, U that the written one stands for, in order."""
    return ["".join(letters) for letters in product(*(LETTERS[letter] for letter in _letters(motif)))]


def _letters(motif: RawMotif) -> str:
    return motif.text.upper().replace("T", "U")
