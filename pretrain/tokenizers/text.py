"""Rules for text that all tokenizers share: folding of letters, blanks, special tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from pretrain.errors import PolymeraseError

Folding = Literal["all", "case", "none"]
_BLANKS = {ord(blank): None for blank in " \t\n\r\x0b\x0c"}


def letter_table(ids: dict[str, int], unknown: int, folding: Folding = "all") -> np.ndarray:
    """Return the id of every byte, int32 (256,).

    Args:
        ids: id of each letter of the vocabulary.
        unknown: id of every other byte.
        folding: ``case``: upper and lower case count as whichever of the two the vocabulary has; ``all``: T and U too.
    """
    table = np.full(256, unknown, np.int32)
    for letter, token in ids.items():
        table[ord(letter)] = token
        if folding != "none" and letter.swapcase() not in ids:
            table[ord(letter.swapcase())] = token
    if folding == "all":
        for ours, other in ("UT", "TU", "ut", "tu"):
            if ours in ids and other not in ids:
                table[[ord(other), ord(other.swapcase())]] = ids[ours]
    return table


def encode_text(
    text: str,
    special: dict[str, int],
    encode_piece: Callable[[np.ndarray], np.ndarray],
    first: Sequence[int],
    last: Sequence[int],
    *,
    keep_blanks: bool = False,
    join: Callable[[str], str] | None = None,
) -> np.ndarray:
    """Encode one text, int32 (T,): keep spelled-out special tokens and encode the pieces between them.

    Args:
        text: letters, blanks and special tokens.
        special: id of each special token recognized in text.
        encode_piece: bytes uint8 (L,) of a piece without special tokens to ids.
        first: ids before the whole.
        last: ids after the whole.
        keep_blanks: encode blanks as letters; otherwise they are dropped.
        join: replaces a piece with blanks by its letters, instead of dropping the blanks.
    """
    pattern = "(" + "|".join(re.escape(token) for token in special) + ")"
    ids: list[Sequence[int] | np.ndarray] = [first]
    for piece in re.split(pattern, text):
        if piece in special:
            ids.append([special[piece]])
        else:  # "replace" writes "?", an unknown letter like any other
            letters = piece if keep_blanks else join(piece) if join else piece.translate(_BLANKS)
            ids.append(encode_piece(np.frombuffer(letters.encode("latin-1", "replace"), np.uint8)))
    ids.append(last)
    return np.concatenate(ids).astype(np.int32)


def join_kmers(piece: str, k: int, fold: bytes) -> str:
    """Return the letters of a piece of text.

    If all its words have k letters, they are overlapping k-mers, as releases take them, and give the sequence that they
    spell; other blanks are dropped.

    Args:
        piece: words and blanks.
        k: letters per k-mer.
        fold: table for ``bytes.translate`` that maps equal letters to one.

    Raises:
        PolymeraseError: words of k letters that do not overlap, which would silently become other k-mers.
    """
    words = [word for word in re.split("[ \\t\\n\\r\\x0b\\x0c]+", piece) if word]
    if len(words) < 2 or any(len(word) != k for word in words):
        return "".join(words)
    folded = [word.encode("latin-1", "replace").translate(fold) for word in words]
    if any(before[1:] != after[:-1] for before, after in pairwise(folded)):
        raise PolymeraseError(
            f"spaces separate this text into pieces of {k} letters that do not overlap ({words[0]} {words[1]} …); "
            f"give the sequence without spaces, or overlapping {k}-mers"
        )
    return words[0] + "".join(word[-1] for word in words[1:])
