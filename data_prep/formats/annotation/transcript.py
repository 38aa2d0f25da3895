"""One transcript, and the rows it is collected from."""

from array import array
from dataclasses import dataclass, field

Interval = tuple[int, int]  # 0-based, half-open, on the forward strand of the contig


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

    @property
    def spliced_length(self) -> int:
        """Sum of the exon lengths in nucleotides."""
        return sum(end - start for start, end in self.exons)


@dataclass(slots=True)
class TranscriptRows:
    """What the exon-like rows of one transcript say; arrays are flat start, end, start, end (a genome has millions)."""

    places: set[tuple[bytes, bytes]] = field(default_factory=set)  # (contig, strand)
    exons: array = field(default_factory=lambda: array("q"))
    coding: array = field(default_factory=lambda: array("q"))
    utr: array = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class TranscriptInfo:
    """What the attributes say of one transcript."""

    gene_id: str = ""
    gene_name: str = ""
    biotype: str = ""
    tags: frozenset[str] = frozenset()


def intervals(flat: array) -> list[Interval]:
    """Sorted distinct intervals of a flat array."""
    return sorted(set(zip(flat[::2], flat[1::2], strict=True)))
