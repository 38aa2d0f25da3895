"""A contig as base codes, and its stretches that windows may be taken from."""

import re

import numpy as np

from data_prep.errors import DataPrepError
from data_prep.formats.genome import Contig

FOREIGN = 5
CODES = bytearray([FOREIGN]) * 256
for code, letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu", b"NnRrYySsWwKkMmBbDdHhVvXx")):
    for letter in letters:
        CODES[letter] = code
KNOWN_STRETCH = re.compile(rb"[^NnXx]+")


def base_codes(contig: Contig, genome: str) -> bytes:
    """One byte per base: 0-3 = A, C, G, T (case ignored, U is T), OTHER_CODE = any other nucleotide code.

    DataPrepError naming file, contig and position for a letter that is no nucleotide code, and for a contig whose
    positions do not fit the int32 of the format.
    """
    if len(contig.sequence) > np.iinfo(np.int32).max:
        raise DataPrepError(f"{genome}: contig {contig.name} has more than 2^31 - 1 bases; divide it first")
    codes = contig.sequence.translate(CODES)
    if (at := codes.find(FOREIGN)) >= 0:
        letter = contig.sequence[at : at + 1].decode("ascii", "backslashreplace")
        raise DataPrepError(f"{genome}: contig {contig.name}: {letter!r} at base {at + 1} is not a nucleotide")
    return codes


def valid_intervals(sequence: bytes, window: int) -> list[tuple[int, int]]:
    """Maximal stretches without N (or X, as some write it) of at least `window` bases, 0-based half-open."""
    spans = (stretch.span() for stretch in KNOWN_STRETCH.finditer(sequence))
    return [(start, end) for start, end in spans if end - start >= window]
