"""Where the UTRs of a transcript lie (recipes/utrs.md#coordinates).

UTR rows are never used: whether they hold the stop codon depends on who wrote the file. The UTRs are what the exons
have outside the hull of the CDS and stop codon rows, which is the same in every dialect.
"""

from data_prep.formats.annotation.transcript import Interval, Transcript
from data_prep.formats.genome import reverse_complement


def coding_hull(transcript: Transcript) -> Interval:
    """Smallest start and largest end of CDS and stop codon."""
    return min(start for start, _ in transcript.coding), max(end for _, end in transcript.coding)


AS_DNA = bytes.maketrans(b"Uu", b"Tt")


def transcript_parts(transcript: Transcript) -> tuple[list[Interval], list[Interval], list[Interval]]:
    """Intervals of the 5' UTR, the coding part and the 3' UTR; each in genomic order, together exactly the exons."""
    low, high = coding_hull(transcript)
    left = _clip(transcript.exons, 0, low)
    right = _clip(transcript.exons, high, transcript.exons[-1][1])
    coding = _clip(transcript.exons, low, high)
    return (left, coding, right) if transcript.strand == "+" else (right, coding, left)


def splice(contig: bytes, parts: list[Interval], strand: str) -> bytes:
    """The parts joined in transcript order, DNA, case kept; complemented once, after joining, on the minus strand."""
    joined = b"".join(contig[start:end] for start, end in parts).translate(AS_DNA)
    return joined if strand == "+" else reverse_complement(joined)


def _clip(exons: tuple[Interval, ...], low: int, high: int) -> list[Interval]:
    clipped = ((max(start, low), min(end, high)) for start, end in exons)
    return [(start, end) for start, end in clipped if start < end]
