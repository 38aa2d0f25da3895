"""Route A: UTRs from a genome FASTA and an annotation."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.formats.annotation import Annotation, Transcript
from data_prep.formats.contig_names import ContigNames, missing_contigs_message
from data_prep.formats.genome import Contig, contig_names, read_contigs
from data_prep.runtime.console import progress
from data_prep.utr.candidates import Candidate
from data_prep.utr.circular import is_circular
from data_prep.utr.policy import INCOMPLETE_TAGS, UtrPolicy
from data_prep.utr.regions import splice, transcript_parts

BY_ALIAS = "contig_by_alias"


def eligible_transcripts(transcripts: Iterable[Transcript], policy: UtrPolicy, tally: Tally) -> Iterator[Transcript]:
    """Those whose biotype, contig and ends the policy admits; the rest counted by reason."""
    for transcript in transcripts:
        if policy.biotypes is not None and transcript.biotype not in policy.biotypes:
            tally.drop("transcripts", "biotype")
        elif policy.contigs is not None and transcript.contig not in policy.contigs:
            tally.drop("transcripts", "contig")
        elif policy.drop_incomplete and transcript.tags & INCOMPLETE_TAGS[policy.side]:
            tally.drop("transcripts", "incomplete_end")
        else:
            tally.keep("transcripts")
            yield transcript


def genome_candidates(
    genome: str,
    annotation_path: str,
    annotation: Annotation,
    policy: UtrPolicy,
    tally: Tally,
    *,
    match_chr: bool = False,
    aliases: Mapping[str, frozenset[str]] | None = None,
    skip_missing: bool = False,
) -> Iterator[Candidate]:
    """Candidates contig by contig, in the order of the FASTA.

    Raises DataPrepError where contigs of the annotation are missing in the FASTA (unless `skip_missing`, which counts
    their transcripts), where no contig is in both, and where an exon ends beyond a contig that is not circular.
    """
    called: dict[str, list[Transcript]] = defaultdict(list)  # by the contig's name in the annotation
    for transcript in eligible_transcripts(annotation.transcripts, policy, tally):
        called[transcript.contig].append(transcript)
    if not called:
        return
    waiting: dict[str, list[Transcript]] = defaultdict(list)  # by its name in the genome
    names: list[str] = []
    # Other names need all those of the genome first: the exact one wins.
    known = ContigNames(
        contig_names(genome) if match_chr or aliases else (), f"the contigs of {genome}", match_chr, aliases or {}
    )
    for contig_name, transcripts in called.items():
        waiting[known.find(contig_name) or contig_name] += transcripts
        if known.needs_alias(contig_name):
            tally.change("genome", BY_ALIAS, len(transcripts))
    found_any = False

    def wanted(name: str) -> bool:
        names.append(name)
        return name in waiting

    for contig in progress(read_contigs(genome, wanted), description=genome, unit=" contigs"):
        found_any = True
        for transcript in waiting.pop(contig.name):
            tally.keep("genome")
            yield _candidate(genome, annotation_path, contig, transcript, annotation, policy.side, tally)
    if waiting and not (skip_missing and found_any):
        missing = {transcript.contig for transcripts in waiting.values() for transcript in transcripts}
        raise DataPrepError(missing_contigs_message(annotation_path, genome, missing, names))
    tally.drop("genome", "contig_missing", sum(map(len, waiting.values())))


def _candidate(
    genome: str, path: str, contig: Contig, transcript: Transcript, annotation: Annotation, side: int, tally: Tally
) -> Candidate:
    letters, size = contig.sequence, len(contig.sequence)
    end = transcript.exons[-1][1]
    if end > size:
        if end > 2 * size or not is_circular(transcript.contig, annotation.circular):
            raise DataPrepError(
                f"{path}: transcript {transcript.id}: exon end {end} is beyond contig {contig.name} of {size} nt in "
                f"{genome}; genome and annotation are of different assemblies (or mark a circular contig with "
                "Is_circular=true in a GFF3)"
            )
        letters += letters[: end - size]
        tally.change("genome", "across_the_origin_of_a_circular_contig")
    five, coding, three = (splice(letters, parts, transcript.strand) for parts in transcript_parts(transcript))
    return Candidate(
        transcript_id=transcript.id,
        gene_id=transcript.gene_id,
        gene_name=transcript.gene_name,
        contig=transcript.contig,
        strand=transcript.strand,
        tags=transcript.tags,
        spliced_length=transcript.spliced_length,
        offset=len(five) + len(coding) if side == 3 else 0,
        sequence=three if side == 3 else five,
        first_codon=coding[:3].upper(),
        last_codon=coding[-3:].upper(),
        next_codon=three[:3].upper(),
        stop_row_nt=transcript.stop_row_nt,
    )
