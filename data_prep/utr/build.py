"""What `utr3` and `utr5` do: read, select, cut, write."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from data_prep.annotation import Annotation, read_annotation
from data_prep.cli import report
from data_prep.corpus import SequenceWriter, describe_source
from data_prep.errors import DataPrepError
from data_prep.fetch.fetch import origin_of
from data_prep.tally import Tally
from data_prep.utr.candidates import Candidate
from data_prep.utr.from_genome import genome_candidates
from data_prep.utr.from_transcripts import transcript_candidates
from data_prep.utr.options import policy_of
from data_prep.utr.pieces import Piece, cut, split_by_gene
from data_prep.utr.policy import UtrPolicy
from data_prep.utr.select import select

ROWS = 4096  # appended at once


def build_utr_corpus(args: argparse.Namespace, side: int) -> int:
    """Build the corpus that the arguments describe."""
    _check_inputs(args)
    annotation = read_annotation(args.annotation, strict=args.strict) if args.annotation else None
    policy = policy_of(args, side, annotation)
    stage = f"utr{side}"
    with SequenceWriter(
        args.out,
        stage=stage,
        parameters=_parameters(args, policy),
        sources=_sources(args, annotation),
        columns=("gene", "source"),
        alphabet=policy.alphabet,
        overwrite=args.overwrite,
    ) as writer:
        if writer.complete:
            print(f"{args.out} already holds this corpus")
            return 0
        tally = _tally_of(annotation)
        chosen = select(_candidates(args, annotation, policy, tally), policy, tally)
        train, validation = split_by_gene(cut(chosen, policy, tally), policy.val_fraction, tally)
        for split, pieces in (("train", train), ("validation", validation)):
            for start in range(0, len(pieces), ROWS):
                _append(writer, split, pieces[start : start + ROWS])
        report(writer.finish(tally), args.out)
    return 0


def _check_inputs(args: argparse.Namespace) -> None:
    if args.transcripts and args.genome:
        raise DataPrepError("give either --genome with --annotation, or --transcripts, not both")
    if not args.transcripts and not (args.genome and args.annotation):
        raise DataPrepError("give --genome with --annotation, or --transcripts with a GENCODE pc_transcripts FASTA")
    if args.transcripts and not args.annotation:
        print(
            f"warning: {args.transcripts} carries no biotypes (GENCODE mixes nonsense_mediated_decay and others in); "
            "give --annotation too to filter them",
            file=sys.stderr,
        )


def _candidates(
    args: argparse.Namespace, annotation: Annotation | None, policy: UtrPolicy, tally: Tally
) -> Iterator[Candidate]:
    if args.transcripts:
        return transcript_candidates(args.transcripts, annotation, policy, tally)
    assert annotation is not None  # _check_inputs saw to it
    skip = args.on_missing_contig == "skip"
    return genome_candidates(
        args.genome, args.annotation, annotation, policy, tally, match_chr=args.match_chr, skip_missing=skip
    )


def _append(writer: SequenceWriter, split: str, pieces: list[Piece]) -> None:
    writer.append(
        split,
        [piece.id for piece in pieces],
        [piece.sequence for piece in pieces],
        gene=[piece.candidate.gene_id for piece in pieces],
        source=[piece.source for piece in pieces],
    )


def _parameters(args: argparse.Namespace, policy: UtrPolicy) -> dict[str, Any]:
    sets = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in asdict(policy).items()}
    switches = {name: getattr(args, name) for name in ("preset", "match_chr", "on_missing_contig", "strict")}
    return {**sets, **switches}


def _sources(args: argparse.Namespace, annotation: Annotation | None) -> list[dict[str, Any]]:
    sources = [describe_source(path, **origin_of(path)) for path in (args.genome, args.transcripts) if path]
    if annotation:
        known = {**origin_of(args.annotation), "dialect": annotation.dialect, "header": list(annotation.header)}
        sources.append(describe_source(args.annotation, **known))
    return sources


def _tally_of(annotation: Annotation | None) -> Tally:
    tally = Tally()
    if annotation:
        tally.keep("annotation", len(annotation.transcripts))
        for reason, count in sorted(annotation.dropped.items()):
            tally.drop("annotation", reason, count)
    return tally
