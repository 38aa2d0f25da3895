"""One spelling for motifs: upper case, U, ambiguity codes written out."""

from itertools import product
from math import prod

from data_prep.errors import DataPrepError
from data_prep.motifs.meme import CODES
from data_prep.motifs.read import RawMotif

LETTERS = {code: "".join(sorted(letters)) for letters, code in CODES.items()}


def expand(motif: RawMotif, max_expansion: int) -> list[str]:
    """All motifs of A, C, G, U that the written one stands for, in order.

    Raises DataPrepError for a letter that is no nucleotide or IUPAC code, and for more than `max_expansion` of them.
    """
    text = motif.text.upper().replace("T", "U")
    strange = sorted(set(text) - LETTERS.keys())
    if strange or not text:
        shown = f"{strange[0]!r} in {motif.text!r} is no nucleotide or IUPAC code" if strange else "an empty motif"
        raise DataPrepError(f"{motif.place}: {shown}; correct or remove the line")
    options = [LETTERS[letter] for letter in text]
    count = prod(map(len, options))
    if count > max_expansion:
        raise DataPrepError(
            f"{motif.place}: {motif.text!r} stands for {count:,} motifs, more than --max-expansion {max_expansion:,}; "
            "write it more exactly or raise the limit"
        )
    return ["".join(letters) for letters in product(*options)]
