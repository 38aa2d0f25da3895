"""GPN's balanced regions: exons and promoters with what surrounds them, and as many windows from anywhere.

Exons, and stretches upstream of transcripts, are widened and merged; each then loses or gains up to some bases at both
ends, is cut to what is known, and kept if it holds a window. As many windows as fill the same number of bases are added
at random places.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.errors import DataPrepError
from data_prep.formats.annotation.rows import annotation_rows
from data_prep.formats.text import numbered_lines
from data_prep.genomes.contigs import joined
from data_prep.genomes.store import Assembly

TRANSCRIPTS = (b"mRNA", b"transcript")


@dataclass(frozen=True)
class RegionOptions:
    """Bases, but for the seed.

    window: shortest region and length of the random ones; flank: added to both ends of exons and promoters; promoter:
    upstream of a transcript; jitter: most that an end moves.
    """

    window: int = 512
    flank: int = 256
    promoter: int = 1000
    jitter: int = 100
    seed: int = 42


def balanced_regions(assembly: Assembly, annotation: Path, options: RegionOptions) -> tuple[np.ndarray, dict[str, int]]:
    """Find the balanced regions of an assembly, int64 (K, 3): contig, start, end.

    Also returns counts: exons, promoters, regions, random windows, rows on contigs that are not in the corpus.
    """
    exons, promoters, counts = _features(assembly, annotation, options.promoter)
    draw = np.random.default_rng(options.seed)
    known = np.array(assembly.intervals, np.int64).reshape(-1, 3)
    regions = []
    for contig, (_, _, bases) in enumerate(assembly.contigs):
        widened = [_widened(part[contig], options.flank, bases) for part in (exons, promoters)]
        merged = _union(widened)
        merged = merged + draw.integers(-options.jitter, options.jitter + 1, merged.shape)
        merged = _union([np.clip(merged, 0, bases)])
        cut = _intersection(merged, known[known[:, 0] == contig, 1:])
        cut = cut[cut[:, 1] - cut[:, 0] >= options.window]
        regions.append(np.column_stack((np.full(len(cut), contig), cut)))
    found = np.concatenate(regions)
    counts["regions"] = len(found)
    anywhere = _random_windows(known, int((found[:, 2] - found[:, 1]).sum()) // options.window, options, draw)
    counts["random_windows"] = len(anywhere)
    together = np.concatenate((found, anywhere))
    result = [
        np.column_stack((np.full(len(merged), contig), merged))
        for contig in range(len(assembly.contigs))
        if len(merged := _union([together[together[:, 0] == contig, 1:]]))
    ]
    return np.concatenate(result) if result else np.empty((0, 3), np.int64), counts


def _features(
    assembly: Assembly, annotation: Path, upstream: int
) -> tuple[list[np.ndarray], list[np.ndarray], dict[str, int]]:
    """Exons and promoters of each contig, int64 (K, 2), and how many rows there were."""
    numbers = {name: number for number, (name, _, _) in enumerate(assembly.contigs)}
    exons: list[list[tuple[int, int]]] = [[] for _ in numbers]
    promoters: list[list[tuple[int, int]]] = [[] for _ in numbers]
    counts = {"exons": 0, "promoters": 0, "rows_on_other_contigs": 0}
    for row in annotation_rows(str(annotation), numbered_lines(annotation)):
        is_exon = row.type == b"exon"
        if not (is_exon or row.type in TRANSCRIPTS):
            continue
        contig = numbers.get(row.contig.decode("utf-8", "replace"))
        if contig is None:
            counts["rows_on_other_contigs"] += 1
            continue
        bases = assembly.contigs[contig][2]
        if row.end > bases:
            raise DataPrepError(
                f"{annotation} line {row.number}: {row.start + 1}-{row.end} reaches beyond its contig of {bases:,} "
                "bases; take genome and annotation of one release"
            )
        if is_exon:
            exons[contig].append((row.start, row.end))
            counts["exons"] += 1
        else:
            start = row.end if row.strand == b"-" else row.start - upstream
            promoters[contig].append((max(start, 0), min(start + upstream, bases)))
            counts["promoters"] += 1
    if not counts["exons"] and not counts["promoters"]:
        known = ", ".join(list(numbers)[:5])
        raise DataPrepError(
            f"{annotation}: no exon, mRNA or transcript row on the contigs of {assembly.name} ({known}); take genome "
            "and annotation of one release, or leave --annotation out"
        )
    return [_array(part) for part in exons], [_array(part) for part in promoters], counts


def _array(intervals: list[tuple[int, int]]) -> np.ndarray:
    array = np.array(intervals, np.int64).reshape(-1, 2)
    return array[array[:, 1] > array[:, 0]]


def _widened(intervals: np.ndarray, flank: int, bases: int) -> np.ndarray:
    return np.clip(intervals + np.array([-flank, flank]), 0, bases)


def _union(parts: list[np.ndarray]) -> np.ndarray:
    """All intervals (K, 2), ascending and merged; those turned inside out are left out."""
    together = np.concatenate(parts)
    together = together[together[:, 1] > together[:, 0]]
    return joined(together[np.argsort(together[:, 0], kind="stable")])


def _intersection(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two lists of ascending disjoint intervals overlap, int64 (K, 2)."""
    low = np.searchsorted(second[:, 1], first[:, 0], side="right")
    counts = np.maximum(np.searchsorted(second[:, 0], first[:, 1], side="left") - low, 0)
    row = np.repeat(np.arange(len(first)), counts)
    other = np.arange(counts.sum()) + np.repeat(low - (np.cumsum(counts) - counts), counts)
    return np.stack((np.maximum(first[row, 0], second[other, 0]), np.minimum(first[row, 1], second[other, 1])), 1)


def _random_windows(known: np.ndarray, count: int, options: RegionOptions, draw: np.random.Generator) -> np.ndarray:
    """Windows int64 (count, 3), uniform over all starts in the known stretches."""
    starts = np.maximum(known[:, 2] - known[:, 1] - options.window + 1, 0)
    ends = np.cumsum(starts)
    if not len(ends) or not ends[-1]:
        return np.empty((0, 3), np.int64)
    number = draw.integers(0, ends[-1], count)
    interval = np.searchsorted(ends, number, side="right")
    start = known[interval, 2] - options.window + 1 - (ends[interval] - number)
    return np.stack((known[interval, 0], start, start + options.window), 1)
