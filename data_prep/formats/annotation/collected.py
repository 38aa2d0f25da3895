"""What either dialect's reader hands over: rows and attributes by transcript id."""

from dataclasses import dataclass

from data_prep.formats.annotation.transcript import TranscriptInfo, TranscriptRows


@dataclass(frozen=True, slots=True)
class Collected:
    """A transcript whose own row is missing in a GFF3 has no entry in `infos`."""

    rows: dict[str, list[TranscriptRows]]  # one for each contig and strand
    infos: dict[str, TranscriptInfo]
    gene_rows: dict[str, int]  # rows that a gene (by its key) has of its own
    circular: dict[str, int]  # contigs that the file calls circular, and their nucleotides
    dropped: dict[str, int]
