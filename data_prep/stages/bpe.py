"""Train byte-pair tokens on a corpus, as DNABERT-2 did: one `tokenizer.json` that models and transformers read.

Five special tokens, [UNK] [CLS] [SEP] [PAD] [MASK], come first; then the letters A, C, G, T or U, then merges in the
order in which they were made; N and other codes are in no token. The same corpus and options give the same file.
Training holds its text in memory several times over: --sequences takes fewer, evenly spaced.

example:
  python -m data_prep bpe corpora/genomes --vocab-size 4096 --out dna_bpe.json
"""

import argparse
from pathlib import Path

from data_prep.bpe.text import Text
from data_prep.bpe.train import SPECIAL, measure, train
from data_prep.corpus import open_corpus
from data_prep.corpus.files import write_atomic
from data_prep.errors import DataPrepError
from data_prep.runtime.console import refuse_idle

PIECE_NT = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("corpus", metavar="CORPUS", help="a corpus of sequences or genomes; its training split is read")
    parser.add_argument("--vocab-size", type=int, default=4096, metavar="N", help="tokens in all (default 4096)")
    parser.add_argument("--out", required=True, metavar="FILE", help="the new tokenizer.json")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is already at --out")
    parser.add_argument(
        "--min-frequency", type=int, default=2, metavar="N", help="merge pairs that occur so often at least (default 2)"
    )
    parser.add_argument("--max-token", type=int, metavar="NT", help="longest token (default: no limit)")
    parser.add_argument("--sequences", type=int, metavar="N", help="train on so many sequences (default: all)")
    parser.add_argument(
        "--piece",
        type=int,
        metavar="NT",
        help=f"genomes are cut into pieces of this length (default {PIECE_NT})",
    )


def run(args: argparse.Namespace) -> int:
    """Train, write, and report; exit status."""
    out = Path(args.out)
    if args.vocab_size <= len(SPECIAL) + 4:
        raise DataPrepError(
            f"--vocab-size {args.vocab_size}: five special tokens and four letters come before any merge"
        )
    for name in ("min_frequency", "piece", "max_token", "sequences"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise DataPrepError(f"--{name.replace('_', '-')} must be 1 or more, got {value}")
    if out.is_dir():
        raise DataPrepError(f"{out}: is a folder, expected the name of a new file; give --out {out / 'tokenizer.json'}")
    if out.exists() and not args.overwrite:
        raise DataPrepError(f"{out}: exists; choose another --out or pass --overwrite")
    corpus = open_corpus(args.corpus)
    if corpus.kind == "sequences":
        refuse_idle(args, {"piece": None}, "a corpus of genomes")
    text = Text(corpus, args.piece or PIECE_NT, args.sequences)
    tokenizer = train(text, args.vocab_size, args.min_frequency, args.max_token)
    measured = measure(tokenizer, text)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, (tokenizer.to_str(pretty=True) + "\n").encode())
    size = tokenizer.get_vocab_size()
    print(f"trained on {text.sequences:,} sequences, {text.nucleotides:,} nt")
    fewer = f" ({args.vocab_size:,} were asked for; no more pairs occur often enough)" if size < args.vocab_size else ""
    print(f"vocabulary: {size:,} tokens{fewer}, the longest of {measured.longest_nt} nt")
    print(f"coverage: {measured.coverage:.4%} of letters known; {measured.nt_per_token:.3f} nt per token on average")
    print(f"wrote {out}")
    return 0
