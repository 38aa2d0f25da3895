"""Which transcripts are of one gene: gene ids are unique only where the file has one row for the gene."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from data_prep.formats.annotation.transcript import Interval, Transcript


def separate_genes(
    transcripts: list[Transcript], keys: list[str], gene_rows: dict[str, int]
) -> tuple[list[Transcript], dict[str, int]]:
    """The transcripts with gene ids that are one gene each, and what was changed by how many.

    keys (parallel to transcripts): what identifies the gene in the file. A gene symbol at several places becomes
    `SYMBOL@contig:start-end`; where every transcript is its own gene (UCSC's table browser), those whose CDS overlap
    are one gene, named after the first of them.
    """
    no_genes = not any(gene_rows.get(key) for key in keys)
    if len(transcripts) > 1 and no_genes and all(transcript.gene_id == transcript.id for transcript in transcripts):
        return _by_overlap(transcripts)
    groups: dict[str, list[int]] = defaultdict(list)
    for number, transcript in enumerate(transcripts):
        groups[transcript.gene_id].append(number)
    found, several = list(transcripts), 0
    for gene, members in groups.items():
        if len(members) < 2:
            continue
        loci: dict[tuple[str, ...], list[int]] = defaultdict(list)
        unplaced = []
        for number in members:
            if gene_rows.get(keys[number]) == 1:
                loci["row", keys[number]].append(number)
            else:
                unplaced.append(number)
        for cluster in _clusters(transcripts, unplaced):
            loci["place", str(cluster[0])] = cluster
        if len(loci) < 2:
            continue
        several += 1
        for cluster in loci.values():
            name = f"{gene}@{_place([transcripts[number] for number in cluster])}"
            for number in cluster:
                found[number] = replace(transcripts[number], gene_id=name)
    return found, {"gene_ids_at_several_places_kept_apart": several} if several else {}


def _by_overlap(transcripts: list[Transcript]) -> tuple[list[Transcript], dict[str, int]]:
    found, joined = list(transcripts), 0
    for cluster in _clusters(transcripts, range(len(transcripts)), coding_only=True):
        gene = min(transcripts[number].id for number in cluster)
        for number in cluster:
            joined += transcripts[number].gene_id != gene
            found[number] = replace(transcripts[number], gene_id=gene)
    return found, {"transcripts_joined_to_a_gene_by_overlap": joined} if joined else {}


def _clusters(
    transcripts: list[Transcript], members: list[int] | range, *, coding_only: bool = False
) -> Iterator[list[int]]:
    """Members whose spans (or coding exons) overlap on one strand, directly or through others."""
    strands: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number in members:
        strands[transcripts[number].contig, transcripts[number].strand].append(number)
    for numbers in strands.values():
        parts: list[tuple[int, int, int]] = []
        for number in numbers:
            exons = transcripts[number].exons
            spans: tuple[Interval, ...] = transcripts[number].coding if coding_only else ((exons[0][0], exons[-1][1]),)
            parts += [(start, end, number) for start, end in spans]
        yield from _connected(parts)


def _connected(parts: list[tuple[int, int, int]]) -> Iterator[list[int]]:
    """Numbers whose intervals (start, end, number) overlap, joined through shared numbers; sorted."""
    leader: dict[int, int] = {}

    def find(number: int) -> int:
        while leader.setdefault(number, number) != number:
            number = leader[number]
        return number

    reach, last = -1, -1
    for start, end, number in sorted(parts):
        if start < reach:
            leader[find(number)] = find(last)
        else:
            find(number)
        if end > reach:
            reach = end
        last = number
    groups: dict[int, list[int]] = defaultdict(list)
    for number in leader:
        groups[find(number)].append(number)
    yield from (sorted(group) for group in groups.values())


def _place(cluster: list[Transcript]) -> str:
    low, high = min(t.exons[0][0] for t in cluster), max(t.exons[-1][1] for t in cluster)
    return f"{cluster[0].contig}:{low + 1}-{high}"
