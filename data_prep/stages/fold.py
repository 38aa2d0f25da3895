"""Add secondary structure and minimum free energy to a corpus of sequences, with ViennaRNA's default model.

Rows keep their order, split and other columns. A row that is too long, holds other characters than letters, or kills
its worker stays without labels and is counted. Finished shards are kept when the same command runs again, and results
are remembered in --cache, so nothing is folded twice.

example:
  python -m data_prep fold corpora/utr5 --out corpora/utr5_folded --executor local:8
"""

import argparse
from pathlib import Path
from typing import Any

from data_prep.corpus import Corpus, SequenceWriter, open_corpus
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.folding import vienna
from data_prep.folding.cache import FoldCache
from data_prep.folding.shards import crop_rule, fold_shard
from data_prep.runtime.console import add_output_arguments, already_complete, progress, report
from data_prep.runtime.executor import Workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("corpus", metavar="CORPUS", help="a corpus of sequences")
    add_output_arguments(parser)
    parser.add_argument(
        "--max-length",
        type=int,
        default=4000,
        metavar="NT",
        help="longest sequence to fold (default 4000: some 10 s each)",
    )
    parser.add_argument(
        "--long", choices=("unlabeled", "keep-5p", "keep-3p"), default="unlabeled",
        help="rows above --max-length: leave them without labels (default), or crop them to their 5' or 3' end",
    )  # fmt: skip
    parser.add_argument(
        "--executor", default="local:", metavar="ADDRESS",
        help="local:N for N processes (default: one per core), dask://HOST:PORT for a Dask cluster",
    )  # fmt: skip
    parser.add_argument(
        "--cache", metavar="FILE", help="SQLite file of known folds (default .fold-cache.sqlite beside --out); or none"
    )


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    if args.max_length < 1:
        raise DataPrepError(f"--max-length must be 1 or more, got {args.max_length}")
    corpus = open_corpus(args.corpus)
    if corpus.kind != "sequences":
        raise DataPrepError(f"{args.corpus}: a corpus of {corpus.kind}; only a corpus of sequences can be folded")
    model = vienna.parameters()
    with SequenceWriter(
        args.out, stage="fold", parameters={**model, "max_length": args.max_length, "long": args.long},
        columns=[*corpus.manifest["columns"], "structure", "mfe_kcal_per_mol"], alphabet=corpus.manifest["alphabet"],
        parent=corpus, overwrite=args.overwrite,
    ) as writer:  # fmt: skip
        if writer.complete:
            return already_complete(writer.out)
        with Workers(args.executor) as workers, FoldCache(_cache_path(args, writer), model) as cache:
            tally = _fold_all(corpus, writer, args, workers, cache)
        report(writer.finish(tally, tools=["ViennaRNA"]), writer.out)
    return 0


def _cache_path(args: argparse.Namespace, writer: SequenceWriter) -> Path | None:
    if args.cache == "none":
        return None
    return Path(args.cache) if args.cache else writer.out.with_name(".fold-cache.sqlite")


def _fold_all(
    corpus: Corpus, writer: SequenceWriter, args: argparse.Namespace, workers: Workers, cache: FoldCache
) -> Tally:
    crop = crop_rule(args.max_length, args.long)
    tally = Tally()
    rows = sum(len(corpus.split(split)) for split in corpus.splits)
    with progress(description="fold", total=rows, unit="seq") as bar:
        for split in corpus.splits:
            for number, batch in enumerate(corpus.split(split).batches()):
                if writer.shard_is_finished(split, number):
                    facts = writer.keep_shard(split, number)
                    bar.update(len(batch))
                else:
                    folded, counts = fold_shard(batch, writer.schema, args.max_length, crop, workers, cache, bar.update)
                    facts = writer.write_shard(split, number, folded, counts=dict(counts))
                _add(tally, facts["counts"])
    return tally


def _add(tally: Tally, counts: dict[str, Any]) -> None:
    """All rows are kept; those that could not be folded are counted as changed: they are without labels."""
    for outcome, count in counts.items():
        if outcome != "cropped":
            tally.keep("fold", count)
        if outcome != "folded":
            tally.change("fold", outcome if outcome == "cropped" else f"without_labels_{outcome}", count)
