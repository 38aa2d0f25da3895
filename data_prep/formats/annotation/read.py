"""From an annotation file to its coding transcripts."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

from data_prep.errors import DataPrepError
from data_prep.formats.annotation.gff3 import collect_gff3
from data_prep.formats.annotation.gtf import collect_gtf
from data_prep.formats.annotation.rows import Row, annotation_rows
from data_prep.formats.annotation.transcript import Transcript, TranscriptInfo, TranscriptRows, intervals
from data_prep.formats.text import numbered_lines
from data_prep.runtime.console import progress

COLLECTORS = {"gtf": collect_gtf, "gff3": collect_gff3}


@dataclass(frozen=True, slots=True)
class Annotation:
    """The coding transcripts of a file, sorted by id; `dropped` counts transcripts set aside, by reason."""

    dialect: str  # "gtf" or "gff3"
    transcripts: tuple[Transcript, ...]
    dropped: dict[str, int]
    header: tuple[str, ...]  # the comment lines on top, where GENCODE and Ensembl write the release
    has_stop_codons: bool  # whether stop_codon rows exist

    @property
    def tells_incomplete_ends(self) -> bool:
        """Ensembl's GFF3 has neither stop codon rows nor tags such as mRNA_end_NF (recipes/utrs.md#selection)."""
        tagged = any(tag.endswith("_NF") for transcript in self.transcripts for tag in transcript.tags)
        return self.dialect == "gtf" or self.has_stop_codons or tagged


def read_annotation(path: str | Path, *, strict: bool = False) -> Annotation:
    """Read GTF or GFF3, plain or compressed; lines may be in any order.

    Only transcripts with CDS rows are returned. One on two contigs or strands, without a strand, with coding parts
    outside its exons or with overlapping exons is counted in `dropped`; with `strict` it is an error.
    Raises DataPrepError for a broken row, a file without CDS rows, or one with neither exon nor UTR rows.
    """
    name = str(path)
    notes: list[str] = []
    seen_types: set[bytes] = set()
    bar = progress(numbered_lines(path), description=name, unit=" lines")
    lines = _note_header(bar, notes)
    rows = annotation_rows(name, lines)
    first = next(rows, None)
    if first is None:
        raise DataPrepError(f"{name}: no annotation rows; expected GTF or GFF3")
    dialect = _dialect(name, first, notes)
    found, infos = COLLECTORS[dialect](name, _note_types(chain([first], rows), seen_types))
    if b"CDS" not in seen_types:
        raise DataPrepError(f"{name}: no CDS rows, so no UTR can be told; use the full annotation file")
    if not any(rows.exons or rows.utr for rows in found.values()):
        raise DataPrepError(f"{name}: neither exon nor UTR rows; use the full annotation file")
    exons_from_parts = b"exon" not in seen_types
    transcripts, dropped = [], Counter[str]()
    for transcript_id in sorted(found):
        if not found[transcript_id].coding:
            continue
        if exons_from_parts:
            found[transcript_id].exons.extend(found[transcript_id].coding + found[transcript_id].utr)
        built = _assemble(name, transcript_id, found.pop(transcript_id), infos.get(transcript_id), exons_from_parts)
        if isinstance(built, Transcript):
            transcripts.append(built)
        elif strict:
            raise DataPrepError(f"{name}: transcript {transcript_id}: {built.replace('_', ' ')}")
        else:
            dropped[built] += 1
    return Annotation(dialect, tuple(transcripts), dict(dropped), tuple(notes), b"stop_codon" in seen_types)


def _assemble(
    path: str, transcript_id: str, rows: TranscriptRows, info: TranscriptInfo | None, merge_exons: bool
) -> Transcript | str:
    """The transcript, or the reason why it is none."""
    if info is None:
        return "no_transcript_row"
    if len(rows.places) > 1:
        return "on_two_contigs_or_strands"
    contig, strand = next(iter(rows.places))
    if strand not in (b"+", b"-"):
        return "no_strand"
    exons = _union(intervals(rows.exons)) if merge_exons else intervals(rows.exons)
    coding = intervals(rows.coding)
    if not exons:
        return "no_exons"
    if any(left[1] > right[0] for left, right in pairwise(exons)):
        return "overlapping_exons"
    if not all(any(start <= a and b <= end for start, end in exons) for a, b in coding):
        return "coding_outside_exons"
    return Transcript(
        id=transcript_id,
        gene_id=info.gene_id or transcript_id,
        gene_name=info.gene_name,
        biotype=info.biotype,
        tags=info.tags,
        contig=contig.decode("utf-8", "replace"),
        strand=strand.decode(),
        exons=tuple(exons),
        coding=tuple(coding),
    )


def _union(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Touching and overlapping intervals joined: the exons of an annotation that has only CDS and UTR rows."""
    joined: list[tuple[int, int]] = []
    for start, end in parts:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _note_header(lines: Iterator[tuple[int, bytes]], notes: list[str]) -> Iterator[tuple[int, bytes]]:
    on_top = True
    for number, line in lines:
        if on_top and line.startswith((b"##", b"#!")) and not line.startswith(b"###"):
            notes.append(line.strip().decode("utf-8", "replace"))
        elif line.strip():
            on_top = False
        yield number, line


def _note_types(rows: Iterator[Row], seen: set[bytes]) -> Iterator[Row]:
    for row in rows:
        seen.add(row.type)
        yield row


def _dialect(path: str, row: Row, notes: list[str]) -> str:
    if any(note.startswith("##gff-version") and note.split()[-1].startswith("3") for note in notes):
        return "gff3"
    if re.match(rb"\s*[\w.:-]+=", row.attributes):
        return "gff3"
    if re.match(rb"\s*[\w.:-]+\s+\S", row.attributes):
        return "gtf"
    raise DataPrepError(
        f'{path} line {row.number}: the ninth column is neither GTF (key "value";) nor GFF3 (key=value;): '
        f"{row.attributes[:60].decode('utf-8', 'replace')!r}"
    )
