"""One transcript, and the rows it is collected from."""

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import partial

Interval = tuple[int, int]  # 0-based, half-open, on the forward strand of the contig
INTERVALS = ("spans", "exons", "coding", "stop", "utr")  # fields of TranscriptRows that hold intervals


@dataclass(frozen=True, slots=True)
class Transcript:
    """A coding transcript. Intervals are sorted by start whatever the strand; `coding` includes the stop codon rows."""

    id: str
    gene_id: str
    gene_name: str
    biotype: str
    tags: frozenset[str]
    contig: str
    strand: str  # "+" or "-"
    exons: tuple[Interval, ...]
    coding: tuple[Interval, ...]
    stop_row_nt: int = 0  # nucleotides of stop_codon rows: 3 for a whole codon, 0 where the file has none

    @property
    def spliced_length(self) -> int:
        """Sum of the exon lengths in nucleotides."""
        return sum(end - start for start, end in self.exons)


_flat = partial(array, "q")


@dataclass(slots=True)
class TranscriptRows:
    """What the rows of one transcript say on one strand of one contig; arrays are flat start, end, start, end."""

    contig: bytes
    strand: bytes
    spans: array = field(default_factory=_flat)  # of the transcript's own rows
    exons: array = field(default_factory=_flat)
    exon_numbers: array = field(default_factory=_flat)  # beside exons, 0 where there is none
    coding: array = field(default_factory=_flat)  # CDS
    stop: array = field(default_factory=_flat)
    utr: array = field(default_factory=_flat)


@dataclass(slots=True)
class TranscriptInfo:
    """What the attributes say of one transcript."""

    gene_id: str = ""
    gene_key: str = ""  # what identifies the gene in the file: the parent of a GFF3 row, else the gene id
    gene_name: str = ""
    biotype: str = ""
    biotype_from: str = ""  # "transcript", "gene", "source" (second column) or "" where nothing tells it
    tags: frozenset[str] = frozenset()


def intervals(flat: array) -> list[Interval]:
    """Sorted distinct intervals of a flat array."""
    if len(flat) < 4:
        return [(flat[0], flat[1])] if flat else []
    return sorted(set(zip(flat[::2], flat[1::2], strict=True)))


def union(parts: list[Interval]) -> list[Interval]:
    """Sorted intervals, touching and overlapping ones joined."""
    joined: list[Interval] = []
    for start, end in sorted(parts):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def holds(outer: list[Interval], inner: list[Interval]) -> bool:
    """Whether every inner interval lies in one of the outer ones, which are sorted and do not overlap."""
    starts = [start for start, _ in outer]
    for start, end in inner:
        at = bisect_right(starts, start) - 1
        if at < 0 or end > outer[at][1]:
            return False
    return True
