"""Divide a corpus into train and validation anew; all columns stay.

By default a hash of the sequence decides. Where related sequences must not be divided, give what they share: a column
(--by gene) or a table of clusters (--clusters): a line `id<TAB>cluster` for every record, or the other way round as
MMseqs2 writes it (`representative<TAB>member`). Then a validation record whose very sequence is also in training is
dropped and counted.

example:
  python -m data_prep split corpora/utr3 --out corpora/utr3_by_gene --by gene --validation 0.02
"""

import argparse
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from data_prep.corpus import Corpus, SequenceWriter, describe_source, open_corpus
from data_prep.errors import DataPrepError
from data_prep.filters.dedup import SeenKeys, sequence_keys
from data_prep.filters.holdout import is_held_out, text_keys
from data_prep.filters.tally import Tally
from data_prep.formats.cluster_table import ClusterTable
from data_prep.runtime.console import add_output_arguments, progress, report

# Rows of a batch -> their keys (R,), 16 or 8 bytes each: equal keys stay together.
Grouping = Callable[[pa.RecordBatch], list[bytes]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("corpus", metavar="CORPUS", help="a corpus of sequences")
    add_output_arguments(parser)
    parser.add_argument(
        "--validation", type=float, default=0.05, metavar="FRACTION", help="share of held-out groups (default 0.05)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--by", metavar="COLUMN", help="keep rows of equal value together; a row without value is alone")
    how.add_argument(
        "--clusters",
        metavar="FILE",
        help="lines id<TAB>cluster, or MMseqs2's *_cluster.tsv: keep rows of a cluster together",
    )


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    if not 0 < args.validation < 1:
        raise DataPrepError(f"--validation must lie between 0 and 1, got {args.validation}")
    corpus = open_corpus(args.corpus)
    if corpus.kind != "sequences":
        raise DataPrepError(f"{args.corpus}: a corpus of {corpus.kind}; only a corpus of sequences can be split")
    columns = list(corpus.manifest["columns"])
    if args.by and args.by not in columns:
        raise DataPrepError(f"{args.corpus}: no column {args.by!r}; it has {', '.join(columns)}")
    parameters: dict[str, Any] = {"validation": args.validation, "by": args.by or "sequence"}
    if args.clusters:
        parameters["by"] = describe_source(args.clusters)
    with SequenceWriter(
        args.out, stage="split", parameters=parameters, columns=columns, alphabet=corpus.manifest["alphabet"],
        parent=corpus, overwrite=args.overwrite,
    ) as writer:  # fmt: skip
        if writer.complete:
            print(f"{writer.out} is complete already; nothing to do")
            return 0
        tally = Tally()
        if args.by or args.clusters:
            grouping = _by_cluster_file(args.clusters, corpus) if args.clusters else _by_column(args.by)
            _divide_groups(corpus, grouping, args.validation, writer, tally)
        else:
            _divide_sequences(corpus, args.validation, writer)
        report(writer.finish(tally, held_out_asked=True), writer.out)
    return 0


def _batches(corpus: Corpus, description: str) -> Any:
    batches = [batch for split in corpus.splits for batch in corpus.split(split).batches()]
    return progress(batches, description=description, unit="shard")


def _sequences(batch: pa.RecordBatch) -> list[bytes]:
    return batch.column("sequence").cast(pa.binary()).to_pylist()


def _divide_sequences(corpus: Corpus, fraction: float, writer: SequenceWriter) -> None:
    """Equal sequences have equal keys, so no duplicate can straddle the splits."""
    for batch in _batches(corpus, "split"):
        held_out = is_held_out(sequence_keys(_sequences(batch)), fraction)
        writer.append_batch("train", batch.filter(pa.array(~held_out)))
        writer.append_batch("validation", batch.filter(pa.array(held_out)))


def _divide_groups(corpus: Corpus, grouping: Grouping, fraction: float, writer: SequenceWriter, tally: Tally) -> None:
    training = SeenKeys(writer.scratch)
    for batch in _batches(corpus, "train"):
        train = batch.filter(pa.array(~is_held_out(grouping(batch), fraction)))
        training.first_seen(sequence_keys(_sequences(train)))
        writer.append_batch("train", train)
        tally.keep("leakage", len(train))
    for batch in _batches(corpus, "validation"):
        held_out = batch.filter(pa.array(is_held_out(grouping(batch), fraction)))
        leaked = training.known(sequence_keys(_sequences(held_out)))
        writer.append_batch("validation", held_out.filter(pa.array(~leaked)))
        tally.keep("leakage", int((~leaked).sum()))
        tally.drop("leakage", "validation_sequence_also_in_training", int(leaked.sum()))


def _by_column(column: str) -> Grouping:
    def keys(batch: pa.RecordBatch) -> list[bytes]:
        names, ids = batch.column(column).to_pylist(), batch.column("id").to_pylist()
        return text_keys(
            [f"id {row_id}" if name is None else f"{name}" for name, row_id in zip(names, ids, strict=True)]
        )

    return keys


def _by_cluster_file(path: str, corpus: Corpus) -> Grouping:
    ids = (name for split in corpus.splits for batch in corpus.split(split).batches() for name in _ids(batch))
    table = ClusterTable(path, ids)
    return lambda batch: table.look_up(_ids(batch))


def _ids(batch: pa.RecordBatch) -> list[str]:
    return batch.column("id").to_pylist()
