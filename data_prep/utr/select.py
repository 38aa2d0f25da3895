"""From candidates to the chosen UTRs: ends, minimum length, choice per gene, duplicates, in this order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from data_prep.corpus.tally import Tally
from data_prep.utr.candidates import STOP_CODONS, Candidate
from data_prep.utr.policy import UtrPolicy


def sound(candidates: Iterable[Candidate], policy: UtrPolicy, tally: Tally) -> Iterator[Candidate]:
    """Those with a UTR of the minimum length and, where asked for, the codon that shows their end to be complete."""
    return (candidate for candidate in candidates if _is_sound(candidate, policy, tally))


def select(candidates: Iterable[Candidate], policy: UtrPolicy, tally: Tally) -> list[Candidate]:
    """Of sound ones, those chosen per gene, distinct, in the plain string order of transcript ids."""
    chosen = _per_gene(list(candidates), policy.per_gene, tally)
    chosen.sort(key=attrgetter("transcript_id", "input"))
    if policy.crop_to:
        chosen = [_crop(candidate, policy.crop_to, tally) for candidate in chosen]
    return _distinct(chosen, tally) if policy.duplicates == "drop" else chosen


def _is_sound(candidate: Candidate, policy: UtrPolicy, tally: Tally) -> bool:
    reason = None
    if policy.check_codons and policy.side == 3 and not _ends(candidate):
        reason = "no_stop_codon"
    elif policy.check_codons and policy.side == 5 and candidate.first_codon != b"ATG":
        reason = "no_start_codon"
    elif not candidate.sequence:
        reason = "no_utr"
    elif len(candidate.sequence) < policy.min_length:
        reason = "shorter_than_min_length"
    if reason:
        tally.drop("utr", reason)
    else:
        tally.keep("utr")
    return reason is None


def _ends(candidate: Candidate) -> bool:
    """Whether the coding part ends in a stop codon, or in one that the file calls so (other genetic codes)."""
    return candidate.last_codon in STOP_CODONS or candidate.stop_row_nt >= 3


# Sort keys: the smallest is taken. Ties end with the smaller transcript id.
RANKS: dict[str, Callable[[Candidate], tuple]] = {
    "longest_transcript": lambda c: (-c.spliced_length, -len(c.sequence), c.transcript_id),
    "longest_utr": lambda c: (-len(c.sequence), -c.spliced_length, c.transcript_id),
    "canonical": lambda c: ("Ensembl_canonical" not in c.tags, "MANE_Select" not in c.tags, c.transcript_id),
}


def _per_gene(candidates: list[Candidate], choice: str, tally: Tally) -> list[Candidate]:
    if choice == "all":
        return candidates
    gene = attrgetter("input", "gene_id")
    by_gene = groupby(sorted(candidates, key=gene), key=gene)
    best = [min(group, key=RANKS[choice]) for _, group in by_gene]
    if choice == "canonical":
        best = [candidate for candidate in best if candidate.tags & {"Ensembl_canonical", "MANE_Select"}]
    tally.keep("per_gene", len(best))
    tally.drop("per_gene", f"not_{choice}", len(candidates) - len(best))
    return best


def _crop(candidate: Candidate, limit: int, tally: Tally) -> Candidate:
    """Keep the 3' end, which for a 5' UTR is the end at the start codon."""
    excess = len(candidate.sequence) - limit
    tally.keep("crop")
    if excess <= 0:
        return candidate
    tally.change("crop", "cropped")
    return replace(candidate, sequence=candidate.sequence[excess:], offset=candidate.offset + excess)


def _distinct(candidates: list[Candidate], tally: Tally) -> list[Candidate]:
    first: dict[bytes, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.sequence.upper(), candidate)
    tally.keep("distinct", len(first))
    tally.drop("distinct", "same_sequence_as_an_earlier_transcript", len(candidates) - len(first))
    return list(first.values())
