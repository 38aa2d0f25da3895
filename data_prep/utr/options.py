"""The command line of `utr3` and `utr5`."""

import argparse
from dataclasses import fields, replace
from typing import Any

from data_prep.errors import DataPrepError
from data_prep.formats.annotation import Annotation
from data_prep.formats.annotation.biotypes import one_spelling
from data_prep.nucleotides import ALPHABETS
from data_prep.runtime.console import add_name_arguments, add_output_arguments
from data_prep.utr.policy import PER_GENE, PRESETS, UtrPolicy
from data_prep.utr.species import choose_contigs


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
        help="annotation of the same assembly (GENCODE, Ensembl, RefSeq, UCSC, FlyBase, BRAKER, …)",
    )
    inputs.add_argument(
        "--transcripts", action="append", metavar="FASTA", help="instead of --genome: GENCODE pc_transcripts FASTA"
    )
    add_name_arguments(inputs)
    inputs.add_argument(
        "--ignore-id-versions", action="store_true", help="with --transcripts: ENST01.2 is ENST01 of the annotation"
    )
    inputs.add_argument("--on-missing-contig", choices=("stop", "skip"), default="stop")
    inputs.add_argument("--strict", action="store_true", help="a malformed transcript is an error, not a counted drop")
    policy = parser.add_argument_group("policy")
    policy.add_argument("--preset", choices=tuple(PRESETS[side]), default=next(iter(PRESETS[side])))
    policy.add_argument(
        "--biotypes",
        metavar="LIST",
        help="transcript biotypes, comma-separated, or all (default protein_coding; a transcript without one has its "
        "gene's, or else is coding because it has a CDS)",
    )
    policy.add_argument(
        "--contigs",
        metavar="LIST",
        default="auto",
        help="auto (human where the annotation has 1-22 and X and no further chromosome, else all), human (1-22, X, Y, "
        "M), all, or a comma-separated list",
    )
    policy.add_argument("--keep-incomplete", action="store_true", help="keep transcripts tagged with an incomplete end")
    policy.add_argument(
        "--check-codons",
        choices=("auto", "on", "off"),
        default="auto",
        help=(
            "a stop codon must end the coding part (auto: where the input has no tags for incomplete ends)"
            if side == 3
            else "the CDS must begin with ATG (auto: off)"
        ),
    )
    policy.add_argument("--per-gene", choices=PER_GENE)
    policy.add_argument("--min-length", type=int, metavar="NT", help="shortest UTR, and shortest piece")
    if side == 3:
        policy.add_argument(
            "--max-length", "--piece-len", dest="piece_len", type=int, metavar="NT",
            help="longer UTRs become non-overlapping pieces of this length, from the 5' end on; 0: whole",
        )  # fmt: skip
    else:
        policy.add_argument(
            "--max-length", "--crop-to", dest="crop_to", type=int, metavar="NT",
            help="longer UTRs keep their 3' end; 0: whole",
        )  # fmt: skip
    policy.add_argument(
        "--max-ambiguous", type=float, metavar="FRACTION", help="share of letters outside A,C,G,U in a record"
    )
    policy.add_argument("--duplicates", choices=("drop", "keep"), help="of UTRs with one sequence, the first or all")
    policy.add_argument("--validation", type=float, metavar="FRACTION", help="share of held-out genes")
    policy.add_argument("--alphabet", choices=ALPHABETS)
    policy.add_argument("--keep-case", action="store_true", help="remember which letters are lower case (soft-masked)")
    add_output_arguments(parser)


def policy_of(args: argparse.Namespace, side: int, annotation: Annotation | None, path: str | None) -> UtrPolicy:
    """The preset with the options that were given; raises DataPrepError for values that make no sense."""
    if annotation is None:
        for name, is_set in (("--biotypes", args.biotypes), ("--contigs", args.contigs not in ("auto", "all"))):
            if is_set:
                raise DataPrepError(f"{name} needs --annotation: a transcript FASTA tells neither biotypes nor contigs")
    given: dict[str, Any] = {
        field.name: getattr(args, field.name)
        for field in fields(UtrPolicy)
        if getattr(args, field.name, None) is not None and field.name not in ("biotypes", "contigs", "check_codons")
    }
    for name in given.keys() & {"piece_len", "crop_to"}:
        given[name] = given[name] or None
    if args.biotypes:
        names = frozenset(map(one_spelling, args.biotypes.split(",")))
        given["biotypes"] = None if args.biotypes == "all" else names
    policy = replace(
        PRESETS[side][args.preset],
        contigs=choose_contigs(args.contigs, annotation, path),
        drop_incomplete=not args.keep_incomplete,
        check_codons=_check_codons(args.check_codons, side, annotation),
        **given,
    )
    if policy.min_length < 1 or (policy.piece_len or 1) < 1 or (policy.crop_to or 1) < 1:
        raise DataPrepError("--min-length and --max-length are lengths in nucleotides, at least 1")
    for limit in (policy.piece_len, policy.crop_to):
        if limit is not None and limit < policy.min_length:
            raise DataPrepError(f"--min-length {policy.min_length} is more than the longest record of {limit} nt")
    if not 0 <= policy.max_ambiguous <= 1 or not 0 <= policy.validation < 1:
        raise DataPrepError("--max-ambiguous lies in 0 to 1, --validation in 0 to below 1")
    return policy


def _check_codons(choice: str, side: int, annotation: Annotation | None) -> bool:
    if choice != "auto":
        return choice == "on"
    return side == 3 and not (annotation and annotation.tells_incomplete_ends)
