"""Where the coding part ends, told by the sequence: files differ in whether the CDS holds the stop codon."""

from collections.abc import Sequence
from dataclasses import replace

from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.utr.candidates import STOP_CODONS, Candidate
from data_prep.utr.policy import INCOMPLETE_TAGS

# Behind an incomplete CDS a stop codon stands by chance 3 times in 64; a file in which this share of the ends is "just
# before a stop codon" has incomplete transcripts, not another convention.
CHANCE_SHARE = 0.02
ENOUGH = 20  # transcripts that make a statement about the genome


def settle_stop_codons(candidates: Sequence[Candidate], side: int, tally: Tally) -> list[Candidate]:
    """The candidates of one input, with a stop codon that the rows leave out moved from the 3' UTR to the coding part.

    A codon that has rows of its own is believed. Otherwise a transcript whose CDS ends in a stop codon stays as it is,
    and one with a stop codon next to its CDS is mended and counted.
    """
    missing = [_missing_nt(candidate) for candidate in candidates]
    inside = sum(_is_stop(candidate) for candidate in candidates)
    outside = sum(count > 0 for count in missing)
    if outside <= CHANCE_SHARE * inside:
        missing = [0] * len(missing)
    found = [
        _mended(candidate, count, side) if count else candidate
        for candidate, count in zip(candidates, missing, strict=True)
    ]
    tally.keep("stop_codon", len(found))
    if moved := sum(count > 0 for count in missing):
        tally.change("stop_codon", "was_outside_the_cds", moved)
    return found


def check_assembly(candidates: Sequence[Candidate], genome: str, annotation: str) -> None:
    """DataPrepError if most coding parts end neither in a stop codon nor before one."""
    ends = [_is_stop(candidate) or candidate.next_codon in STOP_CODONS for candidate in candidates]
    if len(ends) >= ENOUGH and sum(ends) * 2 < len(ends):
        raise DataPrepError(
            f"{annotation}: {sum(ends):,} of {len(ends):,} coding parts end in or before a stop codon of {genome}; "
            "take genome and annotation of one assembly, or give --check-codons off for another genetic code"
        )


def _is_stop(candidate: Candidate) -> bool:
    return candidate.last_codon in STOP_CODONS


def _missing_nt(candidate: Candidate) -> int:
    """Nucleotides of the stop codon that the coding part lacks: 3, or 1 or 2 of a codon whose rows are incomplete."""
    count = 3 - candidate.stop_row_nt
    if count <= 0 or candidate.tags & INCOMPLETE_TAGS[3] or (count == 3 and _is_stop(candidate)):
        return 0
    return count if _with_next(candidate, count) in STOP_CODONS else 0


def _with_next(candidate: Candidate, count: int) -> bytes:
    return candidate.last_codon[count:] + candidate.next_codon[:count]


def _mended(candidate: Candidate, count: int, side: int) -> Candidate:
    last, after = _with_next(candidate, count), candidate.next_codon[count:]
    if side == 5:
        return replace(candidate, last_codon=last, next_codon=after)
    return replace(
        candidate, sequence=candidate.sequence[count:], offset=candidate.offset + count, last_codon=last,
        next_codon=after,
    )  # fmt: skip
