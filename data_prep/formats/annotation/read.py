"""From an annotation file to its coding transcripts."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path

from data_prep.errors import DataPrepError
from data_prep.formats.annotation.circular import unroll
from data_prep.formats.annotation.genes import separate_genes
from data_prep.formats.annotation.gff3 import collect_gff3
from data_prep.formats.annotation.gtf import BARE_ID, collect_gtf
from data_prep.formats.annotation.loci import complete_places, split_loci
from data_prep.formats.annotation.rows import Row, annotation_rows
from data_prep.formats.annotation.transcript import (
    Transcript,
    TranscriptInfo,
    TranscriptRows,
    holds,
    intervals,
    union,
)
from data_prep.formats.text import numbered_lines
from data_prep.runtime.console import progress

COLLECTORS = {"gtf": collect_gtf, "gff3": collect_gff3}
ROWS_TO_TELL = 10_000  # AUGUSTUS and BRAKER: rows with a bare id come first and tell no dialect


@dataclass(frozen=True, slots=True)
class Annotation:
    """The coding transcripts of a file, sorted by id; `dropped` and `changed` count transcripts, by reason."""

    dialect: str  # "gtf" or "gff3"
    transcripts: tuple[Transcript, ...]
    dropped: dict[str, int]
    header: tuple[str, ...]  # the comment lines on top, where GENCODE and Ensembl write the release
    has_stop_codons: bool  # whether stop_codon rows exist
    changed: dict[str, int] = field(default_factory=dict)
    circular: frozenset[str] = frozenset()  # contigs that the file calls circular

    @property
    def tells_incomplete_ends(self) -> bool:
        """Whether ends outside the sequence are tagged (mRNA_end_NF, …), as GENCODE and Ensembl's GTF do."""
        return any(tag.endswith("_NF") for transcript in self.transcripts for tag in transcript.tags)


def read_annotation(path: str | Path, *, strict: bool = False) -> Annotation:
    """Read GTF or GFF3, plain or compressed; lines may be in any order.

    Only transcripts with CDS rows are returned. One on two contigs or strands, without a strand, with coding parts
    outside its exons or with overlapping exons is counted in `dropped`; with `strict` it is an error. An id at several
    places is kept apart, as `ID@contig:start-end`.
    Raises DataPrepError for a broken row, a file without CDS rows, or one with neither exon nor UTR rows.
    """
    name = str(path)
    notes: list[str] = []
    bar = progress(numbered_lines(path), description=name, unit=" lines")
    features = annotation_rows(name, _note_header(iter(bar), notes))
    dialect, first = _dialect(name, features, notes)
    collected = COLLECTORS[dialect](name, chain(first, features))
    found, infos = collected.rows, collected.infos
    every = [rows for places in found.values() for rows in places]
    if not any(rows.coding or rows.stop for rows in every):
        raise DataPrepError(
            f"{name}: no CDS rows, so no UTR can be told; use the full annotation file (assemblies of transcripts, as "
            "StringTie's, have none: predict them first, for example with TransDecoder)"
        )
    has_stop_codons = any(rows.stop for rows in every)
    if not any(rows.exons or rows.utr for rows in every):
        raise DataPrepError(f"{name}: neither exon nor UTR rows; use the full annotation file")
    transcripts, keys = [], []
    dropped, changed = Counter(collected.dropped), Counter[str]()
    for transcript_id in sorted(found):
        info = infos.get(transcript_id)
        places = found.pop(transcript_id)
        for rows in places:
            contig_nt = collected.circular.get(rows.contig.decode("utf-8", "replace"))
            changed["across_the_origin"] += bool(contig_nt and unroll(rows, contig_nt))
        built, reason = _transcripts(transcript_id, places, info, changed)
        if reason and strict:
            raise DataPrepError(f"{name}: transcript {transcript_id}: {reason.replace('_', ' ')}")
        dropped.update([reason] if reason else [])
        transcripts += built
        keys += [info.gene_key if info else ""] * len(built)
    apart, counts = separate_genes(transcripts, keys, collected.gene_rows)
    return Annotation(
        dialect=dialect,
        transcripts=tuple(sorted(apart, key=lambda transcript: transcript.id)),
        dropped=dict(dropped),
        header=tuple(notes),
        has_stop_codons=has_stop_codons,
        changed=dict(changed + Counter(counts)),
        circular=frozenset(collected.circular),
    )


def _transcripts(
    transcript_id: str, places: list[TranscriptRows], info: TranscriptInfo | None, changed: Counter[str]
) -> tuple[list[Transcript], str]:
    """The coding transcripts that bear an id (mostly one, none for other RNAs), and the reason why there is none."""
    if not any(rows.coding or rows.stop for rows in places):
        return [], ""
    if info is None:
        return [], "no_transcript_row"
    if len(places) > 1 and not complete_places(places):
        return [], "on_two_contigs_or_strands"
    split = [split_loci(rows) for rows in sorted(places, key=lambda rows: rows.contig)]
    if any(loci is None for loci in split):
        return [], "one_id_at_several_places"
    loci = [locus for found in split for locus in found or []]
    coding = [locus for locus in loci if locus.coding or locus.stop]
    built = [_assemble(transcript_id, locus, info, changed) for locus in coding]
    transcripts = [one for one in built if isinstance(one, Transcript)]
    if len(loci) > 1:
        changed["ids_at_several_places_kept_apart"] += 1
    if len(coding) > 1:
        transcripts = [
            replace(one, id=f"{one.id}@{one.contig}:{one.exons[0][0] + 1}-{one.exons[-1][1]}") for one in transcripts
        ]
    if transcripts and not info.biotype_from:
        changed["coding_because_of_a_cds"] += 1
    if transcripts and info.biotype_from == "gene":
        changed["biotype_of_the_gene"] += 1
    return transcripts, next((one for one in built if isinstance(one, str)), "")


def _assemble(
    transcript_id: str, rows: TranscriptRows, info: TranscriptInfo, changed: Counter[str]
) -> Transcript | str:
    """The transcript, or the reason why it is none."""
    if rows.strand not in (b"+", b"-"):
        return "no_strand"
    exons, stop, utr = intervals(rows.exons), intervals(rows.stop), intervals(rows.utr)
    coding = intervals(rows.coding + rows.stop)
    if not exons and not utr:
        return "no_exons"
    if any(left[1] > right[0] for left, right in pairwise(exons)):
        return "overlapping_exons"
    if not exons:
        exons = union(coding + utr)
    elif not holds(exons, utr + stop):
        exons = union(exons + utr + stop)
        changed["exons_completed_from_utr_or_stop_rows"] += 1
    if not holds(exons, coding):
        return "coding_outside_exons"
    return Transcript(
        id=transcript_id,
        gene_id=info.gene_id or transcript_id,
        gene_name=info.gene_name,
        biotype=info.biotype,
        tags=info.tags,
        contig=rows.contig.decode("utf-8", "replace"),
        strand=rows.strand.decode(),
        exons=tuple(exons),
        coding=tuple(coding),
        stop_row_nt=sum(end - start for start, end in union(stop)),
    )


def _note_header(lines: Iterator[tuple[int, bytes]], notes: list[str]) -> Iterator[tuple[int, bytes]]:
    head = []
    for number, line in lines:
        head.append((number, line))
        is_note = line.startswith((b"##", b"#!")) and not line.startswith(b"###")
        notes += [line.strip().decode("utf-8", "replace")] if is_note else []
        if line.strip() and not is_note:
            break
    return chain(head, lines)


def _dialect(path: str, rows: Iterator[Row], notes: list[str]) -> tuple[str, list[Row]]:
    """What the file is written in, and the rows that were read to tell it."""
    first: list[Row] = []
    for row in rows:
        first.append(row)
        if any(note.startswith("##gff-version") and note.split()[-1].startswith("3") for note in notes):
            return "gff3", first
        if re.match(rb"\s*[\w.:-]+=", row.attributes):
            return "gff3", first
        if re.match(rb"\s*[\w.:-]+\s+\S", row.attributes):
            return "gtf", first
        if not BARE_ID.fullmatch(row.attributes) or len(first) == ROWS_TO_TELL:
            break
    if not first:
        raise DataPrepError(f"{path}: no annotation rows; expected GTF or GFF3")
    raise DataPrepError(
        f'{path} line {first[-1].number}: the ninth column is neither GTF (key "value";) nor GFF3 (key=value;): '
        f"{first[-1].attributes[:60].decode('utf-8', 'replace')!r}"
    )
