"""A small made-up corpus, for demonstrations and tests: the same bytes for the same seed.

Structured RNAs (--kind sequences): six types with their own architecture and short motifs; `structure` is the planted
one. More than half of the nucleotides are paired, nearly all with a partner farther away than any chain of counts sees,
at the same place in all molecules of a type; letters are drawn anew for each, so no two are relatives. What there is to
learn is pairing: a model that has learned it predicts hidden letters that neither neighbors nor relatives tell.

A population on its genome (--kind allele-frequencies): repeats, stretches of other composition, variants that are
mostly rare and like CpG sites; built by the stage allele-frequencies, with the last tenth (chr2) held out.

examples:
  python -m data_prep sample --out corpora/demo
  python -m data_prep sample --kind allele-frequencies --out corpora/demo-variants
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from data_prep.corpus import SequenceWriter
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.filters.dedup import sequence_keys
from data_prep.filters.holdout import is_held_out
from data_prep.runtime.console import add_output_arguments, already_complete, progress, refuse_idle, report
from data_prep.sample import sample_molecule
from data_prep.sample.genome import fasta_text, sample_genome, vcf_text
from data_prep.stages import allele_frequencies

BLOCK = 1000
VERSION = 3  # of the generator: a corpus of another one is not taken for this one's
OF_SEQUENCES = {"sequences": 4000, "validation": 0.1}  # options of one kind, and their defaults
OF_GENOMES = {"bases": 200_000}
LEAST_BASES = 20_000  # chr2, a tenth of them in two halves, still has windows of the stage's default width


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    add_output_arguments(parser)
    parser.add_argument(
        "--kind", choices=("sequences", "allele-frequencies"), default="sequences", help="default: sequences"
    )
    parser.add_argument("--sequences", type=int, metavar="N", help="how many RNAs (default 4000)")
    parser.add_argument("--bases", type=int, metavar="N", help="of the genome (default 200000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another corpus (default 1)")
    parser.add_argument("--validation", type=float, metavar="FRACTION", help="share of held-out RNAs (default 0.1)")
    parser.set_defaults(**OF_SEQUENCES, **OF_GENOMES)


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    if args.kind == "sequences":
        refuse_idle(args, OF_GENOMES, "--kind allele-frequencies")
    else:
        refuse_idle(args, OF_SEQUENCES, "--kind sequences")
    for name, least in (("sequences", 1), ("bases", LEAST_BASES)):
        if getattr(args, name) < least:
            raise DataPrepError(f"--{name} must be {least} or more, got {getattr(args, name)}")
    if not 0 <= args.validation < 1:
        raise DataPrepError(f"--validation must lie between 0 and 1, got {args.validation}")
    return _molecules(args) if args.kind == "sequences" else _genome(args)


def _genome(args: argparse.Namespace) -> int:
    """Write FASTA and VCF, and leave the rest to the stage that reads real ones."""
    contigs, variants = sample_genome(args.seed, args.bases)
    parser = argparse.ArgumentParser()
    allele_frequencies.add_arguments(parser)
    with tempfile.TemporaryDirectory() as folder:
        fasta, vcf = Path(folder, "genome.fa"), Path(folder, "variants.vcf")
        fasta.write_text(fasta_text(contigs))
        vcf.write_text(vcf_text(contigs, variants))
        words = ["--genome", str(fasta), "--vcf", str(vcf), "--validation-contigs", "chr2", "--out", args.out]
        return allele_frequencies.run(parser.parse_args([*words, *(["--overwrite"] if args.overwrite else [])]))


def _molecules(args: argparse.Namespace) -> int:
    parameters = {"sequences": args.sequences, "seed": args.seed, "validation": args.validation, "version": VERSION}
    with SequenceWriter(
        args.out, stage="sample", parameters=parameters, columns=("rna_type", "structure"), overwrite=args.overwrite
    ) as writer:
        if writer.complete:
            return already_complete(writer.out)
        for first in progress(range(0, args.sequences, BLOCK), description="sample", unit="thousand"):
            _append(writer, args, range(first, min(first + BLOCK, args.sequences)))
        report(writer.finish(Tally()), writer.out)
    return 0


def _append(writer: SequenceWriter, args: argparse.Namespace, indices: range) -> None:
    drawn = [sample_molecule(args.seed, index) for index in indices]
    sequences = [molecule.sequence.encode() for _, molecule in drawn]
    held_out = is_held_out(sequence_keys(sequences), args.validation)
    for split, mask in (("train", ~held_out), ("validation", held_out)):
        rows = np.flatnonzero(mask).tolist()
        writer.append(
            split,
            [f"sample-{indices[row]:07d}" for row in rows],
            [sequences[row] for row in rows],
            rna_type=[drawn[row][0] for row in rows],
            structure=[drawn[row][1].structure for row in rows],
        )
