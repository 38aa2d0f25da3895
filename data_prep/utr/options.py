"""The command line of `utr3` and `utr5`."""

import argparse
from dataclasses import fields, replace
from typing import Any

from data_prep.errors import DataPrepError
from data_prep.formats.annotation import Annotation
from data_prep.formats.contig_names import HUMAN, bare_name, parse_contigs
from data_prep.nucleotides import ALPHABETS
from data_prep.runtime.console import add_output_arguments
from data_prep.utr.policy import PER_GENE, PRESETS, UtrPolicy


def add_utr_arguments(parser: argparse.ArgumentParser, side: int) -> None:
    """Inputs and one option per policy field; an option that is not given leaves the preset's value."""
    inputs = parser.add_argument_group(
        "inputs", "several pairs (one species each) may be given; they become one corpus"
    )
    inputs.add_argument("--genome", action="append", metavar="FASTA", help="genome (plain, gz, bgz)")
    inputs.add_argument(
        "--annotation",
        action="append",
        metavar="GTF_OR_GFF3",
        help="GENCODE or Ensembl annotation of the same assembly",
    )
    inputs.add_argument(
        "--transcripts", action="append", metavar="FASTA", help="instead of --genome: GENCODE pc_transcripts FASTA"
    )
    inputs.add_argument("--match-chr", action="store_true", help="chr1 and 1, chrM and MT are one name")
    inputs.add_argument("--on-missing-contig", choices=("stop", "skip"), default="stop")
    inputs.add_argument("--strict", action="store_true", help="a malformed transcript is an error, not a counted drop")
    policy = parser.add_argument_group("policy")
    policy.add_argument("--preset", choices=tuple(PRESETS[side]), default=next(iter(PRESETS[side])))
    policy.add_argument("--biotypes", metavar="LIST", help="transcript biotypes, comma-separated, or all")
    policy.add_argument(
        "--contigs",
        metavar="LIST",
        default="human",
        help="human (1-22, X, Y, M; where the annotation has none of these: all), all, or a comma-separated list",
    )
    policy.add_argument("--keep-incomplete", action="store_true", help="keep transcripts tagged with an incomplete end")
    policy.add_argument(
        "--check-codons",
        choices=("auto", "on", "off"),
        default="auto",
        help=(
            "the CDS must end in a stop codon (auto: where the input has no tags for incomplete ends)"
            if side == 3
            else "the CDS must begin with ATG (auto: off)"
        ),
    )
    policy.add_argument("--per-gene", choices=PER_GENE)
    policy.add_argument("--min-len", type=int, metavar="NT")
    if side == 3:
        policy.add_argument(
            "--piece-len", type=int, metavar="NT", help="non-overlapping pieces from the 5' end; 0: whole"
        )
    else:
        policy.add_argument("--crop-to", type=int, metavar="NT", help="longer ones keep their 3' end; 0: whole")
    policy.add_argument("--max-other-fraction", type=float, help="letters outside A,C,G,U allowed in a record (0 to 1)")
    policy.add_argument("--no-dedup", action="store_true", help="keep UTRs with equal sequence")
    policy.add_argument("--val-fraction", type=float, help="share of genes held out for validation")
    policy.add_argument("--alphabet", choices=ALPHABETS)
    add_output_arguments(parser)


def policy_of(args: argparse.Namespace, side: int, annotation: Annotation | None) -> UtrPolicy:
    """The preset with the options that were given; raises DataPrepError for values that make no sense."""
    given: dict[str, Any] = {
        field.name: getattr(args, field.name)
        for field in fields(UtrPolicy)
        if getattr(args, field.name, None) is not None and field.name not in ("biotypes", "contigs", "check_codons")
    }
    for name in given.keys() & {"piece_len", "crop_to"}:
        given[name] = given[name] or None
    if args.biotypes:
        names = frozenset(name.strip() for name in args.biotypes.split(","))
        given["biotypes"] = None if args.biotypes == "all" else names
    policy = replace(
        PRESETS[side][args.preset],
        contigs=_contigs(args.contigs, annotation),
        drop_incomplete=not args.keep_incomplete,
        check_codons=_check_codons(args.check_codons, side, annotation),
        dedup=not args.no_dedup,
        **given,
    )
    if policy.min_len < 1 or (policy.piece_len or 1) < 1 or (policy.crop_to or 1) < 1:
        raise DataPrepError("--min-len, --piece-len and --crop-to are lengths in nucleotides, at least 1")
    for limit in (policy.piece_len, policy.crop_to):
        if limit is not None and limit < policy.min_len:
            raise DataPrepError(f"--min-len {policy.min_len} is more than the longest record of {limit} nt")
    if not 0 <= policy.max_other_fraction <= 1 or not 0 <= policy.val_fraction < 1:
        raise DataPrepError("--max-other-fraction lies in 0 to 1, --val-fraction in 0 to below 1")
    return policy


def _contigs(text: str, annotation: Annotation | None) -> frozenset[str] | None:
    if text == "human" and annotation and not HUMAN & {bare_name(t.contig) for t in annotation.transcripts}:
        return None
    return parse_contigs(text)


def _check_codons(choice: str, side: int, annotation: Annotation | None) -> bool:
    if choice != "auto":
        return choice == "on"
    return side == 3 and not (annotation and annotation.tells_incomplete_ends)
