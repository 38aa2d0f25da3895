"""One UTR of one transcript, from either input route, before any policy that needs its letters."""

from dataclasses import dataclass

STOP_CODONS = frozenset({b"TAA", b"TAG", b"TGA"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate.

    `sequence` is the UTR in DNA letters, 5' to 3', case as in the source; `offset` its 0-based start in the transcript.
    Codons are upper case.
    """

    transcript_id: str
    gene_id: str
    gene_name: str
    contig: str  # empty where a transcript FASTA came without annotation, as is `strand`
    strand: str
    tags: frozenset[str]
    spliced_length: int
    offset: int
    sequence: bytes
    first_codon: bytes
    last_codon: bytes
    next_codon: bytes = b""  # what follows the coding part in the spliced transcript, up to 3 nt
    stop_row_nt: int = 0  # nucleotides of the stop codon that have rows of their own
    input: str = ""  # which of several inputs it is from; empty where there is one
