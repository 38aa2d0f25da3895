"""Route B: UTRs from a GENCODE transcript FASTA, whose headers give the coding part (recipes/utrs.md#transcripts)."""

import re
from collections.abc import Iterable, Iterator

from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError, shown_name
from data_prep.formats.annotation import Annotation, Transcript
from data_prep.formats.genome import Contig, read_contigs
from data_prep.formats.numbers import WHOLE
from data_prep.utr.candidates import Candidate
from data_prep.utr.from_genome import eligible_transcripts
from data_prep.utr.policy import UtrPolicy
from data_prep.utr.regions import AS_DNA

VERSION = re.compile(r"\.\d+$")
SPAN = re.compile(r"(UTR5|CDS|UTR3):(\d{1,18})-(\d{1,18})", re.ASCII)


class AnnotatedIds:
    """Ids of an annotation, found exactly, or without their version where that is asked for and means one.

    matched: how many were found; other_version: the first pair (as asked, as annotated) that only versions part.
    """

    def __init__(self, transcripts: Iterable[Transcript], ignore_versions: bool):
        self._ids = {transcript.id for transcript in transcripts}
        self._without: dict[str, set[str]] = {}
        for name in self._ids:
            self._without.setdefault(VERSION.sub("", name), set()).add(name)
        self._ignore_versions = ignore_versions
        self.matched = 0
        self.other_version: tuple[str, str] | None = None

    def find(self, name: str) -> str | None:
        """The id as the annotation has it; DataPrepError where without versions it could be several."""
        similar = self._without.get(VERSION.sub("", name), set())
        if name in self._ids:
            found: str | None = name
        elif not self._ignore_versions or not similar:
            found = None
        elif len(similar) > 1:
            raise DataPrepError(f"{shown_name(name)} could be {' and '.join(sorted(similar)[:2])} of the annotation")
        else:
            found = next(iter(similar))
        self.matched += found is not None
        return found

    def why_not(self, name: str) -> str:
        """The reason under which a transcript is counted that is not eligible."""
        similar = self._without.get(VERSION.sub("", name), set())
        if name in self._ids or (similar and self._ignore_versions):
            return "not_eligible"
        if similar:
            self.other_version = self.other_version or (name, min(similar))
            return "id_of_another_version"
        return "not_in_annotation"


def transcript_candidates(
    path: str, annotation: Annotation | None, policy: UtrPolicy, tally: Tally, *, ignore_versions: bool = False
) -> Iterator[Candidate]:
    """Candidates in file order. The annotation, where given, supplies biotype, tags and contig for the filters.

    ignore_versions: an id that the annotation lacks is looked up without its version (`ENST01.2` as `ENST01`).
    Raises DataPrepError for a header of another format, for spans that do not tile the sequence, and where ids of both
    files differ by their version only.
    """
    eligible: dict[str, Transcript] | None = None
    known = AnnotatedIds(annotation.transcripts if annotation else (), ignore_versions)
    if annotation is not None:
        eligible = {t.id: t for t in eligible_transcripts(annotation.transcripts, policy, tally)}
    for record in read_contigs(path):
        fields = record.name.split("|")
        spans = _spans(path, record, fields)
        if "CDS" not in spans:
            tally.drop("transcript_fasta", "no_coding_part")
        elif eligible is not None and known.find(fields[0]) not in eligible:
            tally.drop("transcript_fasta", known.why_not(fields[0]))
        else:
            tally.keep("transcript_fasta")
            transcript = eligible[known.find(fields[0]) or ""] if eligible is not None else None
            yield _candidate(record, fields, spans, transcript, policy.side)
    if known.other_version and not known.matched:
        here, there = known.other_version
        raise DataPrepError(
            f"{path}: ids differ from those of the annotation only by their version ({shown_name(here)} here, "
            f"{shown_name(there)} there); give files of one release, or --ignore-id-versions"
        )


def _spans(path: str, record: Contig, fields: list[str]) -> dict[str, tuple[int, int]]:
    """0-based half-open spans by name, checked to tile the sequence."""
    if len(fields) < 8 or not WHOLE.fullmatch(fields[6].encode()):
        raise DataPrepError(
            f"{path} record {shown_name(fields[0])}: not a GENCODE transcript header "
            "(id|gene|havana gene|havana transcript|name|gene name|length|UTR5:a-b|CDS:a-b|UTR3:a-b|)"
        )
    if int(fields[6]) != len(record.sequence):
        raise DataPrepError(
            f"{path} record {shown_name(fields[0])}: {len(record.sequence)} nt where the header says {fields[6]}; "
            "the file is cut off or edited, fetch it again"
        )
    matches = [match for match in map(SPAN.fullmatch, fields[7:]) if match]
    spans = {match[1]: (int(match[2]) - 1, int(match[3])) for match in matches}
    end = 0
    for name in ("UTR5", "CDS", "UTR3"):
        start, stop = spans.get(name, (end, end))
        if start != end or stop < start:
            raise DataPrepError(
                f"{path} record {shown_name(fields[0])}: spans {' '.join(m[0] for m in matches)} leave a gap"
            )
        end = stop
    if spans and end != len(record.sequence):
        raise DataPrepError(f"{path} record {shown_name(fields[0])}: spans end at {end} of {len(record.sequence)} nt")
    return spans


def _candidate(
    record: Contig, fields: list[str], spans: dict[str, tuple[int, int]], known: Transcript | None, side: int
) -> Candidate:
    sequence = record.sequence.translate(AS_DNA)
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
        first_codon=coding[:3].upper(),
        last_codon=coding[-3:].upper(),
        next_codon=after[:3].upper(),
    )
