"""Build a corpus of 3' UTRs from a genome and its annotation, or from a GENCODE transcript FASTA.

The defaults are 3UTRBERT's: protein-coding transcripts, the longest transcript of each gene, non-overlapping pieces of
510 nt from the 5' end; 2 % of genes are held out. The stop codon belongs to no UTR, whatever the
file says: where the CDS ends in front of one, that codon is counted to the coding part.

example:
  python -m data_prep utr3 --genome GRCh38.fa.gz --annotation gencode.v40.annotation.gtf.gz --out corpora/utrbert
"""

import argparse

from data_prep.utr.build import build_utr_corpus
from data_prep.utr.options import add_utr_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the stage."""
    add_utr_arguments(parser, 3)


def run(args: argparse.Namespace) -> int:
    """Build the corpus."""
    return build_utr_corpus(args, 3)
