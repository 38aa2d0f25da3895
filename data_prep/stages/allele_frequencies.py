r"""Allele frequencies of a population on its reference genome, from a genome FASTA and VCF files.

Every single-base substitution above --min-af becomes a row of A, C, G, T frequencies; the rest of the genome stays as
it is, and training windows are assembled when asked for. Genotype columns are never read. The defaults follow MutBERT,
with its defects mended; --multiallelic drop repeats what its published preparation kept. Dropped alleles are counted
by reason in manifest.json. VCFs may be compressed or not, sorted or not, one per contig or not; BCF needs pysam.

example:
  python -m data_prep allele-frequencies --genome hg38.fa.gz --vcf chr21.vcf.gz chr22.vcf.gz --contigs chr21,chr22 \
      --validation-contigs chr22 --out corpora/mutbert
"""

import argparse
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.corpus import StagedFolder, describe_source, tool_versions
from data_prep.corpus.files import canonical_json
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.formats.contig_aliases import read_aliases
from data_prep.formats.contig_names import ContigNames, bare_name, listed_contigs, parse_contigs, warn_if_idle
from data_prep.formats.file_names import refuse_repeated_files
from data_prep.formats.genome import contig_names
from data_prep.genomes.holdout import HELD_OUT, by_contig, last_fraction, refuse_empty, settle_fraction
from data_prep.runtime.console import add_name_arguments, add_output_arguments, already_complete, report
from data_prep.variants.collect import KINDS, CollectJob, alleles_file, collect_all
from data_prep.variants.frequency import FrequencyField
from data_prep.variants.store import SCRATCH, Genome, store_genome, store_rows, store_split
from data_prep.variants.vcf import VcfOptions

Aliases = dict[str, frozenset[str]]

# What makes the corpus, hence what its manifest records and what a rerun must repeat.
PARAMETERS = (
    "contigs", "window", "min_af", "af_field", "filter_pass", "multiallelic", "mnps", "match_chr", "max_ref_mismatch",
    "validation_contigs", "validation",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("--genome", required=True, type=Path, metavar="FASTA", help="compressed or not")
    parser.add_argument(
        "--vcf", required=True, type=Path, metavar="FILE", nargs="+", action="extend", help="VCF files; may be repeated"
    )
    add_output_arguments(parser)
    parser.add_argument(
        "--contigs", default="all", metavar="LIST", help="all (default), human (1-22, X, Y, M), or names with commas"
    )
    parser.add_argument(
        "--window", type=int, default=510, metavar="BASES",
        help="shortest stretch without N to keep: the longest window you will train on (default 510)",
    )  # fmt: skip
    parser.add_argument(
        "--min-af",
        type=float,
        default=0.02,
        metavar="AF",
        help="alleles must be more frequent than this (default 0.02)",
    )
    parser.add_argument(
        "--af-field", default="AF", metavar="KEY",
        help="INFO key of the frequency, e.g. AF_joint, CAF, FREQ:TOPMED (default AF; where absent, AC/AN)",
    )  # fmt: skip
    parser.add_argument("--filter-pass", action="store_true", help="drop records whose FILTER is not PASS")
    parser.add_argument(
        "--multiallelic", choices=("keep", "drop"), default="keep",
        help="sites with several alternative alleles: keep every SNV (default), or drop the site as MutBERT did",
    )  # fmt: skip
    parser.add_argument(
        "--mnps", choices=("drop", "split"), default="drop",
        help="alleles of several differing bases (AC -> GT): count and drop them (default), or split them into SNVs, "
        "whose frequencies add to those of other alleles with the same base",
    )  # fmt: skip
    add_name_arguments(parser)
    parser.add_argument(
        "--max-ref-mismatch", type=float, default=0.001, metavar="FRACTION",
        help="fail if more SNVs of a contig have a REF that is not the base of the genome (default 0.001)",
    )  # fmt: skip
    parser.add_argument(
        "--validation-contigs", metavar="LIST", help="contigs to hold out, with commas (MutBERT: chr22)"
    )
    parser.add_argument(
        "--validation", type=float, metavar="FRACTION",
        help=f"without --validation-contigs: hold out this share at the end of the genome (default {HELD_OUT})",
    )  # fmt: skip
    parser.add_argument(
        "--executor", default="local:", metavar="ADDRESS",
        help="who reads the VCFs: local:N for N processes (default: one per core), dask://HOST:PORT for a Dask cluster",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    _check(args)
    parameters = {name: getattr(args, name) for name in PARAMETERS}
    sources = [describe_source(path) for path in (args.genome, *args.vcf, *filter(None, [args.contig_aliases]))]
    stage: dict[str, Any] = {"stage": "allele-frequencies", "parameters": parameters}
    with StagedFolder(args.out, {"stages": [stage], "sources": sources}, overwrite=args.overwrite) as staged:
        if staged.complete:
            return already_complete(staged.out)
        tally = Tally()
        aliases = read_aliases(args.contig_aliases) if args.contig_aliases else {}
        genome = store_genome(staged, args.genome, _chosen(args, aliases), args.window)
        splits = _divide(args, genome, aliases)  # before the long work, so that a wrong name fails early
        refuse_empty(splits["validation"], args.validation, args.validation_contigs, args.window)
        _store_variants(staged, args, genome, aliases, tally)
        body = {
            "alphabet": "dna",
            "sources": sources,
            "tools": tool_versions("numpy"),
            "stages": [stage | {"filters": tally.to_json()}],
            "contigs": [asdict(contig) for contig in genome.contigs],
            "splits": {
                name: store_split(staged, name, intervals, genome, args.window) for name, intervals in splits.items()
            },
        }
        for name in [name for name in staged.finished if name.startswith(f"{SCRATCH}/")]:
            del staged.finished[name]
        manifest = staged.publish("allele_frequencies", body)
        _report_splits(manifest, args.window)
        report(manifest, staged.out)
    return 0


def _check(args: argparse.Namespace) -> None:
    settle_fraction(args)
    for name in ("min_af", "max_ref_mismatch", "validation"):
        if not 0 <= getattr(args, name) < 1:
            raise DataPrepError(f"--{name.replace('_', '-')} must lie between 0 and 1, got {getattr(args, name)}")
    if args.window < 1:
        raise DataPrepError(f"--window must be 1 or more, got {args.window}")
    if args.multiallelic == "drop" and args.mnps == "split":
        raise DataPrepError("--mnps split has no effect with --multiallelic drop; leave one of them out")
    FrequencyField(args.af_field)  # so that a wrong key fails early
    refuse_repeated_files(args.vcf)


def _chosen(args: argparse.Namespace, aliases: Aliases) -> Callable[[str], bool]:
    """Which contigs of the genome are used. A list needs all names first: an exact one comes before a similar one."""
    if args.contigs in ("all", "human"):
        names = parse_contigs(args.contigs)
        return lambda name: names is None or bare_name(name) in names
    genome = ContigNames(contig_names(args.genome), f"the contigs of {args.genome}", True, aliases)
    return frozenset(listed_contigs("--contigs", args.contigs, genome)).__contains__


def _divide(args: argparse.Namespace, genome: Genome, aliases: Aliases) -> dict[str, np.ndarray]:
    intervals = np.array(genome.intervals, dtype=np.int64)
    if args.validation_contigs is None:
        return last_fraction(intervals, args.validation, args.window)
    names = [contig.name for contig in genome.contigs]
    used = ContigNames(names, "the contigs used", True, aliases)
    return by_contig(intervals, names, listed_contigs("--validation-contigs", args.validation_contigs, used))


def _store_variants(
    staged: StagedFolder, args: argparse.Namespace, genome: Genome, aliases: Aliases, tally: Tally
) -> None:
    """Collect the alleles of every VCF, then write the rows of every contig; the counts go to tally and contigs."""
    collected = _collect_all(staged, args, genome, aliases)
    for counts in collected:
        tally.keep("allele", counts["kept"])
        for reason, count in counts["dropped"].items():
            tally.drop("allele", reason, count)
        for what, count in counts["changed"].items():
            tally.change("allele", what, count)
    for contig in genome.contigs:
        folders = [staged.path / SCRATCH / counts["folder"] for counts in collected]
        files = {kind: [alleles_file(folder, Path(contig.folder), kind) for folder in folders] for kind in KINDS}
        drop = args.multiallelic == "drop"
        rows = store_rows(staged, contig.folder, files, min_af=args.min_af, drop_multiallelic=drop)
        contig.variants = rows["variants"]
        tally.drop("allele", "rare", rows["rare"])
        tally.keep("allele", rows["rare_added_up"])
        tally.keep("site", rows["alleles"])
        if rows["added_up"]:
            tally.change("site", "added_to_another_of_the_same_base", rows["added_up"])
        for reason, count in rows["dropped"].items():
            tally.drop("site", reason, count)
    if not any(contig.variants for contig in genome.contigs):
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in tally.dropped().most_common())
        raise DataPrepError(
            f"no variant is left (dropped: {dropped or 'none'}); see --af-field, --min-af and --contigs"
        )


def _collect_all(
    staged: StagedFolder, args: argparse.Namespace, genome: Genome, aliases: Aliases
) -> list[dict[str, Any]]:
    """What `collect` says of every VCF; those that an earlier run finished are not read again."""
    notes = [f"{SCRATCH}/vcf_{number:05d}.json" for number in range(len(args.vcf))]
    known = {staged.finished[note]["counts"]["folder"] for note in notes if note in staged.finished}
    for folder in (staged.path / SCRATCH).glob("vcf_*/"):
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)
    missing = [number for number, note in enumerate(notes) if note not in staged.finished]
    places = {contig.name: staged.path / contig.folder for contig in genome.contigs} | genome.unused
    names = ContigNames(list(places), f"the contigs of {args.genome}", args.match_chr, aliases)
    options = VcfOptions(args.af_field, args.filter_pass, args.multiallelic, args.mnps)
    limits = args.min_af, args.max_ref_mismatch
    jobs = [
        CollectJob(args.vcf[number].resolve(), options, places, names, *limits, staged.path / SCRATCH)
        for number in missing
    ]
    for job, counts in collect_all(jobs, args.executor):
        staged.add(notes[missing[job]], canonical_json(counts), counts=counts)
    collected = [staged.finished[note]["counts"] for note in notes]
    lists = ",".join([args.contigs, args.validation_contigs or ""]).split(",")
    asked = {*map(str.strip, lists), *(name for counts in collected for name in counts.get("contigs", ()))}
    warn_if_idle(args.contig_aliases, any(map(names.needs_alias, asked)))
    return collected


def _report_splits(manifest: dict[str, Any], window: int) -> None:
    for name, split in manifest["splits"].items():
        print(
            f"{name}: {split['bases']:,} bases on {len(split['contigs'])} contigs, {split['variants']:,} variants, "
            f"{split[f'windows_of_{window}']:,} windows of {window}"
        )
