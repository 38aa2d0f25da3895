"""python launch/generate.py MODEL: sequences drawn from a causal model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pretrain.cli.command import Parser, command, count, not_negative, positive, program
from pretrain.errors import PolymeraseError

EXAMPLE = """examples:
  python launch/generate.py runs/mine --count 10 --length 200 > samples.fa
  python launch/generate.py exports/mine --prompt ATGGCC --temperature 0.8 --top-k 3 --seed 7 --out samples.fa

Each token is computed once, and its state is cached: keys and values in transformers, a recurrent state of constant
size in Evo, and values for the long convolution in HyenaDNA (one product of cached values and filter per token and
layer). With dynamic rotary scaling, keys change as a sequence grows, so the whole sequence is recomputed for each
token.

exit status: 0 written, 2 wrong input or a model that is not causal
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(program("generate"), "Draw sequences from a causal model, as FASTA.", EXAMPLE)
    result.add_argument("model", metavar="HF_DIR_OR_RUN", help="run folder, or Hugging Face folder, of a causal model")
    result.add_argument("--count", type=positive, default=1, metavar="N", help="number of sequences (default: 1)")
    result.add_argument("--length", type=positive, default=100, metavar="T", help="tokens at most (default: 100)")
    result.add_argument(
        "--prompt", default="", metavar="LETTERS", help="first letters of each sequence (default: none)"
    )
    result.add_argument(
        "--temperature", type=not_negative, default=1.0, metavar="X", help="0: always the likeliest token (default: 1)"
    )
    result.add_argument("--top-k", type=positive, metavar="K", help="only the K likeliest tokens (default: all)")
    result.add_argument("--seed", type=count, default=0, metavar="N", help="default: 0")
    result.add_argument(
        "--recompute",
        action="store_true",
        help="recompute the whole sequence for each token, without a cache: slow, for checks",
    )
    result.add_argument("--out", metavar="FASTA", help="default: print")
    return result


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; the exit status is in the help."""
    args = parser().parse_args(arguments)
    if not args.prompt.isascii() or (args.prompt and not args.prompt.isalpha()):
        raise PolymeraseError(f"--prompt: expected letters, got {args.prompt!r}")
    from data_prep.corpus.files import write_atomic
    from pretrain.evaluation.generation import Sampling, generate
    from pretrain.evaluation.model import load_model
    from pretrain.evaluation.out_file import check_out_file

    if args.out is not None:
        check_out_file(Path(args.out))
    sampling = Sampling(args.length, args.temperature, args.top_k, args.seed, remember=not args.recompute)
    model = load_model(args.model)
    drawn = generate(model, args.prompt.upper().encode(), args.count, sampling)
    records = (f">sample_{number} seed={args.seed}\n{text}\n" for number, text in enumerate(drawn, 1))
    if args.out is None:
        for record in records:
            sys.stdout.write(record)
        return 0
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, "".join(records).encode("ascii"))
    return 0
