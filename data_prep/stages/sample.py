"""A small made-up corpus of structured RNAs, for demonstrations and tests: the same bytes for the same seed.

Six types with their own architecture and motifs; `structure` is the planted one. Half of the molecules are relatives of
one ancestor per type (on both sides of the split, as in databases that are split at random), and more than half of the
nucleotides are paired: a model that sees context predicts masked letters that single-letter frequencies cannot.

example:
  python -m data_prep sample --out corpora/sample --sequences 4000 --seed 1
"""

import argparse

import numpy as np

from data_prep.cli import add_output_arguments, progress, report
from data_prep.corpus import SequenceWriter
from data_prep.dedup import sequence_keys
from data_prep.errors import DataPrepError
from data_prep.partition import is_held_out
from data_prep.sample import sample_molecule
from data_prep.tally import Tally

BLOCK = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    add_output_arguments(parser)
    parser.add_argument("--sequences", type=int, default=4000, metavar="N", help="how many (default 4000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed, another corpus (default 1)")
    parser.add_argument(
        "--validation", type=float, default=0.1, metavar="FRACTION", help="share of held-out sequences (default 0.1)"
    )


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    if args.sequences < 1:
        raise DataPrepError(f"--sequences must be 1 or more, got {args.sequences}")
    if not 0 <= args.validation < 1:
        raise DataPrepError(f"--validation must lie between 0 and 1, got {args.validation}")
    parameters = {"sequences": args.sequences, "seed": args.seed, "validation": args.validation}
    with SequenceWriter(
        args.out, stage="sample", parameters=parameters, columns=("rna_type", "structure"), overwrite=args.overwrite
    ) as writer:
        if writer.complete:
            print(f"{writer.out} is complete already; nothing to do")
            return 0
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
