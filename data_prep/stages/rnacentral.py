"""Build a corpus from RNAcentral's active FASTA, with an RNA type for each sequence.

Types come from a table of ids and types, else from the header (`URS0000000001 rRNA from 1 species`, or the type that
the words of a description name, if they do). Presets follow the published models as far as they are known:
  ernie_rna  longest 1022 nt, sequences that lie in another one dropped (CD-HIT-EST or MMseqs2 where installed, else
             only equal ones), 10 % validation
  rnaernie   longest 512 nt, 1 % validation (published: none)
  rnaernie2  longest 2048 nt, letters A, C, G, U, N only, 1 % validation

example:
  python -m data_prep rnacentral rnacentral_active.fasta.gz --preset rnaernie --out corpora/rnaernie
"""

import argparse
import os
import sys
from dataclasses import asdict, fields, replace
from typing import Any

from data_prep.corpus import SequenceWriter, describe_source
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.fetch.fetch import origin_of
from data_prep.filters.clustering import CLUSTERERS, Clusterer, find_clusterer
from data_prep.nucleotides import ALPHABETS
from data_prep.rnacentral.build import PRESETS, RnaPolicy, fill, find_contained
from data_prep.rnacentral.type_table import TypeTable
from data_prep.runtime.console import add_output_arguments, already_complete, refuse_idle, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage; one that is not given leaves the preset's value."""
    parser.add_argument("file", metavar="FILE", help="RNAcentral FASTA (plain, gz, bgz)")
    add_output_arguments(parser)
    parser.add_argument("--preset", choices=PRESETS, default="plain")
    parser.add_argument("--types", metavar="TABLE", help="id and type, or RNAcentral's id_mapping.tsv (plain, gz)")
    parser.add_argument("--alphabet", choices=ALPHABETS, help="store U (rna) or T (dna)")
    parser.add_argument("--letters", choices=("iupac", "acgun"), help="drop records with other letters than these")
    parser.add_argument(
        "--max-ambiguous", type=float, metavar="FRACTION",
        help="most letters other than A, C, G, U, T (default 1: all records that have one of these)",
    )  # fmt: skip
    parser.add_argument(
        "--duplicates", choices=("drop", "containment", "keep"),
        help="records whose stored sequence was seen before; containment: or lies in a longer one",
    )  # fmt: skip
    parser.add_argument("--min-length", type=int, metavar="NT")
    parser.add_argument("--max-length", type=int, metavar="NT")
    parser.add_argument("--validation", type=float, metavar="FRACTION", help="share of held-out sequences")
    parser.add_argument("--cluster-with", choices=("auto", *CLUSTERERS), default="auto", help="program for containment")
    parser.add_argument("--workers", type=int, metavar="N", help="threads of that program (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    policy = _policy(args)
    program = _program(args, policy)
    with SequenceWriter(
        args.out,
        stage="rnacentral",
        parameters=asdict(policy) | {"clustering": _describe(program)},
        sources=[describe_source(path, **origin_of(path)) for path in (args.file, args.types) if path],
        columns=["rna_type"],
        alphabet=policy.alphabet,
        overwrite=args.overwrite,
    ) as writer:
        if writer.complete:
            return already_complete(writer.out)
        tally = Tally()
        types = TypeTable(args.types) if args.types else None
        threads = args.workers or os.cpu_count() or 1
        wanted = find_contained(args.file, policy, program, writer, threads) if program else None
        fill(writer, args.file, policy, types, wanted, tally)
        report(writer.finish(tally, tools=["numpy"], held_out_asked=args.validation is not None), writer.out)
    return 0


def _policy(args: argparse.Namespace) -> RnaPolicy:
    given = {field.name: getattr(args, field.name) for field in fields(RnaPolicy)}
    policy = replace(PRESETS[args.preset], **{name: value for name, value in given.items() if value is not None})
    if args.workers is not None and args.workers < 1:
        raise DataPrepError(f"--workers must be 1 or more, got {args.workers}")
    if policy.min_length < 1:
        raise DataPrepError(f"--min-length must be 1 or more, got {policy.min_length}")
    if policy.max_length is not None and policy.max_length < policy.min_length:
        raise DataPrepError(f"--max-length {policy.max_length} is below --min-length {policy.min_length}")
    if not 0 <= policy.max_ambiguous <= 1:
        raise DataPrepError(f"--max-ambiguous must lie in 0 to 1, got {policy.max_ambiguous}")
    if not 0 <= policy.validation < 1:
        raise DataPrepError(f"--validation must lie in 0 to below 1, got {policy.validation}")
    return policy


def _program(args: argparse.Namespace, policy: RnaPolicy) -> Clusterer | None:
    if policy.duplicates != "containment":
        refuse_idle(args, {"cluster_with": "auto", "workers": None}, "--duplicates containment")
        return None
    program = find_clusterer(args.cluster_with)
    if program is None:
        print(
            f"warning: none of {', '.join(CLUSTERERS)} is installed; only equal sequences are dropped, not those that "
            "lie in a longer one",
            file=sys.stderr,
        )
    return program


def _describe(program: Clusterer | None) -> dict[str, Any] | None:
    if program is None:
        return None
    print(f"containment by {program.name}: drops what is {program.drops}")
    facts = {"program": program.name, "version": program.version(), "command": program.command}
    return facts | {"drops": program.drops}
