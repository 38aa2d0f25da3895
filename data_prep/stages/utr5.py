"""Build a corpus of 5' UTRs from a genome and its annotation, or from a GENCODE transcript FASTA.

All transcripts of each gene, equal sequences once. `--preset utr_lm`: 30 nt at least, cut to the 1022 nt next to the
start codon; add structure and energy with the stage `fold` afterwards.

example:
  python -m data_prep utr5 --preset utr_lm --genome GRCh38.fa.gz --annotation Homo_sapiens.gtf.gz --out corpora/utr5
"""

import argparse

from data_prep.utr.build import build_utr_corpus
from data_prep.utr.options import add_utr_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the stage."""
    add_utr_arguments(parser, 5)


def run(args: argparse.Namespace) -> int:
    """Build the corpus."""
    return build_utr_corpus(args, 5)
