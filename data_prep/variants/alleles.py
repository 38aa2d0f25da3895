"""Which alleles of a VCF record are single-base substitutions, and why the others are not."""

from typing import NamedTuple

import numpy as np

CODE = {letter.encode(): code for code, pair in enumerate(("Aa", "Cc", "Gg", "Tt")) for letter in pair}
SEVERAL = 4  # in place of the code of an allele: longer than one base, or one of several
LETTER_CODE = np.array([CODE.get(bytes([letter]), SEVERAL) for letter in range(256)], np.uint8)  # of a byte


class Substitution(NamedTuple):
    """One base for another, `offset` bases behind POS; codes 0-3 = A, C, G, T."""

    offset: int
    ref: int
    alt: int


def substitutions(reference: bytes, alternative: bytes) -> list[Substitution]:
    """The bases in which two alleles of one length differ; none for all others (`why_not_single_base`).

    One is an SNV, however many bases it is written with (`TG` -> `GG`, `GT` -> `GC`); more are an MNP.
    """
    if len(reference) != len(alternative):
        return []
    reference, alternative = reference.upper(), alternative.upper()
    if reference.strip(b"ACGT") or alternative.strip(b"ACGT"):
        return []
    pairs = enumerate(zip(reference, alternative, strict=True))
    return [Substitution(at, CODE[bytes([one])], CODE[bytes([other])]) for at, (one, other) in pairs if one != other]


def is_snv(reference: bytes, alternative: bytes) -> bool:
    """Whether two alleles differ in exactly one base, however many bases they are written with."""
    return len(substitutions(reference, alternative)) == 1


def why_not_single_base(reference: bytes, alternative: bytes) -> str:
    """The reason under which an allele is counted that is not one of A, C, G, T in place of another of them."""
    reference, alternative = reference.upper(), alternative.upper()
    if alternative in (b".", b""):
        return "no_alternative"
    if alternative.startswith(b"<") or b"[" in alternative or b"]" in alternative:
        return "symbolic"
    if alternative == b"*":
        return "star"
    if alternative == reference:
        return "same_as_reference"
    if reference.strip(b"ACGT") or alternative.strip(b"ACGT"):
        return "not_acgt"
    return "mnp" if len(reference) == len(alternative) else "indel"
