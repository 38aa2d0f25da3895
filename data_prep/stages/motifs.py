"""Validate and normalize motif lists, tell how much of a corpus they cover, or mine over-represented k-mers.

Reads ATtRACT's table (any table with a column Motif or Sequence), matrices (MEME, STREME, JASPAR, CISBP, HOMER,
TRANSFAC), FASTA of motifs, and plain lists (SpliceAid, Statistics, lists of this program). A matrix becomes its
consensus without flat ends; what stands for more than --max-expansion motifs is left out and counted. Writes one motif
a line, upper case, with U, each once, ambiguity codes written out; comment lines `# source: NAME` tell where the motifs
below come from. This is what `masking.databases` of a training run takes. With --mine, k-mers that a corpus has more
often than chance are added; their counts go to OUT.tsv. The test: exact binomial against a background corpus, Poisson
against a Markov chain; Benjamini-Hochberg over all k-mers.

example:
  python -m data_prep motifs ATtRACT_db.txt SpliceAid.txt --out motifs/databases.txt --coverage corpora/rnaernie
  python -m data_prep motifs --mine corpora/rnaernie --lengths 10-13 --out motifs/statistics.txt
"""

import argparse
import re
from itertools import chain
from pathlib import Path

from data_prep.corpus import Corpus, open_corpus
from data_prep.corpus.files import write_atomic
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.motifs.coverage import coverage, refuse_other_kinds
from data_prep.motifs.listing import list_text, normalized_motifs
from data_prep.motifs.mining import LONGEST, MinedMotif, mine
from data_prep.motifs.read import read_motifs
from data_prep.runtime.console import print_filters, refuse_idle

# Options of one use, and their defaults.
READING = {"min_length": 4, "max_length": None, "max_expansion": 256, "min_probability": 0.25}
MINING = {"background": "markov:1", "lengths": "10-13", "top": 10_000, "max_fdr": 0.01}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="motif files")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the normalized list")
    parser.add_argument("--min-length", type=int, metavar="NT", help="of what files hold (default 4)")
    parser.add_argument("--max-length", type=int, metavar="NT", help="of what files hold (default: no limit)")
    parser.add_argument(
        "--max-expansion",
        type=int,
        metavar="N",
        help="motifs one written motif may stand for (default 256)",
    )
    parser.add_argument(
        "--min-probability", type=float, metavar="P", help="matrices: letters that count (default 0.25)"
    )
    parser.add_argument("--coverage", metavar="CORPUS", help="tell how much of this corpus lies inside motifs")
    mining = parser.add_argument_group("mining")
    mining.add_argument("--mine", metavar="CORPUS", help="corpus to search for over-represented k-mers")
    mining.add_argument("--background", metavar="CORPUS", help="a corpus, or markov:ORDER (default markov:1)")
    mining.add_argument("--lengths", metavar="A-B", help=f"k from A to B, at most {LONGEST} (default 10-13)")
    mining.add_argument("--top", type=int, metavar="N", help="most significant ones to keep (default 10000)")
    mining.add_argument("--max-fdr", type=float, metavar="SHARE", help="false discovery rate (default 0.01)")
    parser.set_defaults(**READING, **MINING)


def run(args: argparse.Namespace) -> int:
    """Write the list; exit status."""
    if not args.files and not args.mine:
        raise DataPrepError("give motif files, or a corpus to --mine")
    if not args.mine:
        refuse_idle(args, MINING, "--mine")
    if not args.files:
        refuse_idle(args, READING, "motif files")
    if args.out.exists() and any(Path(file).exists() and args.out.samefile(file) for file in args.files):
        raise DataPrepError(f"--out {args.out}: is one of the files that are read; give another name")
    corpus = open_corpus(args.coverage) if args.coverage else None
    if corpus:
        refuse_other_kinds(corpus)  # before anything is written
    tally = Tally()
    raw = chain.from_iterable(read_motifs(file, args.min_probability) for file in args.files)
    motifs = normalized_motifs(
        raw, tally, min_length=args.min_length, max_length=args.max_length, max_expansion=args.max_expansion
    )
    comments = []
    mined = _mine(args) if args.mine else []
    for found in mined:
        motifs.setdefault(found.motif, []).append("mined")
    if not motifs:
        dropped = ", ".join(f"{reason} {count}" for reason, count in tally.dropped().items())
        raise DataPrepError(f"{args.out}: no motif is left (dropped: {dropped or 'none'}); nothing written")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if args.mine:
        comments.append(f"mined against {Path(args.background).name}, false discovery rate {args.max_fdr}")
        write_atomic(args.out.with_name(args.out.name + ".tsv"), _table(mined).encode())
    write_atomic(args.out, list_text(motifs, comments).encode())
    print_filters(tally.to_json())
    print(f"wrote {args.out}: {len(motifs):,} motifs")
    if corpus:
        _print_coverage(corpus, motifs)
    return 0


def _mine(args: argparse.Namespace) -> list[MinedMotif]:
    bounds = re.fullmatch(r"(\d+)(?:-(\d+))?", args.lengths)
    first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (0, 0)
    if not 1 <= first <= last <= LONGEST:
        raise DataPrepError(f"--lengths {args.lengths}: expected A-B with 1 <= A <= B <= {LONGEST}")
    order = re.fullmatch(r"markov:(\d)", args.background)
    background: Corpus | int = int(order[1]) if order else open_corpus(args.background)
    return mine(open_corpus(args.mine), background, range(first, last + 1), args.max_fdr, args.top)


def _table(mined: list[MinedMotif]) -> str:
    lines = [f"{m.motif}\t{m.count}\t{m.expected:.6g}\t{m.p:.6g}\t{m.q:.6g}" for m in mined]
    return "\n".join(["motif\tcount\texpected\tp\tq", *lines]) + "\n"


def _print_coverage(corpus: Corpus, motifs: dict[str, list[str]]) -> None:
    print("min length  motifs  nucleotides covered  matches per 100 nt")
    for row in coverage(corpus, motifs):
        print(
            f"{row['min_length']:>10}  {row['motifs']:>6}  {row['covered']:>19.4f}  {row['matches_per_100_nt']:>18.2f}"
        )
