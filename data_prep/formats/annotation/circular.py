"""Transcripts across the origin of a circular contig: their rows go on at its start, or beyond its end."""

from array import array
from itertools import pairwise

from data_prep.formats.annotation.transcript import INTERVALS, TranscriptRows, intervals, union


def unroll(rows: TranscriptRows, contig_nt: int) -> bool:
    """Write the rows of a transcript with positions that go on beyond the end of the contig; whether that was needed.

    The origin is crossed where the transcript's own row ends beyond the contig, or where it (or its exons, where it has
    no row) is in two parts, one to the last base and one from the first.
    """
    first = _first_base(rows, contig_nt)
    if first is None:
        return False
    for name in INTERVALS:
        flat = getattr(rows, name)
        moved = [
            (s, e) if s >= first else (s + contig_nt, e + contig_nt) for s, e in zip(flat[::2], flat[1::2], strict=True)
        ]
        parts = union(moved) if name == "spans" else moved
        setattr(rows, name, array("q", [position for part in parts for position in part]))
    return True


def _first_base(rows: TranscriptRows, contig_nt: int) -> int | None:
    """Where the transcript begins on the forward strand, if it crosses the origin."""
    spans = intervals(rows.spans)
    if len(spans) == 1:
        return spans[0][0] if spans[0][1] > contig_nt else None
    parts = spans or union(intervals(rows.exons) or intervals(rows.coding + rows.stop + rows.utr))
    if len(parts) < 2 or parts[0][0] != 0 or parts[-1][1] != contig_nt:
        return None
    return max(pairwise(parts), key=lambda two: two[1][0] - two[0][1])[1][0]
