"""Defaults fit the species: human chromosomes where the annotation is human, else all; biotypes that it uses."""

import re
from collections import Counter
from collections.abc import Sequence

from data_prep.errors import DataPrepError, shown_name
from data_prep.formats.annotation import Annotation
from data_prep.formats.contig_names import HUMAN, ContigNames, bare_name, parse_contigs
from data_prep.runtime.console import warn

ENOUGH = 20  # transcripts that make a statement about the annotation
HUMAN_AUTOSOMES_AND_X = HUMAN - {"Y", "M"}
# Chromosomes that no human has: 23 and more, W and Z, roman numbers, arms of flies.
NOT_HUMAN = re.compile(r"2[3-9]|[3-9]\d|1\d\d|[WZ]|I{1,3}|I?V|VI{1,3}|I?X[IVX]+|IX|\d[LR]")


def choose_contigs(choice: str, annotation: Annotation | None, path: str | None) -> frozenset[str] | None:
    """Names as the annotation has them, or None for all.

    choice: `auto`, `human`, `all`, or a comma-separated list, in which an exact name comes before a similar one.

    Raises:
        DataPrepError: `human` keeps a minority of the transcripts, or a listed name could be several contigs.
    """
    if annotation is None or choice == "all":
        return None
    names = sorted({transcript.contig for transcript in annotation.transcripts})
    counts = Counter(bare_name(transcript.contig) for transcript in annotation.transcripts)
    human = frozenset(name for name in names if bare_name(name) in HUMAN)
    if choice == "auto":
        is_human = counts.keys() >= HUMAN_AUTOSOMES_AND_X and not any(map(NOT_HUMAN.fullmatch, counts))
        return human if is_human else None
    if choice == "human":
        kept = sum(counts[name] for name in HUMAN)
        if kept * 2 < counts.total():
            raise DataPrepError(
                f"{path}: --contigs human fits {len(HUMAN & counts.keys())} of {len(counts)} contigs and {kept:,} of "
                f"{counts.total():,} coding transcripts; this is not a human annotation; give --contigs all or a list"
            )
        return human
    known = ContigNames(names, f"the contigs of {path}", True)
    return frozenset(filter(None, map(known.find, map(str.strip, choice.split(",")))))


def refuse_unknown_contigs(choice: str, annotations: Sequence[Annotation | None]) -> None:
    """DataPrepError for a listed contig that is in no annotation."""
    if choice in ("auto", "human", "all"):
        return
    known = {bare_name(transcript.contig) for found in annotations if found for transcript in found.transcripts}
    unknown = sorted((parse_contigs(choice) or frozenset()) - known)
    if unknown:
        raise DataPrepError(
            f"--contigs: no coding transcript lies on {', '.join(unknown[:5])}; the annotation has "
            f"{', '.join(sorted(known)[:10])}"
        )


def warn_of_unknown_biotypes(biotypes: frozenset[str] | None, annotations: Sequence[Annotation | None]) -> None:
    """A warning for listed biotypes that no coding transcript has; where none has any, the stage is an error anyway."""
    known = {transcript.biotype for found in annotations if found for transcript in found.transcripts}
    unknown = sorted((biotypes or frozenset()) - known)
    if unknown and biotypes and biotypes & known:
        warn(
            f"--biotypes: no coding transcript is {', '.join(map(shown_name, unknown[:5]))}; the annotation has "
            f"{', '.join(map(shown_name, sorted(known)[:10]))}"
        )


def refuse_minority_biotypes(biotypes: frozenset[str] | None, annotation: Annotation, path: str) -> None:
    """DataPrepError if the default biotypes fit a minority of the coding transcripts, though some of them."""
    counts = Counter(transcript.biotype for transcript in annotation.transcripts)
    kept = counts.total() if biotypes is None else sum(counts[name] for name in biotypes)
    if counts.total() >= ENOUGH and 0 < kept * 2 < counts.total():
        found = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(5))
        raise DataPrepError(
            f"{path}: the default biotypes fit {kept:,} of {counts.total():,} coding transcripts, whose biotypes are "
            f"{found}; give --biotypes with those you want, or all"
        )
