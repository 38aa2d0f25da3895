"""One transcript id at several places: files that name transcripts by their mRNA (RefSeq, UCSC) repeat it.

What shows it, in this order: several transcript rows; exon numbers that start again; exon lengths that repeat (the same
mRNA, aligned twice); more than one stop codon. The order of lines is never used.
"""

from itertools import pairwise

from data_prep.formats.annotation.transcript import INTERVALS, Interval, TranscriptRows, holds, intervals, union

SHORTEST_COPY_NT = 60  # exon lengths of very short transcripts may repeat by chance


def split_loci(rows: TranscriptRows) -> list[TranscriptRows] | None:
    """The rows by locus, in genomic order: mostly one. None where there are several that cannot be told apart."""
    spans = intervals(rows.spans)
    if len(spans) > 1:
        cuts = [start for start, _ in spans[1:]]
        if any(left[1] > right[0] for left, right in pairwise(spans)):
            return None
    else:
        cuts = _restarts(rows) or ([] if spans or all(rows.exon_numbers) else _repeats(intervals(rows.exons)))
    if not cuts:
        return None if sum(end - start for start, end in union(intervals(rows.stop))) > 3 else [rows]
    return _divide(rows, cuts)


def complete_places(places: list[TranscriptRows]) -> bool:
    """Whether rows on several contigs are copies of a transcript, each whole, rather than parts of one.

    Parts on both strands of one contig are trans-splicing, or an error.
    """
    contigs = [rows.contig for rows in places]
    return len(set(contigs)) == len(contigs) and all(map(_is_whole, places))


def _is_whole(rows: TranscriptRows) -> bool:
    """Whether the coding part lies in exons that are told here."""
    coding = intervals(rows.coding + rows.stop)
    if not coding or not rows.exons:
        return not coding or bool(rows.utr)
    return holds(union(intervals(rows.exons + rows.utr + rows.stop)), coding)


def _restarts(rows: TranscriptRows) -> list[int]:
    """Starts of exons at which the exon numbers begin anew."""
    if len(rows.exon_numbers) * 2 != len(rows.exons) or not all(rows.exon_numbers):
        return []
    if len(set(rows.exon_numbers)) == len(rows.exon_numbers):  # nearly always
        return []
    numbered = sorted(set(zip(rows.exons[::2], rows.exons[1::2], rows.exon_numbers, strict=True)))
    numbers = [number for _, _, number in numbered]
    if len(set(numbers)) == len(numbers) or (len(set(numbers)) == 1 and len(numbers) > 2):
        return []  # distinct but for rows that are there twice, or a file that gives all exons one number
    cuts, run = [], numbers[:1]
    for (start, _, number), before in zip(numbered[1:], numbers, strict=False):
        rises = len(run) < 2 or run[1] > run[0]
        falls = len(run) < 2 or run[1] < run[0]
        if (number > before and rises) or (number < before and falls and number not in run):
            run.append(number)
        else:
            cuts.append(start)
            run = [number]
    return cuts


def _repeats(exons: list[Interval]) -> list[int]:
    """Starts of the second and later copies, where the list of exon lengths is one list several times over."""
    lengths = [end - start for start, end in exons]
    for size in range(2, len(exons) // 2 + 1):
        copy = lengths[:size]
        if len(lengths) % size == 0 and sum(copy) >= SHORTEST_COPY_NT and copy * (len(lengths) // size) == lengths:
            return [start for start, _ in exons[size::size]]
    return []


def _divide(rows: TranscriptRows, cuts: list[int]) -> list[TranscriptRows] | None:
    parts = [TranscriptRows(rows.contig, rows.strand) for _ in range(len(cuts) + 1)]
    for name in INTERVALS:
        for start, end in intervals(getattr(rows, name)):
            place = sum(start >= cut for cut in cuts)
            if place < len(cuts) and end > cuts[place]:
                return None
            getattr(parts[place], name).extend((start, end))
    return parts
