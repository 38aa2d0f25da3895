"""What all tokenizers do to text before they look it up, and what they recognise in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

_BLANKS = {ord(blank): None for blank in " \t\n\r\x0b\x0c"}


def letter_table(ids: dict[str, int], unknown: int, *, fold: bool = True) -> np.ndarray:
    """Id of every byte, int32 (256,).

    Args:
        ids: id of each letter of the vocabulary.
        unknown: id of every other byte.
        fold: lower case counts as upper case, and T and U as whichever of the two the vocabulary has.
    """
    table = np.full(256, unknown, np.int32)
    for letter, token in ids.items():
        table[ord(letter)] = token
    if fold:
        for ours, other in ("UT", "TU"):
            if ours in ids and other not in ids:
                table[ord(other)] = ids[ours]
        for upper in range(ord("A"), ord("Z") + 1):
            table[upper + 32] = table[upper]
    return table


def encode_text(
    text: str, special: dict[str, int], encode_piece: Callable[[np.ndarray], np.ndarray], first: int, last: int
) -> np.ndarray:
    """Ids int32 (T,) of one text: blanks dropped, spelled-out special tokens kept, the pieces between them encoded.

    Args:
        special: id of each special token recognised in text.
        encode_piece: bytes uint8 (L,) of a piece without special tokens to ids.
        first, last: ids put around the whole.
    """
    pattern = "(" + "|".join(re.escape(token) for token in special) + ")"
    ids: list[Sequence[int] | np.ndarray] = [[first]]
    for piece in re.split(pattern, text):
        if piece in special:
            ids.append([special[piece]])
        else:  # "replace" writes "?", an unknown letter like any other
            letters = piece.translate(_BLANKS).encode("latin-1", "replace")
            ids.append(encode_piece(np.frombuffer(letters, np.uint8)))
    ids.append([last])
    return np.concatenate(ids).astype(np.int32)
