"""Genomes to a corpus that windows are drawn from while a model trains: nothing is cut or stored twice.

Any number of FASTA files, one assembly each. A base takes a quarter of a byte; N and, with --keep-case, soft-masked
stretches are kept as intervals. Which windows are drawn is said where the corpus is used (corpus.sampling). Intervals
of a BED file and GPN's balanced regions (from an annotation) are kept beside the genome, under a name. Where there are
several genomes, a file belongs to one by NAME=FILE, NAME being the genome's file without its endings.

example:
  python -m data_prep genomes at.fa.gz --annotation at.gff3.gz --keep-case --validation-contigs Chr4 --out corpora/at
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus import StagedFolder, describe_source, tool_versions
from data_prep.corpus.files import pretty_json
from data_prep.corpus.genome import CONTIGS, NAMES
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError, shown_name
from data_prep.formats.contig_names import contigs_of_each
from data_prep.formats.genome import contig_names
from data_prep.genomes.contigs import ContigFilter
from data_prep.genomes.holdout import HELD_OUT, refuse_empty, settle_fraction
from data_prep.genomes.named import Genomes, add_bed, add_regions, files_by_assembly
from data_prep.genomes.regions import RegionOptions
from data_prep.genomes.splits import balanced_weights, divide, store_split
from data_prep.genomes.store import SCRATCH, StoreOptions, add_array, assembly_name, store_assembly
from data_prep.runtime.console import add_output_arguments, already_complete, refuse_idle, report

# What makes the corpus, hence what its manifest records and what a rerun must repeat.
PARAMETERS = (
    "contigs", "exclude_contigs", "min_contig", "max_n", "window", "bytes", "keep_case", "weight", "balance_to",
    "validation_contigs", "test_contigs", "validation", "region_window", "region_seed",
)  # fmt: skip

REGION_WINDOW_NT, REGION_SEED = 512, 42  # GPN's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("genomes", nargs="+", type=Path, metavar="FASTA", help="genomes, plain, gzip or bgzip")
    add_output_arguments(parser)
    parser.add_argument(
        "--annotation", action="append", default=[], metavar="FILE",
        help="GFF3 or GTF: keep GPN's balanced regions (exons, promoters, as much of the rest) under the name balanced",
    )  # fmt: skip
    parser.add_argument(
        "--intervals", action="append", default=[], metavar="BED",
        help="keep these intervals under the name intervals; a fourth column train, valid or test is their split",
    )  # fmt: skip
    parser.add_argument(
        "--contigs", default="all", metavar="LIST", help="all (default), human (1-22, X, Y, M), or names with commas"
    )
    parser.add_argument("--exclude-contigs", default="", metavar="LIST", help="contigs to leave out, with commas")
    parser.add_argument("--min-contig", type=int, default=1, metavar="NT", help="drop shorter contigs (default 1)")
    parser.add_argument(
        "--max-n", type=float, default=1.0, metavar="FRACTION", help="drop contigs with more N than this (default 1)"
    )
    parser.add_argument(
        "--window", type=int, default=510, metavar="NT",
        help="shortest stretch without N to keep: the longest window you will train on (default 510)",
    )  # fmt: skip
    parser.add_argument("--bytes", action="store_true", help="a byte per base: four times the size, a little faster")
    parser.add_argument("--keep-case", action="store_true", help="remember which letters are lower case (soft-masked)")
    parser.add_argument(
        "--weight", action="append", default=[], metavar="NAME=W",
        help="samples of an assembly relative to its size (default 1 each)",
    )  # fmt: skip
    parser.add_argument(
        "--balance-to", metavar="NAME",
        help="weigh assemblies so that each gives as many windows of its balanced regions as this one",
    )  # fmt: skip
    parser.add_argument("--validation-contigs", metavar="LIST", help="contigs to hold out, with commas")
    parser.add_argument("--test-contigs", metavar="LIST", help="contigs to keep for a test split, with commas")
    parser.add_argument(
        "--validation", type=float, metavar="FRACTION",
        help=f"without --validation-contigs: hold out this share at the end of the genomes (default {HELD_OUT})",
    )  # fmt: skip
    parser.add_argument(
        "--region-window", type=int, default=REGION_WINDOW_NT, metavar="NT",
        help=f"shortest balanced region (default {REGION_WINDOW_NT})",
    )  # fmt: skip
    parser.add_argument(
        "--region-seed", type=int, default=REGION_SEED, metavar="N", help=f"of balanced regions (default {REGION_SEED})"
    )


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    names = [assembly_name(path) for path in args.genomes]
    _check(args, names)
    annotations = files_by_assembly("--annotation", args.annotation, names)
    beds = files_by_assembly("--intervals", args.intervals, names)
    weights = _weights(args.weight, names)
    files = [*args.genomes, *(path for _, path in (*annotations, *beds))]
    sources = [describe_source(path) for path in files]
    parameters = {name: getattr(args, name) for name in PARAMETERS}
    parameters |= {"annotation": [name for name, _ in annotations], "intervals": [name for name, _ in beds]}
    stage: dict[str, Any] = {"stage": "genomes", "parameters": parameters}
    with StagedFolder(args.out, {"stages": [stage], "sources": sources}, overwrite=args.overwrite) as staged:
        if staged.complete:
            return already_complete(staged.out)
        tally = Tally()
        genomes = Genomes(
            [
                store_assembly(staged, number, path, StoreOptions(keep, not args.bytes, args.keep_case, args.window))
                for number, (path, keep) in enumerate(zip(args.genomes, _filters(args), strict=True))
            ]
        )
        splits = divide(genomes, args.validation_contigs, args.test_contigs, args.validation, args.window)
        for name, path in annotations:
            region_options = RegionOptions(window=args.region_window, seed=args.region_seed)
            print(add_regions(genomes, name, path, region_options))
        for name, path in beds:
            add_bed(genomes, name, path, tally)
        if not genomes.has_label("validation"):
            refuse_empty(splits["validation"], args.validation, args.validation_contigs, args.window)
        if genomes.has_label("test"):
            splits.setdefault("test", genomes.intervals[:0])
        if args.balance_to:
            weights = balanced_weights(genomes, splits["train"], args.balance_to, args.region_window)
        for assembly in genomes.assemblies:
            tally.keep("contigs", len(assembly.contigs))
            for reason, names_of_reason in assembly.dropped.names.items():
                tally.drop("contigs", reason, len(names_of_reason))
            for sentence in assembly.dropped.sentences():
                print(f"{assembly.name}: {sentence}")
        manifest = _publish(staged, args, genomes, splits, weights, [stage | {"filters": tally.to_json()}], sources)
        for name, split in manifest["splits"].items():
            print(f"{name}: {split['bases']:,} bases on {split['contigs']:,} contigs, {split['windows']:,} windows")
        report(manifest, staged.out)
    return 0


def _publish(
    staged: StagedFolder,
    args: argparse.Namespace,
    genomes: Genomes,
    splits: dict[str, np.ndarray],
    weights: list[float],
    stages: list[dict[str, Any]],
    sources: list[dict[str, Any]],
) -> dict[str, Any]:
    add_array(staged, CONTIGS, genomes.contigs)
    staged.add(NAMES, "".join(f"{name}\n" for name in genomes.names).encode())
    assemblies = []
    for assembly, weight in zip(genomes.assemblies, weights, strict=True):
        facts = {name: getattr(assembly, name) for name in ("name", "folder", "bases", "other_bases", "soft_masked")}
        assemblies.append(
            {**facts, "weight": weight, "contigs": len(assembly.contigs), "dropped": assembly.dropped.facts()}
        )
    staged.add("assemblies.json", pretty_json(assemblies))  # weights belong to what a corpus is
    body = {
        "alphabet": "dna",
        "columns": ["soft_mask"] if args.keep_case else [],
        "sources": sources,
        "tools": tool_versions("numpy"),
        "stages": stages,
        "assemblies": assemblies,
        "splits": {
            name: store_split(staged, name, intervals, genomes, args.window) for name, intervals in splits.items()
        },
    }
    for name in [name for name in staged.finished if name.startswith(f"{SCRATCH}/")]:
        del staged.finished[name]
    return staged.publish("genome", body)


def _check(args: argparse.Namespace, names: list[str]) -> None:
    settle_fraction(args)
    for name in ("max_n", "validation"):
        if not 0 <= getattr(args, name) <= 1:
            raise DataPrepError(f"--{name.replace('_', '-')} must lie between 0 and 1, got {getattr(args, name)}")
    for name in ("window", "min_contig", "region_window"):
        if getattr(args, name) < 1:
            raise DataPrepError(f"--{name.replace('_', '-')} must be 1 or more, got {getattr(args, name)}")
    if not args.annotation:
        refuse_idle(args, {"region_window": REGION_WINDOW_NT, "region_seed": REGION_SEED}, "--annotation")
    if len(names) == 1:
        refuse_idle(args, {"weight": [], "balance_to": None}, "a second genome")
    if args.balance_to and (args.balance_to not in names or args.weight or not args.annotation):
        raise DataPrepError(
            f"--balance-to {args.balance_to}: expected one of {', '.join(names[:5])}, with --annotation and without "
            "--weight"
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataPrepError(f"two genomes are called {repeated[0]!r}; rename one of the files, or give it once")


def _filters(args: argparse.Namespace) -> list[ContigFilter]:
    """Of each genome. A list needs all names first: an exact one comes before a similar one."""
    listed = args.contigs not in ("all", "human") or args.exclude_contigs
    genomes = [(str(path), contig_names(path) if listed else ()) for path in args.genomes]
    wanted = contigs_of_each("--contigs", args.contigs, genomes)
    unwanted = contigs_of_each("--exclude-contigs", args.exclude_contigs, genomes)
    if args.contigs not in ("all", "human"):
        for (_, known), keep, drop in zip(genomes, wanted, unwanted, strict=True):
            if both := [name for name in known if keep(name) and drop(name)]:
                raise DataPrepError(
                    f"--contigs and --exclude-contigs both name {shown_name(both[0])}; take it out of one of them"
                )
    pairs = zip(wanted, unwanted, strict=True)
    return [ContigFilter(one, other, args.min_contig, args.max_n) for one, other in pairs]


def _weights(given: list[str], names: list[str]) -> list[float]:
    """The weight of each assembly."""
    weights: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = 0.0
        if name not in names or not 0 < value < float("inf"):
            raise DataPrepError(
                f"--weight {text}: expected NAME=W with W above 0 and NAME one of {', '.join(names[:5])}"
            )
        if weights.setdefault(name, value) != value:
            raise DataPrepError(f"--weight names {name} twice, with {weights[name]:g} and {value:g}; give it once")
    return [weights.get(name, 1.0) for name in names]
