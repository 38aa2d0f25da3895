"""Transcripts across the origin of a circular contig: their exons end beyond it, or go on at its start."""

from dataclasses import replace

from data_prep.formats.annotation import Interval, Transcript
from data_prep.formats.contig_names import bare_name

# Organelles by the names of Ensembl, UCSC, RefSeq, TAIR, SGD; a GTF cannot say which contigs are circular.
ORGANELLES = frozenset({"M", "Mt", "Mito", "MtDNA", "mitochondrion", "mitochondrion_genome", "Pt", "C", "chloroplast"})


def is_circular(contig: str, named: frozenset[str]) -> bool:
    """Whether the annotation names the contig circular, or its name is that of an organelle."""
    return contig in named or bare_name(contig) in ORGANELLES


def unrolled(transcript: Transcript, contig_nt: int) -> Transcript:
    """The transcript with positions that go on beyond the end of its contig, where it is written in two parts.

    Exons that reach the last base and exons that start at the first one are one transcript across the origin: what lies
    before the largest gap is moved one turn on.
    """
    exons = transcript.exons
    if exons[-1][1] != contig_nt or exons[0][0] != 0 or len(exons) < 2:
        return transcript
    gap = max(range(1, len(exons)), key=lambda number: exons[number][0] - exons[number - 1][1])
    border = exons[gap][0]
    return replace(
        transcript,
        exons=_turned(exons, border, contig_nt),
        coding=_turned(transcript.coding, border, contig_nt),
    )


def _turned(parts: tuple[Interval, ...], border: int, contig_nt: int) -> tuple[Interval, ...]:
    return tuple(sorted((s, e) if s >= border else (s + contig_nt, e + contig_nt) for s, e in parts))
