"""What `utr3` and `utr5` do: read, select, cut, write."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from data_prep.corpus import Ragged, SequenceWriter, describe_source
from data_prep.corpus.spans import soft_mask_column
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.fetch.fetch import origin_of
from data_prep.formats.annotation import Annotation, read_annotation
from data_prep.formats.contig_aliases import read_aliases
from data_prep.formats.contig_names import warn_if_idle
from data_prep.formats.file_names import refuse_repeated_files
from data_prep.runtime.console import already_complete, refuse_idle, report
from data_prep.utr.candidates import Candidate
from data_prep.utr.from_genome import BY_ALIAS, genome_candidates
from data_prep.utr.from_transcripts import transcript_candidates
from data_prep.utr.inputs import keep_apart, labels_of
from data_prep.utr.options import policy_of
from data_prep.utr.pieces import UtrChunk, cut, split_by_gene
from data_prep.utr.policy import UtrPolicy
from data_prep.utr.select import select, sound
from data_prep.utr.species import refuse_minority_biotypes, refuse_unknown_contigs, warn_of_unknown_biotypes
from data_prep.utr.stop_codon import check_assembly, settle_stop_codons

ROWS = 4096  # appended at once


@dataclass(frozen=True)
class Input:
    """One genome or transcript FASTA with its annotation, and the policy that fits them."""

    fasta: str
    annotation_path: str | None
    annotation: Annotation | None
    policy: UtrPolicy
    label: str  # tells it from the others; empty where there is one


def build_utr_corpus(args: argparse.Namespace, side: int) -> int:
    """Build the corpus that the arguments describe."""
    paired = _paired(args)
    labels = labels_of([annotation or fasta for fasta, annotation in paired]) if len(paired) > 1 else [""]
    inputs = [
        _read(args, side, fasta, annotation, label) for (fasta, annotation), label in zip(paired, labels, strict=True)
    ]
    refuse_unknown_contigs(args.contigs, [given.annotation for given in inputs])
    policy = inputs[0].policy
    if args.biotypes:
        warn_of_unknown_biotypes(policy.biotypes, [given.annotation for given in inputs])
    with SequenceWriter(
        args.out,
        stage=f"utr{side}",
        parameters=_parameters(args, inputs),
        sources=[source for given in inputs for source in _sources(given)]
        + [describe_source(table) for table in filter(None, [args.contig_aliases])],
        columns=("gene", "source", *(["soft_mask"] if args.keep_case else [])),
        alphabet=policy.alphabet,
        overwrite=args.overwrite,
    ) as writer:
        if writer.complete:
            return already_complete(writer.out)
        tally = Tally()
        aliases = read_aliases(args.contig_aliases) if args.contig_aliases else {}
        found = [candidate for given in inputs for candidate in _candidates(args, given, aliases, tally)]
        chosen = select(keep_apart(found), policy, tally)
        train, validation = split_by_gene(cut(chosen, policy, tally), policy.validation, tally)
        if not train:
            raise DataPrepError(f"{writer.out}: {nothing_left(tally, inputs)}; nothing written")
        for split, pieces in (("train", train), ("validation", validation)):
            for start in range(0, len(pieces), ROWS):
                _append(writer, split, pieces[start : start + ROWS], keep_case=args.keep_case)
        warn_if_idle(args.contig_aliases, BY_ALIAS in tally.changed())
        report(writer.finish(tally, held_out_asked=args.validation is not None), writer.out)
    if inputs[0].annotation is None:  # said of a corpus that was made: an error stays one line
        print(
            f"warning: {inputs[0].fasta} carries no biotypes (GENCODE mixes nonsense_mediated_decay and others in); "
            "give --annotation too to filter them",
            file=sys.stderr,
        )
    return 0


def _paired(args: argparse.Namespace) -> list[tuple[str, str | None]]:
    """(FASTA, annotation) of each input."""
    genomes, transcripts, annotations = args.genome or [], args.transcripts or [], args.annotation or []
    if genomes and transcripts:
        raise DataPrepError("give either --genome with --annotation, or --transcripts, not both")
    if not genomes and not transcripts:
        raise DataPrepError("give --genome with --annotation, or --transcripts with a GENCODE pc_transcripts FASTA")
    if transcripts:
        refuse_idle(args, {"match_chr": False, "contig_aliases": None, "on_missing_contig": "stop"}, "--genome")
    if not annotations:
        refuse_idle(args, {"strict": False, "keep_incomplete": False, "ignore_id_versions": False}, "--annotation")
    if genomes:
        refuse_idle(args, {"ignore_id_versions": False}, "--transcripts")
    if len(annotations) != len(genomes or transcripts) and (genomes or annotations):
        raise DataPrepError(
            f"{len(genomes or transcripts)} FASTA but {len(annotations)} --annotation; give one for each"
        )
    refuse_repeated_files(annotations or transcripts)
    return list(zip_longest(genomes or transcripts, annotations))


def _read(args: argparse.Namespace, side: int, fasta: str, path: str | None, label: str) -> Input:
    annotation = read_annotation(path, strict=args.strict) if path else None
    policy = policy_of(args, side, annotation, path)
    if annotation and path and not args.biotypes:
        refuse_minority_biotypes(policy.biotypes, annotation, path)
    return Input(fasta, path, annotation, policy, label)


def nothing_left(tally: Tally, inputs: Sequence[Input]) -> str:
    """Why no sequence is left, with what the annotation has where a filter took it."""
    dropped = tally.dropped()
    reasons = ", ".join(f"{reason} {count}" for reason, count in dropped.most_common())
    advice = ["; transcripts that have CDS rows alone tell no UTR"] if dropped["no_exons"] else []
    if dropped["not_canonical"]:
        advice.append("; no transcript is tagged Ensembl_canonical or MANE_Select: give another --per-gene")
    transcripts = [one for given in inputs if given.annotation for one in given.annotation.transcripts]
    for reason, flag, values in (
        ("biotype", "--biotypes", Counter(one.biotype for one in transcripts)),
        ("contig", "--contigs", Counter(one.contig for one in transcripts)),
    ):
        if dropped[reason]:
            found = ", ".join(f"{value} ({count:,})" for value, count in values.most_common(5))
            advice.append(
                f"; the {reason}s of the coding transcripts: {found}; give {flag} with those you want, or all"
            )
    return f"no training sequence is left (dropped: {reasons or 'none'}){''.join(advice)}"


def _candidates(
    args: argparse.Namespace, given: Input, aliases: Mapping[str, frozenset[str]], tally: Tally
) -> Iterator[Candidate]:
    """The candidates of one input with sound ends and length."""
    _count_annotation(given.annotation, tally)
    if given.annotation is None or args.transcripts:
        found = transcript_candidates(
            given.fasta, given.annotation, given.policy, tally, ignore_versions=args.ignore_id_versions
        )
    else:
        found = genome_candidates(
            given.fasta, str(given.annotation_path), given.annotation, given.policy, tally,
            match_chr=args.match_chr, aliases=aliases, skip_missing=args.on_missing_contig == "skip",
        )  # fmt: skip
    candidates = [replace(candidate, input=given.label) for candidate in found]
    if args.check_codons != "off":
        candidates = settle_stop_codons(candidates, given.policy.side, tally)
        if given.annotation and not args.transcripts:
            check_assembly(candidates, given.fasta, str(given.annotation_path))
    return sound(candidates, given.policy, tally)


def _append(writer: SequenceWriter, split: str, pieces: list[UtrChunk], *, keep_case: bool) -> None:
    columns: dict[str, Any] = {}
    if keep_case:
        letters = Ragged.from_rows(piece.source_letters for piece in pieces)
        columns["soft_mask"] = soft_mask_column(Ragged((letters.values >= ord("a")).view(np.uint8), letters.offsets))
    writer.append(
        split,
        [piece.id for piece in pieces],
        [piece.sequence for piece in pieces],
        gene=[piece.candidate.gene_id for piece in pieces],
        source=[piece.source for piece in pieces],
        **columns,
    )


def _parameters(args: argparse.Namespace, inputs: list[Input]) -> dict[str, Any]:
    """The policy and the switches; what depends on the annotation is listed for each input."""
    shared = asdict(inputs[0].policy) | {
        name: getattr(args, name)
        for name in ("preset", "match_chr", "ignore_id_versions", "on_missing_contig", "strict", "keep_case")
    }
    each = {
        "contigs": [_sorted(given.policy.contigs) for given in inputs],
        "check_codons": [given.policy.check_codons for given in inputs],
    }
    return shared | {"biotypes": _sorted(inputs[0].policy.biotypes)} | each


def _sorted(names: frozenset[str] | None) -> list[str] | None:
    return sorted(names) if names is not None else None


def _sources(given: Input) -> list[dict[str, Any]]:
    label = {"input": given.label} if given.label else {}
    sources = [describe_source(given.fasta, **origin_of(given.fasta), **label)]
    if given.annotation and given.annotation_path:
        facts = {"dialect": given.annotation.dialect, "header": list(given.annotation.header), **label}
        sources.append(describe_source(given.annotation_path, **origin_of(given.annotation_path), **facts))
    return sources


def _count_annotation(annotation: Annotation | None, tally: Tally) -> None:
    if annotation:
        tally.keep("annotation", len(annotation.transcripts))
        for reason, count in sorted(annotation.dropped.items()):
            tally.drop("annotation", reason, count)
        for what, count in sorted(annotation.changed.items()):
            tally.change("annotation", what, count)
