"""Letters of sequences in tables and in texts of a user."""

from __future__ import annotations

from collections.abc import Sequence

from data_prep.errors import shown
from data_prep.formats.kmers import are_overlapping, sequence_of
from pretrain.errors import PolymeraseError

_LETTERS_AND_GAPS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-.*~"


def letters_of(names: Sequence[str], texts: Sequence[str]) -> list[bytes]:
    """Return the letters of every text, upper case and without blanks.

    Overlapping k-mers between blanks give the sequence that they were cut from.

    Args:
        names: of the texts, for messages.
        texts: S texts.

    Raises:
        PolymeraseError: a text holds what is no letter (``<mask>``, a separator of columns, digits), or most texts with
            blanks are overlapping k-mers and one is not.
    """
    words = [text.upper().encode("ascii", "replace").split() for text in texts]
    for name, text, some in zip(names, texts, words, strict=True):
        if strange := b"".join(some).translate(None, _LETTERS_AND_GAPS):
            raise PolymeraseError(
                f"{name}: {chr(strange[0])!r} in {shown(text)} is no letter of a sequence; correct the row (are the "
                "columns parted as the first line is?)"
            )
    parted = [row for row, some in enumerate(words) if len(some) > 1]
    found = {row for row in parted if are_overlapping(words[row])}
    if len(found) * 2 <= len(parted):
        return [b"".join(some) for some in words]
    for row in parted:
        if row not in found and len(set(words[row])) > 1:
            raise PolymeraseError(
                f"{names[row]}: blanks part {texts[row][:40]!r}; expected overlapping k-mers as in "
                f"{names[min(found)]}, or sequences without blanks"
            )
    return [sequence_of(some) if len(some) > 1 else b"".join(some) for some in words]
