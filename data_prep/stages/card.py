"""The card of a corpus, as a dataset on a hub has it: numbers, stages and their parameters, drops, sources, checksums.

Prints it, or writes it with --out. The license is that of the sources; nobody but their owners can give it, so it is
`unknown` unless it is said.

example:
  python -m data_prep card corpora/rnas --license cc0-1.0 --out cards/rnas.md
"""

import argparse
import re
from pathlib import Path

from data_prep.corpus import open_corpus
from data_prep.corpus.files import write_atomic
from data_prep.corpus.manifest import FILE_NAME
from data_prep.errors import DataPrepError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("corpus", metavar="CORPUS", help="a corpus of any kind")
    parser.add_argument("--name", help="on the card (default: that of the folder)")
    parser.add_argument("--license", default="unknown", metavar="ID", help="of the sources, such as cc0-1.0")
    parser.add_argument("--out", metavar="FILE", help="write there instead of printing")


def run(args: argparse.Namespace) -> int:
    """Print or write; exit status."""
    from data_prep.inspection.card import card_of

    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", args.license):
        raise DataPrepError(f"--license {args.license}: expected an id of the hub, such as cc0-1.0 or cc-by-4.0")
    corpus = open_corpus(args.corpus)
    text = card_of(corpus, args.name or Path(args.corpus).resolve().name, args.license)
    if args.out is None:
        print(text, end="")
        return 0
    out = Path(args.out)
    if out.is_dir():
        raise DataPrepError(f"--out {out}: expected a file, got a folder; name the file, such as {out / 'README.md'}")
    if (out.parent / FILE_NAME).exists() and out.suffix != ".md":
        raise DataPrepError(f"--out {out}: lies among the files of a corpus; give another place, or a name with .md")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, text.encode())
    print(f"wrote {out}")
    return 0
