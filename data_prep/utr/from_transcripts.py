"""Route B: UTRs from a GENCODE transcript FASTA, whose headers give the coding part (recipes/utrs.md#transcripts)."""

import re
from collections.abc import Iterator

from data_prep.errors import DataPrepError
from data_prep.filters.tally import Tally
from data_prep.formats.annotation import Annotation, Transcript
from data_prep.formats.genome import Contig, read_contigs
from data_prep.utr.candidates import Candidate
from data_prep.utr.from_genome import eligible_transcripts
from data_prep.utr.policy import UtrPolicy

SPAN = re.compile(r"(UTR5|CDS|UTR3):(\d+)-(\d+)")


def transcript_candidates(
    path: str, annotation: Annotation | None, policy: UtrPolicy, tally: Tally
) -> Iterator[Candidate]:
    """Candidates in file order. The annotation, where given, supplies biotype, tags and contig for the filters.

    Raises DataPrepError for a header of another format and for spans that do not tile the sequence.
    """
    eligible: dict[str, Transcript] | None = None
    known: set[str] = set()
    if annotation is not None:
        known = {transcript.id for transcript in annotation.transcripts}
        eligible = {t.id: t for t in eligible_transcripts(annotation.transcripts, policy, tally)}
    for record in read_contigs(path):
        fields = record.name.split("|")
        spans = _spans(path, record, fields)
        if "CDS" not in spans:
            tally.drop("transcript_fasta", "no_coding_part")
        elif eligible is not None and fields[0] not in eligible:
            tally.drop("transcript_fasta", "not_eligible" if fields[0] in known else "not_in_annotation")
        else:
            tally.keep("transcript_fasta")
            yield _candidate(record, fields, spans, eligible[fields[0]] if eligible is not None else None, policy.side)


def _spans(path: str, record: Contig, fields: list[str]) -> dict[str, tuple[int, int]]:
    """0-based half-open spans by name, checked to tile the sequence."""
    if len(fields) < 8 or not fields[6].isdigit():
        raise DataPrepError(
            f"{path} record {fields[0]}: not a GENCODE transcript header "
            "(id|gene|havana gene|havana transcript|name|gene name|length|UTR5:a-b|CDS:a-b|UTR3:a-b|)"
        )
    if int(fields[6]) != len(record.sequence):
        raise DataPrepError(
            f"{path} record {fields[0]}: {len(record.sequence)} nt where the header says {fields[6]}; "
            "the file is cut off or edited, fetch it again"
        )
    matches = [match for match in map(SPAN.fullmatch, fields[7:]) if match]
    spans = {match[1]: (int(match[2]) - 1, int(match[3])) for match in matches}
    end = 0
    for name in ("UTR5", "CDS", "UTR3"):
        start, stop = spans.get(name, (end, end))
        if start != end or stop < start:
            raise DataPrepError(f"{path} record {fields[0]}: spans {' '.join(m[0] for m in matches)} leave a gap")
        end = stop
    if spans and end != len(record.sequence):
        raise DataPrepError(f"{path} record {fields[0]}: spans end at {end} of {len(record.sequence)} nt")
    return spans


def _candidate(
    record: Contig, fields: list[str], spans: dict[str, tuple[int, int]], known: Transcript | None, side: int
) -> Candidate:
    sequence = record.sequence.upper().replace(b"U", b"T")
    start, end = spans.get(f"UTR{side}", (len(sequence), len(sequence)))
    coding, after = sequence[slice(*spans["CDS"])], sequence[spans["CDS"][1] :]
    return Candidate(
        transcript_id=fields[0],
        gene_id=fields[1],
        gene_name=fields[5],
        contig=known.contig if known else "",
        strand=known.strand if known else "",
        tags=known.tags if known else frozenset(),
        spliced_length=len(sequence),
        offset=start,
        sequence=sequence[start:end],
        first_codon=coding[:3],
        last_codon=coding[-3:],
        next_codon=after[:3],
    )
