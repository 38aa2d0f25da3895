"""Which alleles of a VCF record are single-base substitutions, and why the others are not."""

CODE = {letter.encode(): code for code, pair in enumerate(("Aa", "Cc", "Gg", "Tt")) for letter in pair}
SEVERAL = 4  # in place of the code of an allele: longer than one base, or one of several


def is_snv(reference: bytes, alternative: bytes) -> bool:
    """Whether two alleles differ in exactly one base, however many bases they are written with (`TG` -> `GG` too)."""
    reference, alternative = reference.upper(), alternative.upper()
    if len(reference) != len(alternative) or reference.strip(b"ACGT") or alternative.strip(b"ACGT"):
        return False
    return sum(one != other for one, other in zip(reference, alternative, strict=True)) == 1


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
