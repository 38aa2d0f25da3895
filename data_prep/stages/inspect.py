"""What is in a corpus: counts, lengths, composition, types, fold statistics or variants, and every drop.

Prints what stands out, in sentences (lengths that pile up, one type that dominates, stretches of N, sequences of
validation that are in train, uneven variants), and a table; or JSON. With --leakage also how many held-out sequences
have a relative in training at 100, 90 and 80 % identity. With --out, also writes plots as PNG and one HTML
page that holds everything.

example:
  python -m data_prep inspect corpora/rnas --out corpora/rnas_report
"""

import argparse
import json
from pathlib import Path

from data_prep.corpus import open_corpus
from data_prep.corpus.files import write_atomic
from data_prep.corpus.manifest import FILE_NAME
from data_prep.errors import DataPrepError
from data_prep.inspection.describe import describe
from data_prep.inspection.leakage import leakage_of
from data_prep.inspection.table import filters_of, render, rows_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("corpus", metavar="CORPUS", help="a corpus of any kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--out", metavar="DIR", help="folder for index.html and the plots")
    parser.add_argument("--verify", action="store_true", help="read every file and compare its checksum first")
    parser.add_argument("--leakage", action="store_true", help="relatives of validation in train; reads all sequences")
    parser.add_argument(
        "--leakage-against", metavar="SET",
        help="the same for the sequences of a corpus, FASTA, or CSV or TSV with a column sequence, not validation",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Print and write; exit status."""
    if args.out and (Path(args.out) / FILE_NAME).exists():
        raise DataPrepError(f"{args.out}: is a corpus; give another folder for the report")
    corpus = open_corpus(args.corpus, verify=args.verify)
    description = describe(corpus)
    leak = leakage_of(corpus, args.leakage_against) if args.leakage or args.leakage_against else None
    if leak:
        description["leakage"] = leak.to_json()
        description["findings"] = [leak.sentence(), *description["findings"]]
    if args.json:
        print(json.dumps(description, indent=1))
    else:
        print(f"{args.corpus}: {corpus.kind}, fingerprint {corpus.fingerprint[:16]}\n")
        print("\n".join(f"- {sentence}" for sentence in description["findings"]), end="\n\n")
        print(render(rows_of(description)), render(filters_of(description)), sep="\n\n")
    if args.out:
        out = Path(args.out)
        from data_prep.inspection.page import page_of
        from data_prep.inspection.plots import plots_of

        plots = plots_of(corpus)
        out.mkdir(parents=True, exist_ok=True)
        for name, content in plots.items():
            write_atomic(out / name, content)
        write_atomic(out / "index.html", page_of(description, plots).encode())
        if not args.json:
            print(f"\nwrote {out / 'index.html'} and {', '.join(plots)}")
    return 0
