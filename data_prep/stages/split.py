"""Divide a corpus into train and validation anew; all columns stay.

By default a hash of the sequence decides. Where related sequences must not be divided, say what relates them:
--by similarity clusters the sequences (no other program is needed) and stores the column `cluster`; --by COLUMN takes
what the corpus has (gene, source, rna_type, cluster, …); --by FILE or --clusters FILE a table with a line for each
record, `id<TAB>group` or the other way round as MMseqs2 writes it (`representative<TAB>member`), or CD-HIT's .clstr.
Then a validation record whose very sequence is also in training is dropped and counted.

example:
  python -m data_prep split corpora/utr3 --out corpora/utr3_by_gene --by gene --validation 0.02
  python -m data_prep split corpora/rnas --out corpora/rnas_split --by similarity --identity 0.8
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_prep.corpus import Corpus, SequenceWriter, describe_source, open_corpus
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError
from data_prep.filters.dedup import SeenKeys, sequence_keys
from data_prep.filters.holdout import is_held_out, text_keys, words_held_out, words_of
from data_prep.filters.similarity.of_corpus import cluster_keys
from data_prep.filters.similarity.relation import STRANDS, Relation
from data_prep.formats.cluster_table import ClusterTable
from data_prep.runtime.console import add_output_arguments, already_complete, progress, refuse_idle, report
from data_prep.runtime.executor import Workers

SIMILARITY = "similarity"
CLUSTER = "cluster"  # the column that remembers the groups of --by similarity and of tables
SIMILARITY_OPTIONS = ("identity", "coverage", "strand", "executor")

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
    how.add_argument(
        "--by", metavar="WHAT",
        help="keep together: `similarity` relatives; a COLUMN rows of equal value (a row without value is alone); "
        "a FILE the records of a group, as --clusters",
    )  # fmt: skip
    how.add_argument(
        "--clusters",
        metavar="FILE",
        help="lines id<TAB>cluster, or MMseqs2's *_cluster.tsv: keep rows of a cluster together",
    )
    similar = parser.add_argument_group("with --by similarity")
    similar.add_argument("--identity", type=float, metavar="SHARE", help="of relatives, 0.5 to 1 (default 0.8)")
    similar.add_argument(
        "--coverage", type=float, metavar="SHARE", help="of the shorter sequence that is alike (default 0.8)"
    )
    similar.add_argument("--strand", choices=STRANDS, help="compare reverse complements too, or not (default both)")
    similar.add_argument("--executor", metavar="ADDRESS", help="local:N or dask://HOST:PORT (default: no processes)")


def run(args: argparse.Namespace) -> int:
    """Build the corpus; exit status."""
    if not 0 < args.validation < 1:
        raise DataPrepError(f"--validation must lie between 0 and 1, got {args.validation}")
    corpus = open_corpus(args.corpus)
    if corpus.kind != "sequences":
        raise DataPrepError(f"{args.corpus}: a corpus of {corpus.kind}; only a corpus of sequences can be split")
    columns = list(corpus.manifest["columns"])
    column, table = _what(args, columns)
    relation = _relation(args) if args.by == SIMILARITY else None
    parameters: dict[str, Any] = {"validation": args.validation, "by": column or "sequence"}
    if table:
        parameters["by"] = describe_source(table)
    if relation:
        parameters |= {"by": SIMILARITY, **vars(relation)}
    if relation or table:
        columns = [*(name for name in columns if name != CLUSTER), CLUSTER]
    with SequenceWriter(
        args.out, stage="split", parameters=parameters, columns=columns, alphabet=corpus.manifest["alphabet"],
        parent=corpus, overwrite=args.overwrite,
    ) as writer:  # fmt: skip
        if writer.complete:
            return already_complete(writer.out)
        tally, notes = Tally(), dict[str, Any]()
        if relation or table or column:
            keys = _keys(corpus, relation, table, column, args.executor, writer.scratch)
            held_out, notes["groups"] = _choose(keys, args, most_share=args.validation if relation else 1.0)
            _divide_groups(corpus, held_out, keys if CLUSTER in columns and not column else None, writer, tally)
        else:
            _divide_sequences(corpus, args.validation, writer)
        manifest = writer.finish(tally, held_out_asked=True, **notes)
        for name, count in notes.get("groups", {}).items():
            print(f"groups, {name.replace('_', ' ')}: {count:,}")
        report(manifest, writer.out)
    return 0


def _what(args: argparse.Namespace, columns: list[str]) -> tuple[str | None, str | None]:
    """The column, or the table, that --by or --clusters names."""
    if args.by == SIMILARITY:
        return None, None
    refuse_idle(args, dict.fromkeys(SIMILARITY_OPTIONS), "--by similarity")
    if not args.by or args.by in columns:
        return args.by, args.clusters
    if Path(args.by).is_file():
        return None, args.by
    raise DataPrepError(
        f"{args.corpus}: no column {args.by!r}; it has {', '.join(columns)}; give one of them, similarity, or a file"
    )


def _relation(args: argparse.Namespace) -> Relation:
    given = {name: getattr(args, name) for name in ("identity", "coverage", "strand")}
    try:
        return Relation(**{name: value for name, value in given.items() if value is not None})
    except DataPrepError as error:
        raise DataPrepError(f"--{error}") from None


def _keys(
    corpus: Corpus,
    relation: Relation | None,
    table: str | None,
    column: str | None,
    executor: str | None,
    scratch: Path,
) -> np.ndarray:
    """uint64 (R,): what the records of a group have in common, in the order of `_batches`."""
    if relation:
        with Workers(executor) if executor else nullcontext() as workers:
            return cluster_keys(corpus, relation, scratch, workers)
    grouping = _by_cluster_file(table, corpus) if table else _by_column(column or "")
    return np.concatenate(
        [np.empty(0, np.uint64), *(words_of(grouping(batch)) for batch in _batches(corpus, "groups"))]
    )


def _choose(keys: np.ndarray, args: argparse.Namespace, most_share: float) -> tuple[np.ndarray, dict[str, int]]:
    """Mask bool (R,): held out, as the hash of its group says; and counts of groups and records for the manifest.

    A group of more than `most_share` of all records is never held out.
    """
    groups, which, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    if len(groups) == 1:
        what = args.by or args.clusters
        raise DataPrepError(
            f"{args.corpus}: by {what} all {len(keys):,} records are one group, expected at least two; give another "
            "--by" + (", or a higher --identity" if what == SIMILARITY else "")
        )
    large = sizes > most_share * len(keys)
    chosen = words_held_out(groups, args.validation) & ~large
    counts = {
        "all": len(groups),
        "train": int((~chosen).sum()),
        "validation": int(chosen.sum()),
        "of_one_record": int((sizes == 1).sum()),
        "records_of_the_largest": int(sizes.max(initial=0)),
    }
    if large.any() and most_share < 1:
        counts["too_large_to_be_held_out"] = int(large.sum())
    return chosen[which], counts


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


def _divide_groups(
    corpus: Corpus, held_out: np.ndarray, clusters: np.ndarray | None, writer: SequenceWriter, tally: Tally
) -> None:
    """held_out bool (R,), clusters uint64 (R,) for the column `cluster`, None: as it is."""
    training = SeenKeys(writer.scratch)
    for batch, mask in _with_masks(corpus, "train", ~held_out, clusters):
        train = batch.filter(pa.array(mask))
        training.first_seen(sequence_keys(_sequences(train)))
        writer.append_batch("train", train)
        tally.keep("leakage", len(train))
    for batch, mask in _with_masks(corpus, "validation", held_out, clusters):
        chosen = batch.filter(pa.array(mask))
        leaked = training.known(sequence_keys(_sequences(chosen)))
        writer.append_batch("validation", chosen.filter(pa.array(~leaked)))
        tally.keep("leakage", int((~leaked).sum()))
        tally.drop("leakage", "validation_sequence_also_in_training", int(leaked.sum()))


def _with_masks(
    corpus: Corpus, description: str, mask: np.ndarray, clusters: np.ndarray | None
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    first = 0
    for batch in _batches(corpus, description):
        last = first + len(batch)
        if clusters is not None:
            names = pa.array([f"{key:016x}" for key in clusters[first:last].tolist()], pa.string())
            if CLUSTER in batch.schema.names:
                batch = batch.drop_columns([CLUSTER])
            batch = batch.append_column(CLUSTER, names)
        yield batch, mask[first:last]
        first = last


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
